namespace Vms.Telemetry;

/// <summary>The texts that get_connection_text gives: VMS_CONNECTION_*.</summary>
internal enum NativeConnectionText : uint
{
    Address = 1,
    SiteId = 2,
    SiteName = 3,
    ProductName = 4,
    ProductVersion = 5,
    TokenEndpoint = 6,
    Failure = 7,
    ChildSites = 8,
}
