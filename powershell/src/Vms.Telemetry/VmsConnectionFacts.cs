using System;

namespace Vms.Telemetry;

/// <summary>The facts of a connection to an XProtect VMS. A fact that is null is left out of the event.</summary>
public sealed class VmsConnectionFacts
{
    /// <summary>Creates the facts of a connection.</summary>
    /// <param name="siteId">The actual id of the site.</param>
    /// <param name="userType">The kind of user.</param>
    public VmsConnectionFacts(Guid siteId, VmsUserType userType)
    {
        SiteId = siteId;
        UserType = userType;
    }

    /// <summary>Gets the actual id of the site. It is not sent: the event has a random id instead.</summary>
    public Guid SiteId { get; }

    /// <summary>Gets the kind of user.</summary>
    public VmsUserType UserType { get; }

    /// <summary>Gets or sets the value of the usage data option of the VMS. If it is not set, no event is sent.</summary>
    public UsageDataPolicy UsageDataPolicy { get; set; }

    /// <summary>Gets or sets whether the connection uses OAuth.</summary>
    public bool? IsOAuthConnection { get; set; }

    /// <summary>Gets or sets whether the connection uses HTTPS.</summary>
    public bool? EncryptionEnabled { get; set; }

    /// <summary>Gets or sets the product name of the VMS.</summary>
    public string? ProductName { get; set; }

    /// <summary>Gets or sets the version of the VMS.</summary>
    public string? ProductVersion { get; set; }

    /// <summary>Gets or sets the number of child sites.</summary>
    public uint? ChildSites { get; set; }

    /// <summary>Gets or sets the number of recording servers.</summary>
    public uint? Recorders { get; set; }

    /// <summary>Gets or sets the number of hardware devices.</summary>
    public uint? HardwareCount { get; set; }

    /// <summary>Gets or sets the number of enabled cameras.</summary>
    public uint? CameraCount { get; set; }

    /// <summary>Gets or sets the number of enabled microphones.</summary>
    public uint? MicrophoneCount { get; set; }

    /// <summary>Gets or sets the number of enabled speakers.</summary>
    public uint? SpeakerCount { get; set; }

    /// <summary>Gets or sets the number of enabled metadata channels.</summary>
    public uint? MetadataCount { get; set; }

    /// <summary>Gets or sets the number of enabled inputs.</summary>
    public uint? InputCount { get; set; }

    /// <summary>Gets or sets the number of enabled outputs.</summary>
    public uint? OutputCount { get; set; }
}
