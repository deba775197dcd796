using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause A4 for .NET: the library in a program without PowerShell, and its records against the C header.</summary>
public sealed class LibraryTests
{
    /// <summary>The sizes and offsets that the header has for 64 bits, counted by hand.</summary>
    [Theory]
    [InlineData("NativeSessionInfo", 48, "NamesProxy", 4, "AssemblyVersion", 8, "Environment", 40)]
    [InlineData("NativeCount", 8, "Known", 0, "Value", 4, "Value", 4)]
    [InlineData("NativeConnectionInfo", 120, "SiteId", 24, "ChildSites", 48, "OutputCount", 112)]
    [InlineData("NativeLogon", 64, "TimeoutSeconds", 20, "ServerAddress", 24, "Replaces", 56)]
    [InlineData("NativeSite", 1216, "Id", 8, "Version", 48, "Name", 184)]
    [InlineData("NativeServer", 3568, "Address", 16, "SiteId", 2360, "ProductVersion", 3432)]
    [InlineData("NativeConnectionState", 20, "Counting", 4, "UsageDataPolicy", 8, "ItemsCounted", 16)]
    [InlineData("NativeConfigChange", 24, "EnableTelemetry", 4, "HoldSending", 12, "Proxy", 16)]
    [InlineData("NativeConfig", 24, "TelemetryEnabled", 4, "LogTelemetry", 12, "PendingEvents", 20)]
    public void A4_records_are_laid_out_as_in_the_header(
        string record,
        int size,
        string first,
        int firstOffset,
        string second,
        int secondOffset,
        string third,
        int thirdOffset)
    {
        Assert.SkipUnless(Environment.Is64BitProcess, "The numbers are those of 64 bits.");
        var type = typeof(TelemetrySession).Assembly.GetType("Vms.Telemetry." + record, throwOnError: true)!;
        Assert.Equal(size, Marshal.SizeOf(type));
        Assert.Equal(firstOffset, (int)Marshal.OffsetOf(type, first));
        Assert.Equal(secondOffset, (int)Marshal.OffsetOf(type, second));
        Assert.Equal(thirdOffset, (int)Marshal.OffsetOf(type, third));
    }

    [Fact]
    public async Task A4_D5_a_program_reports_a_connection_to_where_the_environment_says()
    {
        using var sandbox = new Sandbox();
        // The program ends at once. What it did not send goes out with the next one, and what was under way once more.
        await HasReportedAConnection(sandbox, (await sandbox.Library("run")).Quiet());
    }

    [Fact]
    public async Task A4_D5_a_program_on_NET_Framework_reports_a_connection_to_where_the_environment_says()
    {
        Assert.SkipWhen(Given.IsWine, "Wine has no .NET Framework.");
        var runs = OperatingSystem.IsWindows() || Sandbox.Mono is not null;
        Assert.SkipUnless(runs, "Mono is missing: apt-get install mono-runtime libmono-system4.0-cil.");
        using var sandbox = new Sandbox();
        var result = (await sandbox.FrameworkLibrary("run")).Quiet();
        var family = OperatingSystem.IsWindows() ? ".NET Framework " : "Mono ";
        Assert.StartsWith(family, result.Values["Framework"], StringComparison.Ordinal);
        await HasReportedAConnection(sandbox, result);
    }

    [Fact]
    public async Task A4_C2_a_program_that_opted_out_reports_nothing()
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";

        var result = (await sandbox.Library("run")).Quiet();

        Assert.Equal("False", result.Values["IsReported"]);
        Assert.Equal("False", result.Values["TelemetryEnabled"]);
        Assert.Equal("DoNotTrack", result.Values["TelemetryLayer"]);
        Assert.False(Directory.Exists(sandbox.LocalData));
        Assert.Empty(await sandbox.Received(0));
    }

    [Fact]
    public async Task S3_a_program_whose_user_has_no_usable_home_runs_and_tells_why()
    {
        using var sandbox = new Sandbox();
        var below = Path.Combine(sandbox.WriteFile("file", ""), "home");
        foreach (var name in new[] { "HOME", "USERPROFILE", "LOCALAPPDATA" })
        {
            sandbox.Environment[name] = below;
        }

        sandbox.Environment["XDG_DATA_HOME"] = null;
        sandbox.Environment["XDG_STATE_HOME"] = null;

        var result = (await sandbox.Library("run")).Quiet();

        Assert.Equal("False", result.Values["IsReported"]);
        Assert.Contains(below, result.Values["LastFailure"], StringComparison.Ordinal);
        Assert.Empty(await sandbox.Received(0));
    }

    /// <summary>This very process has no native library beside its assembly.</summary>
    [Fact]
    public void A4_without_the_native_library_hooks_do_nothing_and_the_configuration_says_why()
    {
        using var session = TelemetrySession.Start(new TelemetryOptions("1.0"));
        Assert.Contains("no file ", session.Problem, StringComparison.Ordinal);
        using (var connection = session.Connect(new VmsConnectionFacts(Guid.NewGuid(), VmsUserType.BasicUser)))
        {
            Assert.False(connection.IsReported);
            Assert.Equal(session.Problem, connection.Problem);
        }

        var failure = Assert.Throws<TelemetryException>(session.GetConfig);
        Assert.Equal((TelemetryStatus.Unavailable, session.Problem), (failure.Status, failure.Message));
        failure = Assert.Throws<TelemetryException>(() => session.Configure(false, null));
        Assert.Equal(TelemetryStatus.Unavailable, failure.Status);
        session.HoldSending().Dispose();

        session.Dispose();
        Assert.Throws<ObjectDisposedException>(session.GetConfig);
    }

    /// <summary>
    /// A program in a single file has its assembly in memory, and its native libraries where it extracted them when it
    /// started: .NET says where. Here the script host takes the program's part.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A4_a_program_in_a_single_file_finds_the_native_library_where_it_was_extracted(bool isExtracted)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";
        var folders = isExtracted ? Directory.GetDirectories(Given.Module, "*-x64") : [sandbox.Root];
        var assembly = Path.Combine(Path.GetDirectoryName(Given.LibraryHost)!, "Vms.Telemetry.dll");

        var result = await sandbox.Script(
            $$"""
            [AppContext]::SetData('NATIVE_DLL_SEARCH_DIRECTORIES', '{{string.Join(Path.PathSeparator, folders)}}')
            [void][Reflection.Assembly]::Load([IO.File]::ReadAllBytes('{{assembly}}'))
            $session = [Vms.Telemetry.TelemetrySession]::Start([Vms.Telemetry.TelemetryOptions]::new('5.0.0'))
            "Problem=$($session.Problem)"
            """);

        var problem = result.Quiet().Values["Problem"];
        if (isExtracted)
        {
            Assert.Equal("", problem);
        }
        else
        {
            Assert.Contains("no file " + sandbox.Root, problem, StringComparison.Ordinal);
        }
    }

    private static async Task HasReportedAConnection(Sandbox sandbox, ChildResult program)
    {
        var said = program.Values;
        Assert.Equal("True", said["IsReported"]);
        Assert.Equal("True", said["TelemetryEnabled"]);
        Assert.Equal(sandbox.DataFolder, said["DataFolder"]);
        Assert.Equal(sandbox.SettingsFile, said["SettingsFile"]);
        Assert.Equal("", said["Problem"]);

        var (_, events) = await sandbox.ScriptWithEvents("Import-Module VmsTelemetry", 4);
        var own = events
            .Where(sent => sent.Properties["SessionId"] == said["SessionId"])
            .DistinctBy(sent => sent.Name)
            .ToList();
        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], own.Select(sent => sent.Name));
        // Mono's name holds its build, with what could be an address in it, so it is left out.
        var isSent = !said["Framework"].StartsWith("Mono ", StringComparison.Ordinal);
        Assert.Equal(isSent ? said["Framework"] : null, own[0].Properties.GetValueOrDefault("FrameworkDescription"));
        Assert.Equal(64, own[1].Measurements["CameraCount"]);
    }
}
