using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause T6: a person is told before anything is sent.</summary>
public sealed class NoticeTests
{
    /// <summary>The import holds back requests for 5 seconds where nobody is at a prompt.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(8);

    [Fact]
    public async Task T6_at_a_prompt_nothing_is_sent_before_two_lines_are_shown_and_they_are_shown_once()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatListens();
        sandbox.SendTo(silence.Address);
        var go = Path.Combine(sandbox.Root, "go");
        using var child = AtPrompt(sandbox,
            $"Import-Module VmsTelemetry; while (!(Test-Path '{go}')) {{ Start-Sleep -Milliseconds 50 }}; "
            + "$null = Get-VmsModuleConfig; 'second'; $null = Get-VmsModuleConfig; Start-Sleep 5; exit");
        await sandbox.HasImported();
        await Task.Delay(s_pause, TestContext.Current.CancellationToken);
        Assert.False(silence.IsAsked);
        Assert.False(File.Exists(Marker(sandbox)));
        await File.WriteAllTextAsync(go, "", TestContext.Current.CancellationToken);
        await silence.Request().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);

        var lines = Lines(await child.End());
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("VmsTelemetry sends usage events", lines[0], StringComparison.Ordinal);
        Assert.Contains("Set-VmsModuleConfig -EnableTelemetry $false", lines[1], StringComparison.Ordinal);
        Assert.Equal("second", lines[2]);

        Assert.Equal(["later"], await Ask(sandbox, "$null = Get-VmsModuleConfig; 'later'; exit"));
        // Another edition of the list of fields.
        await File.AppendAllTextAsync(Marker(sandbox), "Other: Field\n", TestContext.Current.CancellationToken);
        Assert.Equal(3, (await Ask(sandbox, "$null = Get-VmsModuleConfig; 'other'; exit")).Length);
    }

    /// <summary>A script, a build, an opt-out: nothing is shown, and the notice is not used up.</summary>
    [Theory]
    [InlineData("-Command", null)]
    [InlineData("-NoExit -NonInteractive -Command", null)]
    [InlineData("-NoExit -Command", "CI")]
    [InlineData("-NoExit -Command", "DO_NOT_TRACK")]
    public async Task T6_where_nobody_is_told_the_notice_is_not_used_up(string arguments, string? variable)
    {
        using var sandbox = new Sandbox();
        using var child = AtPrompt(sandbox, "Import-Module VmsTelemetry; $null = Get-VmsModuleConfig; 'end'; exit", arguments, variable);
        Assert.Equal(["end"], Lines(await child.End()));
        Assert.False(File.Exists(Marker(sandbox)));
    }

    private static string Marker(Sandbox sandbox) => Path.Combine(sandbox.DataFolder, "notice.txt");

    private static string[] Lines(ChildResult result) =>
        Regex.Replace(result.Output, @"\e(\[[?;0-9]*[A-Za-z]|[=>])|\r", "").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private static async Task<string[]> Ask(Sandbox sandbox, string script)
    {
        using var child = AtPrompt(sandbox, script);
        return Lines(await child.End());
    }

    /// <summary>Starts PowerShell at a terminal of its own.</summary>
    private static Child AtPrompt(
        Sandbox sandbox,
        string script,
        string arguments = "-NoExit -Command",
        string? variable = null)
    {
        Given.Needs(OperatingSystem.IsLinux() || OperatingSystem.IsWindows(), "The program script has other parameters here.");
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no program that makes a terminal.");
        foreach (var name in new[] { "CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION" })
        {
            sandbox.Environment[name] = null;
        }

        if (variable is not null)
        {
            sandbox.Environment[variable] = "1";
        }

        sandbox.Environment["SCRIPT"] = script;
        var shell = string.Join(' ', Given.Shell.TakeWhile(word => word != "-File"));
        return new Child("script", ["-qec", $"{shell} -NoLogo {arguments} \"$SCRIPT\"", "/dev/null"], sandbox.Environment);
    }
}
