using System;
using System.Collections.Generic;
using System.Linq;
using System.Management.Automation.Runspaces;
using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Holds what a process has once, whatever the number of its runspaces and imports: the session, and the connections, each
/// of which belongs to the runspace that opened it.
/// </summary>
internal static class ModuleSession
{
    /// <summary>The id of the module's progress records. Scripts use small numbers, above all 0, for their own.</summary>
    internal const int ProgressId = 0x564D53;

    /// <summary>
    /// Longest time for which an import keeps requests from beginning. On a busy computer more than a second passes between
    /// an import and the beginning of the command that it was for, and that command may be the one that opts out.
    /// </summary>
    private const int ImportHoldMilliseconds = 5_000;

    private static readonly object s_gate = new();
    private static readonly List<(Guid Runspace, VmsConnection Connection)> s_connections = [];
    private static readonly SortedSet<string> s_addresses = [];
    private static TelemetrySession? s_session;
    private static IDisposable? s_importHold;
    private static Timer? s_importTimer;

    /// <summary>Gets the session, and starts it on the first call. Never throws.</summary>
    internal static TelemetrySession Current
    {
        get
        {
            lock (s_gate)
            {
                if (s_session is null)
                {
                    s_session = TelemetrySession.Start(new TelemetryOptions(typeof(ModuleSession).Assembly));
                    if (s_session.StartedOn)
                    {
                        s_importHold = s_session.HoldSending();
                        s_importTimer = new Timer(_ => EndImportHold(), null, ImportHoldMilliseconds, Timeout.Infinite);
                    }
                }

                return s_session;
            }
        }
    }

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

    /// <summary>
    /// Lets requests begin, unless the notice is owed. Called by the commands of the module, and by the timer.
    /// </summary>
    internal static void EndImportHold()
    {
        if (s_importHold is not null && !Notice.IsOwed)
        {
            Interlocked.Exchange(ref s_importHold, null)?.Dispose();
        }
    }

    /// <summary>Returns the open connections of the current runspace, or of the whole process.</summary>
    internal static IReadOnlyList<VmsConnection> Connections(bool ofAllRunspaces = false)
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
            var connection = Current.LogOn(logon, cancellation);
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

    /// <summary>Reads the configuration; if there is none, telemetry is off, and the reason says why.</summary>
    internal static VmsModuleConfig ReadConfig()
    {
        try
        {
            return new VmsModuleConfig(Current.GetConfig(), Current.Problem);
        }
        catch (TelemetryException exception)
        {
            return new VmsModuleConfig(exception.Message);
        }
    }

    /// <summary>Returns why telemetry records nothing, or what failed; null: all is well.</summary>
    internal static string? StatusMessage()
    {
        var config = ReadConfig();
        return !config.EnableTelemetry ? "Telemetry records nothing: " + config.TelemetryReason + "."
            : config.LastFailure.Length > 0 ? "Telemetry: " + config.LastFailure + "."
            : config.LastDeliveryFailure.Length > 0 ? "Telemetry could not be sent yet: " + config.LastDeliveryFailure + "."
            : null;
    }
}
