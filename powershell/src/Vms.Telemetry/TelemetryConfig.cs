using System;
using System.Collections.Generic;

namespace Vms.Telemetry;

/// <summary>The configuration in effect at one time, and who decided it.</summary>
public sealed class TelemetryConfig
{
    internal TelemetryConfig()
    {
    }

    /// <summary>Gets whether events are recorded and sent. Also false if that is not known now.</summary>
    public bool TelemetryEnabled { get; internal set; }

    /// <summary>Gets who decided whether telemetry is on.</summary>
    public TelemetryLayer TelemetryLayer { get; internal set; }

    /// <summary>Gets the reason why telemetry is on or off.</summary>
    public string TelemetryReason { get; internal set; } = "";

    /// <summary>Gets why no event of the last connection is sent although telemetry is on. Empty if they are sent.</summary>
    public string ConnectionReason { get; internal set; } = "";

    /// <summary>Gets whether events are written to the telemetry log. When telemetry is off, nothing is logged.</summary>
    public bool LogTelemetry { get; internal set; }

    /// <summary>Gets who decided whether events are logged.</summary>
    public TelemetryLayer LogLayer { get; internal set; }

    /// <summary>Gets the reason why events are logged or not.</summary>
    public string LogReason { get; internal set; } = "";

    /// <summary>Gets the path of the settings file. Empty if there is none.</summary>
    public string SettingsFile { get; internal set; } = "";

    /// <summary>Gets the folder of the random ids and of the pending events. Empty if there is none.</summary>
    public string DataFolder { get; internal set; } = "";

    /// <summary>Gets the folder of the telemetry log. Empty if there is none.</summary>
    public string LogFolder { get; internal set; } = "";

    /// <summary>Gets the connection string in use. Empty if none can be used.</summary>
    public string ConnectionString { get; internal set; } = "";

    /// <summary>Gets the random id of the user. All zero if there is none.</summary>
    public Guid UserId { get; internal set; }

    /// <summary>Gets what each layer says, the one that cannot be overridden first, such as <c>SettingsFile=off</c>.</summary>
    public IReadOnlyList<string> Layers { get; internal set; } = [];

    /// <summary>Gets the random id of this session.</summary>
    public Guid SessionId { get; internal set; }

    /// <summary>Gets the number of events pending for the destination of this session.</summary>
    public long PendingEvents { get; internal set; }

    /// <summary>Gets when Application Insights last accepted events. Null if it never did.</summary>
    public DateTimeOffset? LastSent { get; internal set; }

    /// <summary>Gets why the last attempt to send failed. Empty if it did not.</summary>
    public string LastDeliveryFailure { get; internal set; } = "";

    /// <summary>Gets the last local error, for example a file that could not be written. Empty if there was none.</summary>
    public string LastFailure { get; internal set; } = "";
}
