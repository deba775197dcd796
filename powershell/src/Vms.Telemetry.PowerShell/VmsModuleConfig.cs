using System;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// The module's configuration: <c>Get-VmsModuleConfig</c> returns it, and <c>Set-VmsModuleConfig</c> accepts it from
/// the pipeline.
/// </summary>
public sealed class VmsModuleConfig
{
    internal VmsModuleConfig(TelemetryConfig config, string? problem)
    {
        EnableTelemetry = config.TelemetryEnabled;
        TelemetryReason = config.TelemetryReason;
        ConnectionReason = config.ConnectionReason;
        LogTelemetry = config.LogTelemetry;
        LogReason = config.LogReason;
        SettingsFile = config.SettingsFile;
        DataFolder = config.DataFolder;
        LogFolder = config.LogFolder;
        SessionId = config.SessionId;
        PendingEvents = config.PendingEvents;
        LastSent = config.LastSent;
        LastDeliveryFailure = problem ?? config.LastDeliveryFailure;
        LastFailure = config.LastFailure;
    }

    internal VmsModuleConfig(string problem)
    {
        TelemetryReason = problem;
        LogReason = problem;
        LastFailure = problem;
    }

    /// <summary>Gets whether events are recorded and sent. Also false if that is not known now.</summary>
    public bool EnableTelemetry { get; }

    /// <summary>Gets who decided whether telemetry is on, and why.</summary>
    public string TelemetryReason { get; }

    /// <summary>Gets why no event of the last connection is sent although telemetry is on. Empty if they are sent.</summary>
    public string ConnectionReason { get; } = "";

    /// <summary>Gets whether events are written to the telemetry log. When telemetry is off, nothing is logged.</summary>
    public bool LogTelemetry { get; }

    /// <summary>Gets who decided whether events are logged.</summary>
    public string LogReason { get; }

    /// <summary>Gets the path of the settings file.</summary>
    public string SettingsFile { get; } = "";

    /// <summary>Gets the folder of the random ids and of the pending events.</summary>
    public string DataFolder { get; } = "";

    /// <summary>Gets the folder of the telemetry log.</summary>
    public string LogFolder { get; } = "";

    /// <summary>Gets the random id of this session. All zero if there is none.</summary>
    public Guid SessionId { get; }

    /// <summary>Gets the number of events pending for the destination of this session.</summary>
    public long PendingEvents { get; }

    /// <summary>Gets when Application Insights last accepted events. Null if it never did.</summary>
    public DateTimeOffset? LastSent { get; }

    /// <summary>Gets why the last attempt to send failed. Empty if it did not.</summary>
    public string LastDeliveryFailure { get; } = "";

    /// <summary>Gets the last local error. Empty if there was none.</summary>
    public string LastFailure { get; }
}
