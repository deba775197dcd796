using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Azure.Monitor.OpenTelemetry.Exporter;
using Microsoft.Extensions.Logging;

namespace PeerModule;

/// <summary>Records <c>NewSession</c> with Microsoft's exporter for OpenTelemetry, as its documentation does for a custom event.</summary>
public static class ExporterClient
{
    private static ILoggerFactory? s_factory;

    /// <summary>Makes a logger and records the event.</summary>
    /// <param name="connectionString">Where it goes.</param>
    /// <param name="version">The version of the host.</param>
    /// <param name="disk">Not used: the exporter chooses its folder itself.</param>
    /// <returns>The exporter's version.</returns>
    public static string Start(string connectionString, string version, string? disk)
    {
        // The exporter reports on itself, to a service of its maker.
        Environment.SetEnvironmentVariable("APPLICATIONINSIGHTS_STATSBEAT_DISABLED", "true");
        s_factory = LoggerFactory.Create(builder => builder.AddOpenTelemetry(options =>
            options.AddAzureMonitorLogExporter(exporter =>
            {
                exporter.ConnectionString = connectionString;
                exporter.EnableLiveMetrics = false;
            })));
        string session = Guid.NewGuid().ToString();
        using Process process = Process.GetCurrentProcess();
#pragma warning disable CA1727, CA1848, CA1873, CA2254 // The bench measures the first event, as a module would record it.
        s_factory.CreateLogger("PeerModule").LogInformation(
            "{microsoft.custom_event.name} {SessionId} {AssemblyVersion} {OSDescription} {FrameworkDescription} {ProcessorCount} {PrivateBytes}",
            "NewSession",
            session,
            version,
            RuntimeInformation.OSDescription,
            RuntimeInformation.FrameworkDescription,
            Environment.ProcessorCount,
            process.PrivateMemorySize64);
#pragma warning restore CA1727, CA1848, CA1873, CA2254
        return typeof(AzureMonitorExporterOptions).Assembly.GetName().Version?.ToString() ?? string.Empty;
    }

    /// <summary>Sends what was recorded and waits for the answer.</summary>
    public static void Flush() => s_factory?.Dispose();
}
