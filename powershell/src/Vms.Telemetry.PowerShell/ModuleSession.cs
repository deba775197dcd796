using System;
using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Holds what a process has once, whatever the number of its runspaces and imports: the session and the connection.
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
    private static TelemetrySession? s_session;
    private static VmsConnection? s_connection;
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

    /// <summary>Gets the open connection; null: none is open.</summary>
    internal static VmsConnection? Connection =>
        Volatile.Read(ref s_connection) is { IsOpen: true } open ? open : null;

    /// <summary>Lets requests begin; called by the first command of the module, or by the timer.</summary>
    internal static void EndImportHold() => Interlocked.Exchange(ref s_importHold, null)?.Dispose();

    /// <summary>Opens a connection in the place of the one that is open.</summary>
    internal static VmsConnection Connect(VmsLogon logon, CancellationToken cancellation)
    {
        logon.Replaces = Connection;
        var connection = Current.LogOn(logon, cancellation);
        // Another runspace may have connected meanwhile.
        Interlocked.Exchange(ref s_connection, connection)?.Close();
        return connection;
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
