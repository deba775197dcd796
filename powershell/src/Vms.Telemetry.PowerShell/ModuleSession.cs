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

    /// <summary>Opens a connection in the place of the one that is open.</summary>
    /// <param name="facts">The facts of the new connection.</param>
    /// <param name="closed">The connection that was closed for it.</param>
    internal static VmsConnection Connect(VmsConnectionFacts facts, out VmsConnection? closed)
    {
        var session = Current;
        lock (s_gate)
        {
            closed = Disconnect();
            s_connection = new VmsConnection(facts, session.Connect(facts));
            return s_connection;
        }
    }

    /// <summary>Closes the open connection.</summary>
    /// <returns>That connection; null: none was open.</returns>
    internal static VmsConnection? Disconnect()
    {
        lock (s_gate)
        {
            var connection = s_connection;
            s_connection = null;
            connection?.Telemetry.Close();
            return connection;
        }
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
