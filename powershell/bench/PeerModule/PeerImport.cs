using System;
using System.IO;
using System.Management.Automation;
using System.Reflection;
using System.Runtime.Loader;

namespace PeerModule;

/// <summary>
/// Does at import what the peer needs for its first event. The engine has a copy of the SDK of its own loaded, so the
/// peer's version lives in a load context of its own, which costs well under a millisecond.
/// </summary>
public sealed class PeerImport : IModuleAssemblyInitializer
{
    private static Type? s_client;

    /// <summary>Gives the version of the SDK that was loaded.</summary>
    public static string Version { get; private set; } = string.Empty;

    /// <inheritdoc/>
    public void OnImport()
    {
        string path = typeof(PeerImport).Assembly.Location;
        Assembly assembly = new PeerContext(Path.GetDirectoryName(path)!).LoadFromAssemblyPath(path);
        string? peer = Environment.GetEnvironmentVariable("VMS_BENCH_PEER");
        string name = peer == "exporter" ? "PeerModule.ExporterClient" : "PeerModule.PeerClient";
        s_client = assembly.GetType(name, throwOnError: true);
        string? connectionString = Environment.GetEnvironmentVariable("VMS_ApplicationInsights__ConnectionString");
        string version = Environment.GetEnvironmentVariable("VMS_PEER_VERSION") ?? "1.0.0";
        string? disk = peer == "disk" ? Directory.CreateTempSubdirectory("peer").FullName : null;
        Version = (string)s_client!.GetMethod("Start")!.Invoke(null, [connectionString, version, disk])!;
    }

    /// <summary>Sends what was recorded and waits for the answer.</summary>
    public static void Flush() => s_client?.GetMethod("Flush")!.Invoke(null, null);

    private sealed class PeerContext(string folder) : AssemblyLoadContext("peer")
    {
        protected override Assembly? Load(AssemblyName assemblyName)
        {
            string path = Path.Combine(folder, assemblyName.Name + ".dll");
            return File.Exists(path) ? LoadFromAssemblyPath(path) : null;
        }
    }
}
