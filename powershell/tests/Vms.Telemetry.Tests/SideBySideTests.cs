using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>
/// A module that owns <c>Connect-Vms</c> and ships the library itself, beside ours in one process: the example of
/// docs/adopting.md, with copies of its own of the assembly and the native library.
/// </summary>
public sealed class SideBySideTests
{
    private const string Prefixed = "Import-Module VmsTelemetry -Prefix Telemetry";
    private const string Host = "Import-Module HostModule";

    private static readonly string[] s_example = ["HostModule.psd1", "HostModule.psm1"];

    [Theory]
    [InlineData(Host, Prefixed, "5.0.0")]
    [InlineData(Prefixed, Host, null)]
    public async Task S2_I1_two_modules_in_either_order_are_one_session(string first, string second, string? version)
    {
        using var sandbox = new Sandbox();
        AddHostModule(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{first}}
            {{second}}
            function Get-VmsModuleConfig { Get-TelemetryVmsModuleConfig }
            "Owner=$((Get-Command Connect-Vms).ModuleName)"
            Connect-Vms -SiteId {{Sample.Site}}
            Disconnect-Vms
            "Session=$((Get-VmsModuleConfig).SessionId)"
            """,
            3);

        var said = result.Quiet().Values;
        Assert.Equal("HostModule", said["Owner"]);
        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], events.Select(sent => sent.Name));
        Assert.All(events, sent => Assert.Equal(said["Session"], sent.Properties["SessionId"]));
        Assert.All(events, sent => Assert.Equal(version ?? Product.Version, sent.Tags["ai.application.ver"]));
        Assert.Equal(64, events[1].Measurements["CameraCount"]);
        Assert.Single(Directory.GetFiles(sandbox.DataFolder, "telemetry.uuid"));
    }

    [Fact]
    public async Task C3_a_no_given_to_one_module_holds_for_the_other()
    {
        using var sandbox = new Sandbox();
        AddHostModule(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Host}}
            {{Prefixed}}
            function Get-VmsModuleConfig { Get-TelemetryVmsModuleConfig }
            {{Child.Settle}}
            Set-TelemetryVmsModuleConfig -EnableTelemetry $false
            Connect-Vms -SiteId {{Sample.Site}}
            Disconnect-Vms
            """,
            1);

        result.Quiet();
        Assert.Equal("NewSession", Assert.Single(events).Name);
        Assert.Empty(sandbox.Spooled);
    }

    [Fact]
    public void The_document_shows_the_module_that_is_tested()
    {
        var document = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "adopting.md")).ReplaceLineEndings("\n");
        foreach (var file in s_example)
        {
            var text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, file)).ReplaceLineEndings("\n");
            Assert.Contains(text, document, StringComparison.Ordinal);
        }
    }

    /// <summary>Installs the example with copies of the files that it would ship.</summary>
    private static void AddHostModule(Sandbox sandbox)
    {
        var folder = sandbox.Folder("modules/HostModule");
        foreach (var file in s_example)
        {
            File.Copy(Path.Combine(AppContext.BaseDirectory, file), Path.Combine(folder, file));
        }

        var assembly = Path.Combine(Path.GetDirectoryName(Given.LibraryHost)!, "Vms.Telemetry.dll");
        File.Copy(assembly, Path.Combine(folder, "Vms.Telemetry.dll"));
        foreach (var native in Directory.GetDirectories(Given.Module, "*-x64"))
        {
            var target = Directory.CreateDirectory(Path.Combine(folder, Path.GetFileName(native))).FullName;
            foreach (var file in Directory.GetFiles(native))
            {
                File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
            }
        }

        sandbox.Environment["PSModulePath"] =
            Path.GetDirectoryName(folder) + Path.PathSeparator + sandbox.Environment["PSModulePath"];
    }
}
