namespace Vms.Telemetry;

/// <summary>Names who decided a value of the configuration.</summary>
public enum TelemetryLayer
{
    /// <summary>The default: nobody has opted in or out.</summary>
    Default = 0,

    /// <summary>The user's settings file.</summary>
    SettingsFile = 1,

    /// <summary>An environment variable <c>VMS_ApplicationInsights__*</c> or <c>VMS_ApplicationInsights:*</c>.</summary>
    Environment = 2,

    /// <summary>The environment variable <c>DO_NOT_TRACK</c>.</summary>
    DoNotTrack = 3,

    /// <summary>A VMS whose option "Enable usage data collection" is unchecked.</summary>
    VmsPolicy = 4,

    /// <summary>Telemetry cannot work in this process: no folder, an unusable connection string.</summary>
    Unusable = 5,

    /// <summary>The administrator of this computer, by a policy that no user can lift.</summary>
    MachinePolicy = 6,

    /// <summary>The user opted out in this session, and that could not be stored: it ends with the process.</summary>
    Session = 7,

    /// <summary>
    /// At the moment it is not known whether somebody has opted out, for example because the settings file cannot be
    /// parsed or is locked. Nothing is recorded or sent; pending events are kept.
    /// </summary>
    Unsure = 8,
}
