using System;
using System.Collections.Generic;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// The module's configuration: <c>Get-VmsModuleConfig</c> returns it, and <c>Set-VmsModuleConfig</c> accepts it from
/// the pipeline.
/// </summary>
public sealed class VmsModuleConfig
{
    private readonly TelemetryConfig? _read;

    internal VmsModuleConfig(TelemetryConfig config, string? problem)
    {
        _read = config;
        ApplicationInsights = new(config.TelemetryEnabled, config.LogTelemetry, config.ConnectionString);
        TelemetryReason = config.TelemetryReason;
        ConnectionReason = config.ConnectionReason;
        LogReason = config.LogReason;
        SettingsFile = config.SettingsFile;
        DataFolder = config.DataFolder;
        LogFolder = config.LogFolder;
        Endpoint = ConnectionString.Host(config.ConnectionString);
        UserId = config.UserId;
        SessionId = config.SessionId;
        Layers = config.Layers;
        PendingEvents = config.PendingEvents;
        LastSent = config.LastSent;
        LastDeliveryFailure = problem ?? config.LastDeliveryFailure;
        LastFailure = config.LastFailure;
    }

    internal VmsModuleConfig(string problem)
    {
        ApplicationInsights = new(false, false, "");
        TelemetryReason = problem;
        LogReason = problem;
        LastFailure = problem;
    }

    /// <summary>Gets or sets whether events are recorded and sent. Also false if that is not known now.</summary>
    public bool EnableTelemetry
    {
        get => ApplicationInsights.Enabled;
        set => ApplicationInsights.Enabled = value;
    }

    /// <summary>Gets who decided whether telemetry is on, and why.</summary>
    public string TelemetryReason { get; }

    /// <summary>Gets why no event of the last connection is sent although telemetry is on. Empty if they are sent.</summary>
    public string ConnectionReason { get; } = "";

    /// <summary>Gets or sets whether events are written to the telemetry log. When telemetry is off, nothing is logged.</summary>
    public bool LogTelemetry
    {
        get => ApplicationInsights.IncludeInLogs;
        set => ApplicationInsights.IncludeInLogs = value;
    }

    /// <summary>Gets who decided whether events are logged.</summary>
    public string LogReason { get; }

    /// <summary>Gets the path of the settings file.</summary>
    public string SettingsFile { get; } = "";

    /// <summary>Gets the folder of the random ids and of the pending events.</summary>
    public string DataFolder { get; } = "";

    /// <summary>Gets the folder of the telemetry log.</summary>
    public string LogFolder { get; } = "";

    /// <summary>Gets the host that events go to. Empty if there is none.</summary>
    public string Endpoint { get; } = "";

    /// <summary>Gets what each layer says, the one that cannot be overridden first.</summary>
    public IReadOnlyList<string> Layers { get; } = [];

    /// <summary>Gets the random id of the user. All zero if there is none.</summary>
    public Guid UserId { get; }

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

    /// <summary>Gets the same choices under the names that MilestonePSTools gives them.</summary>
    public VmsApplicationInsightsConfig ApplicationInsights { get; }

    /// <summary>Gets what MilestonePSTools has beside them. It has no meaning here.</summary>
    public VmsMipConfig Mip { get; } = new();

    /// <summary>Gets whether the connection string was changed in this object.</summary>
    internal bool HasOtherConnectionString => ApplicationInsights.ConnectionString != (_read?.ConnectionString ?? "");

    /// <summary>Gets the choice that makes telemetry as this object says.</summary>
    internal TelemetryChoice TelemetryChoice => Choice(EnableTelemetry, _read?.TelemetryEnabled, _read?.TelemetryLayer);

    /// <summary>Gets the choice that makes the telemetry log as this object says.</summary>
    internal TelemetryChoice LogChoice => Choice(LogTelemetry, _read?.LogTelemetry, _read?.LogLayer);

    /// <summary>
    /// What was changed in the object is a choice of the user. What was not, becomes what it was when the object was read: a
    /// choice, or none. What somebody else decided stays.
    /// </summary>
    private static TelemetryChoice Choice(bool value, bool? before, TelemetryLayer? layer) =>
        value != before || layer == TelemetryLayer.SettingsFile ? (value ? TelemetryChoice.On : TelemetryChoice.Off)
            : layer == TelemetryLayer.Default ? TelemetryChoice.Reset
            : TelemetryChoice.Keep;
}
