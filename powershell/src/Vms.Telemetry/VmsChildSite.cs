using System;

namespace Vms.Telemetry;

/// <summary>A child site of a VMS site.</summary>
public sealed class VmsChildSite
{
    internal VmsChildSite(Guid id, string name, string version)
    {
        Id = id;
        Name = name;
        Version = version;
    }

    /// <summary>Gets the actual id of the child site. It is not sent.</summary>
    public Guid Id { get; }

    /// <summary>Gets the name of the child site.</summary>
    public string Name { get; }

    /// <summary>Gets the version of the child site. Empty if it is not known.</summary>
    public string Version { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
