using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>Holds the one session of the process, whatever the number of its runspaces and imports.</summary>
internal static class ModuleSession
{
    /// <summary>
    /// Longest time for which an import keeps requests from beginning. On a busy computer more than a second passes between
    /// an import and the beginning of the command that it was for, and that command may be the one that opts out.
    /// </summary>
    private const uint ImportHoldSeconds = 5;

    private static readonly object s_gate = new();
    private static TelemetrySession? s_session;
    private static int s_isHeld = 1;

    /// <summary>Gets the session, and starts it on the first call. Never throws.</summary>
    internal static TelemetrySession Current
    {
        get
        {
            lock (s_gate)
            {
                return s_session ??= TelemetrySession.StartHeld(
                    TelemetryOptions.ProductVersion(typeof(ModuleSession).Assembly),
                    null,
                    Notice.IsOwed() ? NativeMethods.NoTimeout : ImportHoldSeconds);
            }
        }
    }

    /// <summary>Lets requests begin, unless the notice is owed. Called by the commands of the module.</summary>
    internal static void EndImportHold()
    {
        if (!Notice.IsOwed() && Interlocked.Exchange(ref s_isHeld, 0) == 1)
        {
            Current.EndHold();
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
