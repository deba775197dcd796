using System;
using System.Globalization;
using System.Runtime.InteropServices;
using Vms.Telemetry;

namespace LibraryHost;

/// <summary>
/// A .NET program with telemetry: <c>start-only</c> starts a session, <c>config</c> shows its configuration as well,
/// and <c>run</c> also connects to a VMS and disconnects before that.
/// </summary>
internal static class Program
{
    private const int BadUsage = 64;

    /// <summary>A site that nobody has.</summary>
    private static readonly Guid s_site = new("01234567-89ab-4cde-8f01-23456789abcd");

    internal static int Main(string[] arguments)
    {
        var task = arguments.Length == 1 ? arguments[0] : "";
        if (task is not ("run" or "config" or "start-only"))
        {
            Console.Error.WriteLine("Usage: LibraryHost run | config | start-only");
            return BadUsage;
        }

        using var session = TelemetrySession.Start(new TelemetryOptions(typeof(Program).Assembly));
        Print("Problem", session.Problem);
        Print("Framework", RuntimeInformation.FrameworkDescription);
        if (task == "run")
        {
            Run(session);
        }

        return task == "start-only" || Show(session) ? 0 : 1;
    }

    private static void Run(TelemetrySession session)
    {
        var facts = new VmsConnectionFacts(s_site, VmsUserType.BasicUser)
        {
            UsageDataPolicy = UsageDataPolicy.On,
            EncryptionEnabled = true,
            ProductName = "XProtect Corporate 2024 R1",
            ProductVersion = "24.1.0.1",
            CameraCount = 64,
        };
        using var connection = session.Connect(facts);
        Print("IsReported", connection.IsReported);
        connection.Close();
        Print("ConnectionProblem", connection.Problem);
    }

    private static bool Show(TelemetrySession session)
    {
        try
        {
            var config = session.GetConfig();
            Print(nameof(config.TelemetryEnabled), config.TelemetryEnabled);
            Print(nameof(config.TelemetryLayer), config.TelemetryLayer);
            Print(nameof(config.TelemetryReason), config.TelemetryReason);
            Print(nameof(config.LogTelemetry), config.LogTelemetry);
            Print(nameof(config.LogLayer), config.LogLayer);
            Print(nameof(config.LogReason), config.LogReason);
            Print(nameof(config.SettingsFile), config.SettingsFile);
            Print(nameof(config.DataFolder), config.DataFolder);
            Print(nameof(config.LogFolder), config.LogFolder);
            Print(nameof(config.SessionId), config.SessionId);
            Print(nameof(config.PendingEvents), config.PendingEvents);
            Print(nameof(config.LastSent), config.LastSent?.ToString("O", CultureInfo.InvariantCulture));
            Print(nameof(config.LastDeliveryFailure), config.LastDeliveryFailure);
            Print(nameof(config.LastFailure), config.LastFailure);
            return true;
        }
        catch (TelemetryException exception)
        {
            Console.Error.WriteLine(exception.Status + ": " + exception.Message);
            return false;
        }
    }

    private static void Print(string name, object? value) => Console.WriteLine(name + "=" + value);
}
