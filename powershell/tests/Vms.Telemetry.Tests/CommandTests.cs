using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clauses P2 and P4: the commands as PowerShell shows them.</summary>
public sealed class CommandTests
{
    [Fact]
    public async Task P2_the_module_exports_four_commands_with_approved_verbs()
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            """
            Import-Module VmsTelemetry
            (Get-Module VmsTelemetry).ExportedCommands.Keys | ForEach-Object { "$_" }
            """);

        // An unapproved verb would come with a warning.
        Assert.Equal(
            ["Connect-Vms", "Disconnect-Vms", "Get-VmsModuleConfig", "Set-VmsModuleConfig"],
            result.Quiet().Lines.Order());
    }

    [Theory]
    [InlineData("Connect-Vms", "Facts: SiteId UserType", true)]
    [InlineData("Disconnect-Vms", "__AllParameterSets: ", true)]
    [InlineData("Get-VmsModuleConfig", "__AllParameterSets: ", false)]
    [InlineData("Set-VmsModuleConfig", "__AllParameterSets: ", true)]
    public async Task P2_parameter_sets_and_confirmation(string command, string set, bool changesState)
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            $$"""
            Import-Module VmsTelemetry
            $command = Get-Command {{command}}
            $command.ParameterSets | ForEach-Object {
                "$($_.Name): $(($_.Parameters | Where-Object IsMandatory).Name)"
            }
            $command.Parameters.ContainsKey('WhatIf')
            """);

        Assert.Equal([set.Trim(), $"{changesState}"], result.Quiet().Lines);
    }

    [Fact]
    public async Task P2_WhatIf_does_nothing()
    {
        using var sandbox = new Sandbox();
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            Import-Module VmsTelemetry
            Connect-Vms {{Sample.OtherSite}} BasicUser -UsageDataPolicy On -WhatIf
            Set-VmsModuleConfig -EnableTelemetry $false -LogTelemetry $true -PassThru -WhatIf
            [void](Connect-Vms {{Sample.Site}} BasicUser -UsageDataPolicy On)
            Disconnect-Vms -WhatIf
            Disconnect-Vms
            """,
            3);

        Assert.Empty(result.Quiet().Lines);
        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], events.Select(sent => sent.Name));
        Assert.False(File.Exists(sandbox.SettingsFile));
        Assert.False(File.Exists(Path.Combine(sandbox.DataFolder, $"site-{Sample.OtherSite}.uuid")));
    }

    [Fact]
    public async Task P2_a_configuration_can_be_piped_back()
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            """
            Import-Module VmsTelemetry
            Set-VmsModuleConfig -EnableTelemetry $false
            $before = Get-VmsModuleConfig
            Set-VmsModuleConfig -EnableTelemetry $true -LogTelemetry $true
            $after = $before | Set-VmsModuleConfig -PassThru
            "$($before.EnableTelemetry) $($before.LogTelemetry) $($after.EnableTelemetry) $($after.LogTelemetry)"
            """);

        Assert.Equal(["False False False False"], result.Quiet().Lines);
    }

    [Theory]
    [InlineData("Set-VmsModuleConfig", "NothingToChange", "InvalidArgument")]
    [InlineData("Set-VmsModuleConfig -EnableTelemetry false", "CannotConvertArgument", "InvalidArgument")]
    [InlineData("Connect-Vms -SiteId not-a-guid -UserType BasicUser", "CannotConvertArgumentNoMessage", "InvalidArgument")]
    [InlineData("Connect-Vms " + Sample.Site + " BasicUser -CameraCount -1", "CannotConvertArgument", "InvalidArgument")]
    [InlineData("Connect-Vms " + Sample.Site + " Nobody", "CannotConvertArgument", "InvalidArgument")]
    public async Task P4_a_wrong_argument_is_an_error_with_an_id_and_changes_nothing(
        string command,
        string id,
        string category)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";

        var result = await sandbox.Script("Import-Module VmsTelemetry; " + command);

        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("ERROR: " + id, result.Errors, StringComparison.Ordinal);
        Assert.Contains("|" + category + ": ", result.Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(sandbox.LocalData));
    }

    [Fact]
    public async Task P4_a_settings_file_that_cannot_be_written_is_an_error_that_names_the_place()
    {
        using var sandbox = new Sandbox();
        var file = sandbox.WriteFile(Path.Combine("local", "Milestone"), "");

        var result = await sandbox.Script("Import-Module VmsTelemetry; Set-VmsModuleConfig -LogTelemetry $true");

        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith("ERROR: SettingsFileNotWritable,", result.Errors, StringComparison.Ordinal);
        Assert.Contains("|WriteError: ", result.Errors, StringComparison.Ordinal);
        Assert.Contains(file, result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task P2_Disconnect_without_a_connection_is_quiet()
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";

        var result = await sandbox.Script("Import-Module VmsTelemetry; Disconnect-Vms; Disconnect-Vms -Verbose");

        Assert.Equal((0, ""), (result.ExitCode, result.Output));
        Assert.EndsWith("VERBOSE: No connection is open.", result.Errors.Trim(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Set-VmsModuleConfig -EnableTelemetry ", "$true", "$false")]
    [InlineData("Set-VmsModuleConfig -LogTelemetry ", "$true", "$false")]
    [InlineData("Connect-Vms -UserType ", "BasicUser", "OAuthUser", "WindowsUser")]
    [InlineData("Connect-Vms -UsageDataPolicy ", "NotOffered", "Off", "On", "Unknown")]
    public async Task P2_values_complete_with_the_tab_key(string input, params string[] expected)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";
        var result = await sandbox.Script(
            $$"""
            Import-Module VmsTelemetry
            $text = '{{input}}'
            [System.Management.Automation.CommandCompletion]::CompleteInput($text, $text.Length, $null).CompletionMatches |
                ForEach-Object CompletionText
            """);

        Assert.Equal(expected, result.Quiet().Lines.Order().OrderByDescending(line => line == "$true"));
    }
}
