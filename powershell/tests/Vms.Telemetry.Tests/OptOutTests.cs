using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clauses S5, S8, C1, C2, C3, C4, C6, C8, C9, C11 and C13: each way to opt out, and what it stops.</summary>
public sealed class OptOutTests
{
    private const string Enabled = "VMS_ApplicationInsights__Enabled";
    private const string Thread = "vms-telemetry";

    /// <summary>Prints what Linux knows of the process: the names of its threads and what its descriptors are.</summary>
    private const string Inside =
        """
        [IO.Directory]::GetDirectories('/proc/self/task') | ForEach-Object {
            'thread ' + [IO.File]::ReadAllText("$_/comm").Trim()
        }
        [IO.Directory]::GetFiles('/proc/self/fd') | ForEach-Object {
            try { 'descriptor ' + ([IO.FileInfo]::new($_)).LinkTarget } catch { }
        }
        """;

    public static IEnumerable<TheoryDataRow<string, string>> Noes =>
    [
        new(Enabled, "false"),
        new(Enabled, " FALSE "),
        new(Enabled, "0"),
        new(Enabled, "no"),
        new(Enabled, "Off"),
        new(Enabled, "neither"),
        new("vms_applicationinsights__ENABLED", "false"),
        new("VMS_ApplicationInsights:Enabled", "false"),
        new("vms_APPLICATIONINSIGHTS:enabled", "No"),
        new("DO_NOT_TRACK", "1"),
        new("DO_NOT_TRACK", "yes"),
    ];

    /// <summary>The spellings are those of the next test, and of the library's own tests.</summary>
    [Theory]
    [InlineData(Enabled, "false")]
    [InlineData("VMS_ApplicationInsights:Enabled", "false")]
    [InlineData("DO_NOT_TRACK", "1")]
    public async Task S5_C1_C2_C11_a_no_in_the_environment_of_the_process_leaves_no_trace(string name, string value)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment[name] = value;
        await LeavesNoTrace(sandbox, "", name);
    }

    [Theory]
    [MemberData(nameof(Noes))]
    public async Task S5_C1_C2_C11_a_no_set_by_the_script_leaves_no_trace(string name, string value)
    {
        using var sandbox = new Sandbox();
        await LeavesNoTrace(sandbox, $"[Environment]::SetEnvironmentVariable('{name}', '{value}')", name);
    }

    [Fact]
    public async Task S5_C9_what_shows_a_trace_does_so_where_telemetry_is_on()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Only Linux has /proc.");
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatListens();
        sandbox.SendTo(silence.Address);
        using var child = sandbox.StartScript($"Import-Module VmsTelemetry\n{Child.Wait}\n{Inside}");
        await silence.Request();
        child.GoOn();
        var result = await child.End();

        Assert.Contains("thread " + Thread, result.Lines);
        Assert.Contains(result.Lines, line => line.StartsWith("descriptor socket:", StringComparison.Ordinal));
        Assert.Single(sandbox.Spooled);
    }

    [Theory]
    [InlineData(Enabled, "true")]
    [InlineData(Enabled, "1")]
    [InlineData("DO_NOT_TRACK", "0")]
    [InlineData("DO_NOT_TRACK", "false")]
    public async Task C1_C2_what_does_not_say_no(string name, string value)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment[name] = value;

        var (result, events) = await sandbox.ScriptWithEvents(
            "Import-Module VmsTelemetry; (Get-VmsModuleConfig).EnableTelemetry",
            1);

        Assert.Equal(["True"], result.Quiet().Lines);
        Assert.Single(events);
    }

    [Fact]
    public async Task C1_a_no_after_the_import_has_no_effect()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            Import-Module VmsTelemetry
            $env:{{Enabled}} = 'false'
            [void]({{vms.Connect}})
            (Get-VmsModuleConfig).EnableTelemetry
            """,
            2);

        Assert.Equal(["True"], result.Quiet().Lines);
        Assert.Equal(["NewSession", "NewVmsSession"], events.Select(sent => sent.Name));
    }

    [Fact]
    public async Task C3_a_no_deletes_what_waits_and_holds_for_later_sessions()
    {
        using var sandbox = new Sandbox();
        using (var vms = await DemoVms.Start(sandbox))
        using (var silence = Silence.ThatRefuses())
        {
            sandbox.SendTo(silence.Address);
            var result = await sandbox.Script(
                $$"""
                Import-Module VmsTelemetry
                $before = (Get-VmsModuleConfig).PendingEvents
                $config = Set-VmsModuleConfig -EnableTelemetry $false -PassThru
                [void]({{vms.Connect}})
                Disconnect-Vms
                "$before $($config.EnableTelemetry) $((Get-VmsModuleConfig).PendingEvents)"
                """);
            Assert.Equal(["1 False 0"], result.Quiet().Lines);
            Assert.Empty(sandbox.Spooled);
        }

        sandbox.SendTo(Given.Collector.ToString());
        var later = await sandbox.Script(
            "Import-Module VmsTelemetry; $c = Get-VmsModuleConfig; \"$($c.EnableTelemetry) $($c.TelemetryReason)\"");
        Assert.StartsWith("False you turned it off", Assert.Single(later.Quiet().Lines), StringComparison.Ordinal);
        Assert.Empty(sandbox.Spooled);
        Assert.Empty(await sandbox.Received(0));
    }

    /// <summary>On Windows no variable says where the folder is.</summary>
    [Fact]
    public async Task S8_an_opt_out_below_the_folder_that_the_script_names_is_found()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no XDG_DATA_HOME.");
        using var sandbox = new Sandbox();
        sandbox.WriteSettings("""{ "ApplicationInsights": { "Enabled": false } }""");
        sandbox.Environment["XDG_DATA_HOME"] = Path.Combine(sandbox.Root, "elsewhere");
        var result = await sandbox.Script(
            $$"""
            $env:XDG_DATA_HOME = '{{sandbox.LocalData}}'
            $env:XDG_STATE_HOME = '{{sandbox.Folder("other-state")}}'
            Import-Module VmsTelemetry
            $config = Get-VmsModuleConfig
            "$($config.EnableTelemetry) $($config.DataFolder) $($config.LogFolder)"
            """);

        var logs = Path.Combine(sandbox.Root, "other-state", "Milestone", "MIPSDK");
        Assert.Equal([$"False {sandbox.DataFolder} {logs}"], result.Quiet().Lines);
        Assert.False(Directory.Exists(sandbox.Environment["XDG_DATA_HOME"]));
    }

    [Fact]
    public async Task C4_a_yes_takes_effect_in_the_same_session()
    {
        using var sandbox = new Sandbox();
        sandbox.WriteSettings("""{ "ApplicationInsights": { "Enabled": false } }""");
        var (result, events) = await sandbox.ScriptWithEvents(
            """
            Import-Module VmsTelemetry
            (Get-VmsModuleConfig).EnableTelemetry
            Set-VmsModuleConfig -EnableTelemetry $true
            Set-VmsModuleConfig -EnableTelemetry $true
            (Get-VmsModuleConfig).EnableTelemetry
            """,
            1);

        Assert.Equal(["False", "True"], result.Quiet().Lines);
        Assert.Equal(["NewSession"], events.Select(sent => sent.Name));
    }

    [Fact]
    public async Task C4_a_yes_does_not_go_over_a_no_in_the_environment()
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";

        var result = await sandbox.Script(
            "Import-Module VmsTelemetry; Set-VmsModuleConfig $true; (Get-VmsModuleConfig).EnableTelemetry");

        Assert.Equal((0, "False"), (result.ExitCode, Assert.Single(result.Lines)));
        Assert.StartsWith("WARNING: ", result.Errors, StringComparison.Ordinal);
        Assert.Contains("DO_NOT_TRACK", result.Errors, StringComparison.Ordinal);
        Assert.Empty(sandbox.Spooled);
        Assert.Empty(await sandbox.Received(0));
    }

    [Fact]
    public async Task C13_a_policy_of_the_computer_is_lifted_by_no_user()
    {
        using var sandbox = new Sandbox();
        var etc = sandbox.Folder("etc");

        var result = await sandbox.ScriptWithMount(
            $$"""
            mount -t tmpfs tmpfs '{{etc}}' && { cp -r /etc/. '{{etc}}' 2>/dev/null; mkdir -p '{{etc}}/milestone'; } &&
            echo '{ "EnableTelemetry": false }' > '{{etc}}/milestone/milestonepstools.json' && mount --bind '{{etc}}' /etc
            """,
            "Import-Module VmsTelemetry; (Get-VmsModuleConfig).EnableTelemetry; Set-VmsModuleConfig -EnableTelemetry $true");

        Assert.Equal((1, "False"), (result.ExitCode, Assert.Single(result.Lines)));
        Assert.StartsWith("ERROR: TelemetryForbiddenByPolicy,", result.Errors, StringComparison.Ordinal);
        Assert.Contains("|PermissionDenied: ", result.Errors, StringComparison.Ordinal);
        Assert.Contains("/etc/milestone/milestonepstools.json", result.Errors, StringComparison.Ordinal);
        Assert.Empty(sandbox.Spooled);
    }

    [Fact]
    public async Task C6_C7_a_VMS_that_forbids_it_switches_telemetry_off_until_an_explicit_yes()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox, new { privacy = "off" });
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            Import-Module VmsTelemetry
            {{Child.Wait}}
            [void]({{vms.Connect}})
            {{DemoVms.Counted}}
            Disconnect-Vms
            (Get-VmsModuleConfig).EnableTelemetry
            """,
            1,
            waits: 2);
        Assert.Equal(["False"], result.Quiet().Lines);
        Assert.Equal(["NewSession"], events.Select(sent => sent.Name));

        var later = await sandbox.Script("Import-Module VmsTelemetry; (Get-VmsModuleConfig).EnableTelemetry");
        Assert.Equal(["False"], later.Quiet().Lines);

        (_, events) = await sandbox.ScriptWithEvents("Import-Module VmsTelemetry; Set-VmsModuleConfig $true", 2);
        Assert.Equal(["NewSession", "NewSession"], events.Select(sent => sent.Name));
    }

    [Fact]
    public async Task C7_a_VMS_whose_option_is_not_known_sends_nothing_of_the_connection()
    {
        using var sandbox = new Sandbox();
        using var unknown =
            await DemoVms.Start(sandbox, new { site = DemoVms.Site(Sample.OtherSite), privacy = "resourceUnknown" });
        using var vms = await DemoVms.Start(sandbox, new { privacy = "itemMissing" });
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            Import-Module VmsTelemetry
            [void]({{unknown.Connect}})
            {{DemoVms.Counted}}
            "$((Get-VmsConnection).IsReported) $((Get-VmsModuleConfig).ConnectionReason)"
            [void]({{vms.Connect}})
            {{DemoVms.Counted}}
            "$((Get-VmsConnection).IsReported) $((Get-VmsModuleConfig).ConnectionReason)"
            (Get-VmsModuleConfig).EnableTelemetry
            """,
            2);

        Assert.StartsWith("False nothing of the last connection is sent", result.Quiet().Lines[0], StringComparison.Ordinal);
        Assert.Equal(["True", "True"], result.Lines[1..]);
        Assert.Equal(["NewSession", "NewVmsSession"], events.Select(sent => sent.Name));
        Assert.False(File.Exists(Path.Combine(sandbox.DataFolder, $"site-{Sample.OtherSite}.uuid")));
        Assert.True(File.Exists(Path.Combine(sandbox.DataFolder, $"site-{Sample.Site}.uuid")));
    }

    private static async Task LeavesNoTrace(Sandbox sandbox, string before, string name)
    {
        using var vms = await DemoVms.Start(sandbox);
        // The connection to the VMS itself is gone a moment after it was closed.
        var isGone = OperatingSystem.IsLinux()
            ? "while (& {" + Inside + "} | Where-Object { $_ -match '^descriptor socket:' }) { [Threading.Thread]::Sleep(10) }"
            : "";
        var result = await sandbox.Script(
            $$"""
            {{before}}
            Import-Module VmsTelemetry
            [void]({{vms.Connect}})
            {{DemoVms.Counted}}
            Disconnect-Vms
            {{isGone}}
            $config = Get-VmsModuleConfig
            "$($config.EnableTelemetry) $($config.TelemetryReason)"
            {{(OperatingSystem.IsLinux() ? Inside : "")}}
            """);

        var said = result.Quiet().Lines[0];
        Assert.StartsWith("False ", said, StringComparison.Ordinal);
        Assert.Contains(name, said, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("thread " + Thread, result.Lines);
        Assert.DoesNotContain(result.Lines, line => line.StartsWith("descriptor socket:", StringComparison.Ordinal));
        Assert.False(Directory.Exists(sandbox.LocalData));
        Assert.False(Directory.Exists(sandbox.LogRoot));
        Assert.Empty(await sandbox.Received(0));
    }
}
