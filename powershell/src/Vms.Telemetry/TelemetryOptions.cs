using System;
using System.Reflection;

namespace Vms.Telemetry;

/// <summary>Says who the host is, for <see cref="TelemetrySession.Start"/>.</summary>
public sealed class TelemetryOptions
{
    /// <summary>Creates options for a host with a version of its own.</summary>
    /// <param name="assemblyVersion">Version of the host: what <c>AssemblyVersion</c> in the events says.</param>
    public TelemetryOptions(string assemblyVersion)
    {
        AssemblyVersion = assemblyVersion ?? throw new ArgumentNullException(nameof(assemblyVersion));
    }

    /// <summary>Creates options for a host whose version is the ProductVersion of an assembly.</summary>
    /// <param name="host">The host's assembly; a program gives <see cref="Assembly.GetEntryAssembly"/>.</param>
    public TelemetryOptions(Assembly host)
        : this(ProductVersion(host ?? throw new ArgumentNullException(nameof(host))))
    {
    }

    /// <summary>Gets the version of the host.</summary>
    public string AssemblyVersion { get; }

    /// <summary>
    /// Gets or sets the Application Insights connection string; null: the built-in one. The environment variable
    /// <c>VMS_ApplicationInsights__ConnectionString</c> goes before it.
    /// </summary>
    public string? ConnectionString { get; set; }

    private static string ProductVersion(Assembly host)
    {
        var attribute = (AssemblyInformationalVersionAttribute?)Attribute.GetCustomAttribute(
            host,
            typeof(AssemblyInformationalVersionAttribute));
        return attribute?.InformationalVersion ?? host.GetName().Version.ToString();
    }
}
