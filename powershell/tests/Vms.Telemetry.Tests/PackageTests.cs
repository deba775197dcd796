using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clauses P1 and P2 for the packaged module: its files, its manifest and its help.</summary>
public sealed class PackageTests
{
    private static string Manifest => Path.Combine(Given.Module, "VmsTelemetry.psd1");

    [Fact]
    public void P1_one_managed_assembly_that_needs_only_PowerShell()
    {
        var assembly = Assert.Single(Directory.GetFiles(Given.Module, "*.dll"));
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        var references = metadata.AssemblyReferences
            .Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name));
        Assert.Equal(["System.Management.Automation", "netstandard"], references.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task P1_the_manifest_is_valid_and_has_the_version_of_the_product()
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            $$"""
            $manifest = Test-ModuleManifest '{{Manifest}}'
            "Version=$($manifest.Version)"
            "PowerShell=$($manifest.PowerShellVersion)"
            "Framework=$($manifest.DotNetFrameworkVersion)"
            "Editions=$($manifest.CompatiblePSEditions)"
            "Commands=$($manifest.ExportedCommands.Keys)"
            "Prerelease=$($manifest.PrivateData.PSData.Prerelease)"
            """);

        var said = result.Quiet().Values;
        Assert.Equal(Product.Version, said["Version"]);
        Assert.Equal("5.1", said["PowerShell"]);
        Assert.Equal("4.7.2", said["Framework"]);
        Assert.Equal("Desktop Core", said["Editions"]);
        Assert.Equal(
            ["Connect-Vms", "Disconnect-Vms", "Get-VmsConnection", "Get-VmsModuleConfig", "Set-VmsModuleConfig"],
            said["Commands"].Split(' ').Order());
    }

    [Theory]
    [InlineData("Connect-Vms")]
    [InlineData("Disconnect-Vms")]
    [InlineData("Get-VmsConnection")]
    [InlineData("Get-VmsModuleConfig")]
    [InlineData("Set-VmsModuleConfig")]
    public async Task P2_help_documents_each_parameter_and_no_other(string command)
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";
        var result = await sandbox.Script(
            $$"""
            Import-Module VmsTelemetry
            $help = Get-Help {{command}} -Full
            "Synopsis=$($help.Synopsis)"
            "Description=$($help.Description.Text)"
            "Examples=$(@($help.examples.example).Count)"
            "Codes=$(@($help.examples.example.code | Where-Object { $_ -match '{{command}}' }).Count)"
            $common = [System.Management.Automation.Cmdlet]::CommonParameters
            $real = (Get-Command {{command}}).Parameters.Values | Where-Object Name -notin $common
            "Real=$($real.Name)"
            $documented = $help.parameters.parameter | Where-Object { $_.description.text }
            "Documented=$($documented.name)"
            $types = $real | ForEach-Object { ([Nullable]::GetUnderlyingType($_.ParameterType) ?? $_.ParameterType).Name }
            "RealTypes=$types"
            "DocumentedTypes=$($documented.type.name)"
            "Syntax=$(($help.syntax.syntaxItem | ForEach-Object { "$($_.parameter.name)" }) -join '|')"
            "Sets=$(((Get-Command {{command}}).ParameterSets | ForEach-Object {
                "$(($_.Parameters | Where-Object Name -notin $common).Name)"
            }) -join '|')"
            $required = { $_.required -eq 'true' }
            "Required=$(($help.parameters.parameter | Where-Object $required).name)"
            "Mandatory=$(($real | Where-Object { $_.Attributes.Mandatory -contains $true }).Name)"
            """);

        var said = result.Quiet().Values;
        Assert.NotEqual("", said["Description"]);
        Assert.NotEqual(command, said["Synopsis"]);
        Assert.NotEqual("0", said["Examples"]);
        Assert.Equal(said["Examples"], said["Codes"]);
        Assert.Equal(Words(said["Real"]).Order(), Words(said["Documented"]).Order());
        Assert.Equal(
            Words(said["Real"]).Zip(Words(said["RealTypes"])).Order(),
            Words(said["Documented"]).Zip(Words(said["DocumentedTypes"])).Order());
        Assert.Equal(Sets(said["Sets"]), Sets(said["Syntax"]));
        Assert.Equal(Words(said["Mandatory"]).Order(), Words(said["Required"]).Order());
    }

    [Fact]
    public async Task P2_there_is_a_topic_about_telemetry_that_fits_a_console()
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["DO_NOT_TRACK"] = "1";

        var result = await sandbox.Script("Import-Module VmsTelemetry; Get-Help about_VmsTelemetry");

        Assert.Contains("about_VmsTelemetry", result.Quiet().Output, StringComparison.Ordinal);
        foreach (var needed in new[]
        {
            "Set-VmsModuleConfig -EnableTelemetry $false", "VMS_ApplicationInsights__Enabled", "DO_NOT_TRACK",
            "telemetry.uuid", "appsettings.user.json", "MilestonePSTools<yyyyMMdd>.log",
        })
        {
            Assert.Contains(needed, result.Output, StringComparison.Ordinal);
        }

        Assert.All(result.Output.Split('\n'), line => Assert.InRange(line.TrimEnd().Length, 0, 80));
        // Windows PowerShell takes a file without a byte order mark for ANSI text.
        Assert.DoesNotContain(result.Output, letter => letter > 127);
    }

    /// <summary>The parameter sets, each with its names in order.</summary>
    private static IEnumerable<string> Sets(string text) =>
        text.Split('|').Select(set => string.Join(' ', Words(set).Order())).Order();

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
