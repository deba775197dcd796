using System;

namespace Vms.Telemetry;

/// <summary>Shows the configuration that holds at one moment, and who decided it.</summary>
public sealed class TelemetryConfig
{
    internal TelemetryConfig()
    {
    }

    /// <summary>Gets whether events are recorded and sent.</summary>
    public bool TelemetryEnabled { get; internal set; }

    /// <summary>Gets who decided whether telemetry is on.</summary>
    public TelemetryLayer TelemetryLayer { get; internal set; }

    /// <summary>Gets who decided whether telemetry is on, and why, in words.</summary>
    public string TelemetryReason { get; internal set; } = "";

    /// <summary>Gets why nothing of the last connection is sent although telemetry is on; empty: it is sent.</summary>
    public string ConnectionReason { get; internal set; } = "";

    /// <summary>Gets whether events are written to the raw log; with telemetry off nothing is logged.</summary>
    public bool LogTelemetry { get; internal set; }

    /// <summary>Gets who decided whether events are logged.</summary>
    public TelemetryLayer LogLayer { get; internal set; }

    /// <summary>Gets who decided whether events are logged, in words.</summary>
    public string LogReason { get; internal set; } = "";

    /// <summary>Gets the path of the settings file; empty where there is none.</summary>
    public string SettingsFile { get; internal set; } = "";

    /// <summary>Gets the folder of the random ids and of the events that wait; empty where there is none.</summary>
    public string DataFolder { get; internal set; } = "";

    /// <summary>Gets the folder of the raw log; empty where there is none.</summary>
    public string LogFolder { get; internal set; } = "";

    /// <summary>Gets the random id of this session.</summary>
    public Guid SessionId { get; internal set; }

    /// <summary>Gets the number of events that wait to be sent.</summary>
    public long PendingEvents { get; internal set; }

    /// <summary>Gets when the service last took events; null: it never did.</summary>
    public DateTimeOffset? LastSent { get; internal set; }

    /// <summary>Gets why the last attempt to send failed; empty: it did not.</summary>
    public string LastDeliveryFailure { get; internal set; } = "";

    /// <summary>Gets what last failed on this computer, as a file that could not be written; empty: nothing did.</summary>
    public string LastFailure { get; internal set; } = "";
}
