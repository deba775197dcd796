using System;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows the open connection to a VMS: what <c>Connect-Vms</c> gives.</summary>
public sealed class VmsConnection
{
    internal VmsConnection(VmsConnectionFacts facts, TelemetryConnection telemetry)
    {
        SiteId = facts.SiteId;
        UserType = facts.UserType;
        IsOAuthConnection = facts.IsOAuthConnection == true;
        EncryptionEnabled = facts.EncryptionEnabled == true;
        ProductName = facts.ProductName;
        ProductVersion = facts.ProductVersion;
        UsageDataPolicy = facts.UsageDataPolicy;
        ConnectedSince = DateTimeOffset.Now;
        Telemetry = telemetry;
    }

    /// <summary>Gets the actual id of the site; it is never sent.</summary>
    public Guid SiteId { get; }

    /// <summary>Gets the kind of user.</summary>
    public VmsUserType UserType { get; }

    /// <summary>Gets whether the connection uses OAuth.</summary>
    public bool IsOAuthConnection { get; }

    /// <summary>Gets whether the connection uses HTTPS.</summary>
    public bool EncryptionEnabled { get; }

    /// <summary>Gets the product name of the VMS.</summary>
    public string? ProductName { get; }

    /// <summary>Gets the version of the VMS.</summary>
    public string? ProductVersion { get; }

    /// <summary>Gets what the VMS says about usage data.</summary>
    public UsageDataPolicy UsageDataPolicy { get; }

    /// <summary>Gets when the connection was opened.</summary>
    public DateTimeOffset ConnectedSince { get; }

    internal TelemetryConnection Telemetry { get; }
}
