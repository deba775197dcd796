using System.Collections;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// The settings of the MIP SDK that MilestonePSTools has in its configuration. They have no meaning here. A script can set them, and
/// what else it sets in the same object takes effect.
/// </summary>
public sealed class VmsMipConfig
{
    internal VmsMipConfig()
    {
    }

    /// <summary>Gets or sets settings of its environment manager.</summary>
    public object? EnvironmentManager { get; set; } = new Hashtable();

    /// <summary>Gets or sets properties of its environment.</summary>
    public object? EnvironmentProperties { get; set; } = new Hashtable();

    /// <summary>Gets or sets settings of its configuration API.</summary>
    public object? ConfigurationApiManager { get; set; } = new Hashtable();

    /// <summary>Gets or sets whether it caches the management server.</summary>
    public object? UseCachedManagementServer { get; set; }

    /// <summary>Gets or sets the number of its proxies.</summary>
    public object? ProxyPoolSize { get; set; }

    /// <summary>Gets whether a script has set something.</summary>
    internal bool IsChanged => UseCachedManagementServer is not null || ProxyPoolSize is not null
        || EnvironmentManager is not Hashtable { Count: 0 } || EnvironmentProperties is not Hashtable { Count: 0 }
        || ConfigurationApiManager is not Hashtable { Count: 0 };
}
