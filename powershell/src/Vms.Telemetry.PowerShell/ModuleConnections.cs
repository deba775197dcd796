using System;
using System.Collections.Generic;
using System.Linq;
using System.Management.Automation.Runspaces;
using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>Holds the open connections of the process. Each belongs to the runspace that opened it.</summary>
internal static class ModuleConnections
{
    private static readonly object s_gate = new();
    private static readonly List<(Guid Runspace, VmsConnection Connection)> s_connections = [];
    private static readonly SortedSet<string> s_addresses = [];

    /// <summary>Gets the addresses that this process has connected to, for completion.</summary>
    internal static IReadOnlyList<string> Addresses
    {
        get
        {
            lock (s_gate)
            {
                return s_addresses.ToArray();
            }
        }
    }

    /// <summary>Returns the open connections of the current runspace, or of the whole process.</summary>
    internal static IReadOnlyList<VmsConnection> Open(bool ofAllRunspaces = false)
    {
        var own = Runspace.DefaultRunspace.InstanceId;
        lock (s_gate)
        {
            s_connections.RemoveAll(open => !open.Connection.IsOpen);
            return s_connections.FindAll(open => ofAllRunspaces || open.Runspace == own).ConvertAll(open => open.Connection);
        }
    }

    /// <summary>Opens a connection. Closes others first, unless the attempt cannot be made.</summary>
    internal static VmsConnection Connect(VmsLogon logon, IReadOnlyList<VmsConnection> replaced, CancellationToken cancellation)
    {
        logon.Replaces = replaced.Count > 0 ? replaced[0] : null;
        try
        {
            var connection = ModuleSession.Current.LogOn(logon, cancellation);
            lock (s_gate)
            {
                s_connections.Add((Runspace.DefaultRunspace.InstanceId, connection));
                s_addresses.Add(connection.Address);
            }

            return connection;
        }
        finally
        {
            if (logon.Replaces is { IsOpen: false })
            {
                foreach (var other in replaced)
                {
                    other.Close();
                }
            }
        }
    }
}
