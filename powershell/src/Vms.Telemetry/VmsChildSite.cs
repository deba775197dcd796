using System;

namespace Vms.Telemetry;

/// <summary>Shows a child site of the site that a connection leads to.</summary>
public sealed class VmsChildSite
{
    internal VmsChildSite(Guid id, string name, string version)
    {
        Id = id;
        Name = name;
        Version = version;
    }

    /// <summary>Gets the actual id of the child site; it is never sent.</summary>
    public Guid Id { get; }

    /// <summary>Gets the name of the child site.</summary>
    public string Name { get; }

    /// <summary>Gets the version of the child site; empty: it is not known.</summary>
    public string Version { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}
