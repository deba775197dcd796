namespace Vms.Telemetry;

/// <summary>
/// Says what the VMS answers when asked for its option "Enable usage data collection for XProtect Smart Client".
/// </summary>
public enum UsageDataPolicy
{
    /// <summary>The option could not be read: nothing of this connection is sent.</summary>
    Unknown = 0,

    /// <summary>The option is on.</summary>
    On = 1,

    /// <summary>
    /// The option is off: telemetry is switched off for this user, in this session and in all later ones.
    /// </summary>
    Off = 2,

    /// <summary>The VMS does not have the option: as if it were on.</summary>
    NotOffered = 3,
}
