namespace Vms.Telemetry;

/// <summary>Who decided a value of the configuration.</summary>
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

    /// <summary>The administrator of this computer, by a policy that users cannot override.</summary>
    MachinePolicy = 6,

    /// <summary>The user opted out in this session, and that could not be stored. It ends with the process.</summary>
    Session = 7,

    /// <summary>
    /// It is not known now whether there is an opt-out, for example because the settings file is locked or damaged. Nothing
    /// is recorded or sent. Pending events are kept.
    /// </summary>
    Unsure = 8,
}
