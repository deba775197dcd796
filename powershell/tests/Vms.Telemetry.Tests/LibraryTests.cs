using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause A4 for .NET: the library in a program without PowerShell, and its records against the C header.</summary>
public sealed class LibraryTests
{
    private const BindingFlags Fields = BindingFlags.Instance | BindingFlags.NonPublic;

    /// <summary>A line of the C program is "VmsSite.name 184 1032", with offset and size, or "VmsSite 1216".</summary>
    [Fact]
    public async Task A4_records_are_laid_out_as_a_C_compiler_lays_out_the_header()
    {
        Given.Needs(Given.Layout is not null, "A C compiler is missing: apt-get install gcc.");
        using var layout = new Child(Given.Layout!, [], new Dictionary<string, string?>());
        var lines = (await layout.End()).Quiet().Lines;
        Assert.Equal(lines, lines.Select(line => Record(line.Split('.', ' ')[0]) is var type && line.Contains('.')
            ? OfMember(type, line.Split(' ')[0])
            : $"{line.Split(' ')[0]} {Marshal.SizeOf(type)}"));
        Assert.Equal(9, lines.Count(line => !line.Contains('.')));
        Assert.Equal(
            lines.Where(line => !line.Contains('.')).Sum(line => Record(line.Split(' ')[0]).GetFields(Fields).Length),
            lines.Count(line => line.Contains('.')));
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
        Given.Needs(runs, "Mono is missing: apt-get install mono-runtime libmono-system4.0-cil.");
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

    private static Type Record(string name) =>
        typeof(TelemetrySession).Assembly.GetType($"Vms.Telemetry.Native{name["Vms".Length..]}", throwOnError: true)!;

    /// <summary>Says of a record's field what the C program says of the member with the same name.</summary>
    private static string OfMember(Type type, string member)
    {
        var name = member.Split('.')[1].Replace("_", "", StringComparison.Ordinal);
        var field = type.GetFields(Fields).Single(field => field.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        var of = field.FieldType;
        var size = of.IsPointer ? IntPtr.Size : Marshal.SizeOf(of.IsEnum ? Enum.GetUnderlyingType(of) : of);
        return $"{member} {Marshal.OffsetOf(type, field.Name)} {size}";
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
