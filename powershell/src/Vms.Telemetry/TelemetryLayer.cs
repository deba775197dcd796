namespace Vms.Telemetry;

/// <summary>Names who decided a value of the configuration.</summary>
public enum TelemetryLayer
{
    /// <summary>Nobody said anything: the default holds.</summary>
    Default = 0,

    /// <summary>The user's settings file.</summary>
    SettingsFile = 1,

    /// <summary>An environment variable <c>VMS_ApplicationInsights__*</c>.</summary>
    Environment = 2,

    /// <summary>The environment variable <c>DO_NOT_TRACK</c>.</summary>
    DoNotTrack = 3,

    /// <summary>A VMS whose option "Enable usage data collection" is unchecked.</summary>
    VmsPolicy = 4,

    /// <summary>Telemetry cannot work here, as where there is no folder or the settings file is broken.</summary>
    Unusable = 5,
}
