using System;

namespace Vms.Telemetry;

/// <summary>The configuration in effect at one moment, and who decided it.</summary>
public sealed class TelemetryConfig
{
    internal TelemetryConfig()
    {
    }

    /// <summary>Gets whether events are recorded and sent; false also while that is not known.</summary>
    public bool TelemetryEnabled { get; internal set; }

    /// <summary>Gets who decided whether telemetry is on.</summary>
    public TelemetryLayer TelemetryLayer { get; internal set; }

    /// <summary>Gets the reason why telemetry is on or off, in words.</summary>
    public string TelemetryReason { get; internal set; } = "";

    /// <summary>Gets why nothing of the last connection is sent although telemetry is on; empty: it is sent.</summary>
    public string ConnectionReason { get; internal set; } = "";

    /// <summary>Gets whether events are written to the telemetry log; with telemetry off nothing is logged.</summary>
    public bool LogTelemetry { get; internal set; }

    /// <summary>Gets who decided whether events are logged.</summary>
    public TelemetryLayer LogLayer { get; internal set; }

    /// <summary>Gets who decided whether events are logged, in words.</summary>
    public string LogReason { get; internal set; } = "";

    /// <summary>Gets the path of the settings file; empty if there is none.</summary>
    public string SettingsFile { get; internal set; } = "";

    /// <summary>Gets the folder of the random ids and of the pending events; empty if there is none.</summary>
    public string DataFolder { get; internal set; } = "";

    /// <summary>Gets the folder of the telemetry log; empty if there is none.</summary>
    public string LogFolder { get; internal set; } = "";

    /// <summary>Gets the random id of this session.</summary>
    public Guid SessionId { get; internal set; }

    /// <summary>Gets the number of events pending for the destination of this session.</summary>
    public long PendingEvents { get; internal set; }

    /// <summary>Gets when Application Insights last accepted events; null: it never did.</summary>
    public DateTimeOffset? LastSent { get; internal set; }

    /// <summary>Gets why the last attempt to send failed; empty: it did not.</summary>
    public string LastDeliveryFailure { get; internal set; } = "";

    /// <summary>Gets the last local error, for example a file that could not be written; empty: nothing did.</summary>
    public string LastFailure { get; internal set; } = "";
}
