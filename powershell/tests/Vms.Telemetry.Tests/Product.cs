using System.Reflection;

namespace Vms.Telemetry.Tests;

/// <summary>The product under test.</summary>
internal static class Product
{
    /// <summary>The version that stands in Cargo.toml, as the build put it into every assembly.</summary>
    internal static string Version { get; } =
        typeof(TelemetrySession).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
}
