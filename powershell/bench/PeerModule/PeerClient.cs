using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.ApplicationInsights;
using Microsoft.ApplicationInsights.DataContracts;
using Microsoft.ApplicationInsights.Extensibility;
using Microsoft.ApplicationInsights.Extensibility.Implementation;
using Microsoft.ApplicationInsights.WindowsServer.TelemetryChannel;

namespace PeerModule;

/// <summary>
/// Records <c>NewSession</c> with Microsoft's SDK, as a module does that uses it directly, with nothing that names the
/// computer.
/// </summary>
public static class PeerClient
{
    private static TelemetryConfiguration? s_configuration;
    private static TelemetryClient? s_client;

    /// <summary>Makes a client and records the event.</summary>
    /// <param name="connectionString">Where it goes.</param>
    /// <param name="version">The version of the host.</param>
    /// <param name="disk">The folder of the channel that keeps events on disk, or <see langword="null"/> for the channel in memory.</param>
    /// <returns>The SDK's version.</returns>
    public static string Start(string connectionString, string version, string? disk)
    {
        s_configuration = new TelemetryConfiguration { ConnectionString = connectionString };
        if (disk is not null)
        {
            UseDisk(s_configuration, disk);
        }
        s_client = new TelemetryClient(s_configuration);
        string user = Guid.NewGuid().ToString();
        string session = Guid.NewGuid().ToString();
        TelemetryContext context = s_client.Context;
        context.Component.Version = version;
        context.Cloud.RoleName = "na";
        context.Cloud.RoleInstance = "na";
        context.Session.Id = session;
        context.User.Id = user;
        context.User.AuthenticatedUserId = "na";
        context.Location.Ip = "0.0.0.0";
        context.GetInternalContext().NodeName = "na";
        using Process process = Process.GetCurrentProcess();
        var properties = new Dictionary<string, string>
        {
            ["uuid"] = user,
            ["SessionId"] = session,
            ["AssemblyVersion"] = version,
            ["OSDescription"] = RuntimeInformation.OSDescription,
            ["FrameworkDescription"] = RuntimeInformation.FrameworkDescription,
        };
        var measurements = new Dictionary<string, double>
        {
            ["ProcessorCount"] = Environment.ProcessorCount,
            ["PrivateBytes"] = process.PrivateMemorySize64,
        };
        s_client.TrackEvent("NewSession", properties, measurements);
        return typeof(TelemetryClient).Assembly.GetName().Version?.ToString() ?? string.Empty;
    }

    /// <summary>In a method of its own, so that the assembly of the channel is loaded for it alone.</summary>
    private static void UseDisk(TelemetryConfiguration configuration, string disk)
    {
        var channel = new ServerTelemetryChannel { StorageFolder = disk };
        channel.Initialize(configuration);
        configuration.TelemetryChannel = channel;
    }

    /// <summary>Sends what was recorded and waits for the answer.</summary>
    public static void Flush() => s_client?.Flush();
}
