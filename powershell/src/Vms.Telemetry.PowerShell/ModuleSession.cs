using System;
using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Holds what a process has once, whatever the number of its runspaces and imports: the session and the connection.
/// </summary>
internal static class ModuleSession
{
    private static readonly object s_gate = new();
    private static TelemetrySession? s_session;
    private static VmsConnection? s_connection;

    /// <summary>Gets the session, and starts it on the first call. Never throws.</summary>
    internal static TelemetrySession Current
    {
        get
        {
            lock (s_gate)
            {
                return s_session ??= TelemetrySession.Start(new TelemetryOptions(typeof(ModuleSession).Assembly));
            }
        }
    }

    /// <summary>Gets the open connection; null: none is open.</summary>
    internal static VmsConnection? Connection =>
        Volatile.Read(ref s_connection) is { Stage: not VmsConnectionStage.Closed } open ? open : null;

    /// <summary>Opens a connection in the place of the one that is open.</summary>
    internal static VmsConnection Connect(
        VmsLogon logon,
        Action<VmsConnectionStage> progress,
        CancellationToken cancellation)
    {
        logon.Replaces = Connection;
        var connection = Current.LogOn(logon, progress, cancellation);
        // Another runspace may have connected meanwhile.
        Interlocked.Exchange(ref s_connection, connection)?.Close();
        return connection;
    }

    /// <summary>Reads the configuration; where there is none, telemetry is off, and the reason says why.</summary>
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

    /// <summary>Says why telemetry is off or what failed; null: all is well.</summary>
    internal static string? WhyNothingIsSent()
    {
        var config = ReadConfig();
        return !config.EnableTelemetry ? "Telemetry is off: " + config.TelemetryReason + "."
            : config.LastFailure.Length > 0 ? "Telemetry: " + config.LastFailure + "."
            : config.LastDeliveryFailure.Length > 0 ? "Telemetry waits: " + config.LastDeliveryFailure + "."
            : null;
    }
}
