namespace Vms.Telemetry;

/// <summary>
/// The value of the VMS option "Enable usage data collection for XProtect Smart Client".
/// </summary>
public enum UsageDataPolicy
{
    /// <summary>The option could not be read. No event of this connection is sent.</summary>
    Unknown = 0,

    /// <summary>The option is on.</summary>
    On = 1,

    /// <summary>
    /// The option is off. This opts the user out, in this session and in all later ones.
    /// </summary>
    Off = 2,

    /// <summary>The VMS does not have the option. It is treated as on.</summary>
    NotOffered = 3,
}
