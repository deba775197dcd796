using System;

namespace Vms.Telemetry;

/// <summary>What is known of a VMS after a call of find_vms or connect_vms. A string is empty if it is not known.</summary>
internal sealed class VmsServer(
    string address,
    bool encryptionEnabled,
    string tokenEndpoint,
    Guid siteId,
    string siteName,
    string productName,
    string productVersion,
    uint childSites,
    string gateway,
    string tlsVersion)
{
    internal string Address { get; } = address;

    internal bool EncryptionEnabled { get; } = encryptionEnabled;

    internal string TokenEndpoint { get; } = tokenEndpoint;

    internal Guid SiteId { get; } = siteId;

    internal string SiteName { get; } = siteName;

    internal string ProductName { get; } = productName;

    internal string ProductVersion { get; } = productVersion;

    internal uint ChildSites { get; } = childSites;

    internal string Gateway { get; } = gateway;

    internal string TlsVersion { get; } = tlsVersion;
}
