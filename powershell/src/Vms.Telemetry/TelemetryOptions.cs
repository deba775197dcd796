using System;
using System.Reflection;

namespace Vms.Telemetry;

/// <summary>Describes the host program, for <see cref="TelemetrySession.Start"/>.</summary>
public sealed class TelemetryOptions
{
    /// <summary>Creates options for a host program with this version.</summary>
    /// <param name="assemblyVersion">Version of the host program. It is the field <c>AssemblyVersion</c> in the events.</param>
    public TelemetryOptions(string assemblyVersion)
    {
        AssemblyVersion = assemblyVersion ?? throw new ArgumentNullException(nameof(assemblyVersion));
    }

    /// <summary>Creates options for a host program whose version is the ProductVersion of an assembly.</summary>
    /// <param name="host">The assembly, for example <see cref="Assembly.GetEntryAssembly"/>.</param>
    public TelemetryOptions(Assembly host)
        : this(ProductVersion(host ?? throw new ArgumentNullException(nameof(host))))
    {
    }

    /// <summary>Gets the version of the host program.</summary>
    public string AssemblyVersion { get; }

    /// <summary>
    /// Gets or sets the Application Insights connection string. Null for the built-in one. The environment variable
    /// <c>VMS_ApplicationInsights__ConnectionString</c> takes precedence.
    /// </summary>
    public string? ConnectionString { get; set; }

    internal static string ProductVersion(Assembly host)
    {
        var attribute = (AssemblyInformationalVersionAttribute?)Attribute.GetCustomAttribute(
            host,
            typeof(AssemblyInformationalVersionAttribute));
        return attribute?.InformationalVersion ?? host.GetName().Version.ToString();
    }
}
