namespace Vms.Telemetry;

/// <summary>The kind of user that connected to the VMS.</summary>
public enum VmsUserType
{
    /// <summary>A basic user of the VMS.</summary>
    BasicUser = 1,

    /// <summary>A Windows or Active Directory user.</summary>
    WindowsUser = 2,

    /// <summary>A user of an external identity provider.</summary>
    OAuthUser = 3,
}
