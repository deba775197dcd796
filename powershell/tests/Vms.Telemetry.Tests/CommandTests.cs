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
    public async Task P2_the_module_exports_five_commands_with_approved_verbs()
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            """
            Import-Module VmsTelemetry
            (Get-Module VmsTelemetry).ExportedCommands.Keys | ForEach-Object { "$_" }
            """);

        // An unapproved verb would come with a warning.
        Assert.Equal(
            ["Connect-Vms", "Disconnect-Vms", "Get-VmsConnection", "Get-VmsModuleConfig", "Set-VmsModuleConfig"],
            result.Quiet().Lines.Order());
    }

    [Theory]
    [InlineData(
        "Connect-Vms",
        true,
        "CurrentUser: ServerAddress",
        "WindowsUser: ServerAddress Credential",
        "BasicUser: ServerAddress Credential BasicUser",
        "AccessToken: ServerAddress AccessToken")]
    [InlineData("Disconnect-Vms", true, "__AllParameterSets:")]
    [InlineData("Get-VmsConnection", false, "__AllParameterSets:")]
    [InlineData("Get-VmsModuleConfig", false, "__AllParameterSets:")]
    [InlineData("Set-VmsModuleConfig", true, "__AllParameterSets:")]
    public async Task P2_parameter_sets_and_confirmation(string command, bool changesState, params string[] sets)
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

        Assert.Equal([.. sets, $"{changesState}"], result.Quiet().Lines);
    }

    [Fact]
    public async Task P2_WhatIf_does_nothing()
    {
        using var sandbox = new Sandbox();
        using var other = await DemoVms.Start(sandbox, new { site = DemoVms.Site(Sample.OtherSite) });
        using var vms = await DemoVms.Start(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            Import-Module VmsTelemetry
            {{other.Connect}} -WhatIf
            Set-VmsModuleConfig -EnableTelemetry $false -LogTelemetry $true -PassThru -WhatIf
            [void]({{vms.Connect}})
            {{DemoVms.Counted}}
            {{other.Connect}} -WhatIf
            Disconnect-Vms -WhatIf
            Disconnect-Vms
            """,
            3);

        var said = result.Quiet().Lines;
        Assert.Equal(4, said.Length);
        Assert.All(said, line => Assert.StartsWith("What if: ", line, StringComparison.Ordinal));
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
    [InlineData("Connect-Vms 'two words'", "VmsAddressInvalid", "InvalidArgument")]
    [InlineData("Connect-Vms ftp://vms.example", "VmsAddressInvalid", "InvalidArgument")]
    [InlineData("Connect-Vms vms.example -TimeoutSec 0", "ParameterArgumentValidationError", "InvalidData")]
    [InlineData("Connect-Vms vms.example -AccessToken $null", "ParameterArgumentValidationError", "InvalidData")]
    [InlineData("Connect-Vms vms.example -AccessToken text", "CannotConvertArgument", "InvalidArgument")]
    [InlineData("Connect-Vms vms.example -BasicUser", "MissingMandatoryParameter", "InvalidArgument")]
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
