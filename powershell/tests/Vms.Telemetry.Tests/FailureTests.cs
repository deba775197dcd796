using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clauses S3 and F5: whatever fails, the module works, says nothing unasked, and tells why when asked.</summary>
public sealed class FailureTests
{
    [Fact]
    public async Task S3_no_network()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatRefuses();
        sandbox.SendTo(silence.Address);

        // A first attempt is a second away.
        var reason = await ReasonOf(
            sandbox,
            "LastDeliveryFailure",
            "while (-not (Get-VmsModuleConfig).LastDeliveryFailure) { [Threading.Thread]::Sleep(10) }");

        Assert.Contains("refused the connection", reason, StringComparison.Ordinal);
        // Those of the first process, and NewSession of the second.
        Assert.Equal(4, sandbox.Spooled.Length);
    }

    [Fact]
    public async Task S3_a_data_folder_that_cannot_be_written()
    {
        using var sandbox = new Sandbox();
        // A file in the place of the folder stops an administrator as well.
        var file = sandbox.WriteFile(Path.Combine("local", "Milestone"), "");

        var reason = await ReasonOf(sandbox, "LastFailure");

        Assert.Contains(file, reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task S3_a_spool_that_cannot_be_written()
    {
        using var sandbox = new Sandbox();
        var file = sandbox.WriteFile(Path.Combine("local", "Milestone", "MilestonePSTools", "spool"), "");

        var reason = await ReasonOf(sandbox, "LastFailure");

        Assert.Contains(file, reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task S3_no_native_library()
    {
        using var sandbox = new Sandbox();
        var module = CopyWithoutNative(sandbox);
        var (reason, connect) = await ReasonWithoutNative(sandbox);

        Assert.Contains(module, reason, StringComparison.Ordinal);
        Assert.StartsWith(
            "ERROR: VmsLibraryMissing,Vms.Telemetry.PowerShell.ConnectVmsCommand|ResourceUnavailable: ",
            connect.Errors,
            StringComparison.Ordinal);
        Assert.Contains("Install the module again", connect.Errors, StringComparison.Ordinal);
        var change = await sandbox.Script("Import-Module VmsTelemetry; Set-VmsModuleConfig $false");
        Assert.StartsWith(
            "ERROR: TelemetryUnavailable,Vms.Telemetry.PowerShell.SetVmsModuleConfigCommand|ResourceUnavailable: ",
            change.Errors,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task S3_a_native_library_that_is_none()
    {
        using var sandbox = new Sandbox();
        var module = CopyWithoutNative(sandbox);
        string[] names = ["libvms_telemetry.so", "libvms_telemetry.dylib", "vms_telemetry.dll"];
        foreach (var folder in Directory.GetDirectories(module, "*-x64").Append(module))
        {
            Array.ForEach(names, name => File.WriteAllText(Path.Combine(folder, name), "not a library"));
        }

        var (reason, _) = await ReasonWithoutNative(sandbox);

        Assert.Contains(names, name => reason.Contains(name + ": ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task S3_a_native_library_on_a_file_system_with_noexec()
    {
        using var sandbox = new Sandbox();
        var mount = sandbox.Folder("noexec");
        sandbox.UseModules(mount);

        var result = await sandbox.ScriptWithMount(
            $"mount -t tmpfs -o noexec tmpfs '{mount}' && cp -r '{Path.GetDirectoryName(Given.Module)}' '{mount}'",
            "Import-Module VmsTelemetry; (Get-VmsModuleConfig).TelemetryReason");

        var reason = Assert.Single(result.Quiet().Lines);
        Assert.DoesNotContain("no reason given", reason, StringComparison.Ordinal);
        Assert.Contains("noexec", reason[reason.LastIndexOf(". ", StringComparison.Ordinal)..], StringComparison.Ordinal);
        Assert.DoesNotContain("Install", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task S3_F5_settings_that_cannot_be_read()
    {
        using var sandbox = new Sandbox();
        const string Broken = "{\n  \"ApplicationInsights\": { \"Enabled\": tru }\n}\n";
        sandbox.WriteSettings(Broken);

        var reason = await ReasonOf(sandbox, "TelemetryReason");

        Assert.Contains("line 2, column ", reason, StringComparison.Ordinal);
        var change = await sandbox.Script("Import-Module VmsTelemetry; Set-VmsModuleConfig -EnableTelemetry $false");
        Assert.Equal(1, change.ExitCode);
        Assert.StartsWith(
            "ERROR: SettingsFileInvalid,Vms.Telemetry.PowerShell.SetVmsModuleConfigCommand|InvalidData: ",
            change.Errors,
            StringComparison.Ordinal);
        Assert.Contains(sandbox.SettingsFile, change.Errors, StringComparison.Ordinal);
        Assert.Contains("line 2, column ", change.Errors, StringComparison.Ordinal);
        Assert.Equal(Broken, await File.ReadAllTextAsync(sandbox.SettingsFile, TestContext.Current.CancellationToken));
        Assert.Empty(sandbox.Spooled);
    }

    [Fact]
    public async Task D5_S3_a_connection_string_that_cannot_be_used()
    {
        using var sandbox = new Sandbox();
        sandbox.Environment["VMS_ApplicationInsights__ConnectionString"] = "nonsense";

        var reason = await ReasonOf(sandbox, "TelemetryReason");

        Assert.Contains("VMS_ApplicationInsights__ConnectionString", reason, StringComparison.Ordinal);
    }

    /// <summary>Makes the sandbox use a copy of the module that has no native library.</summary>
    private static string CopyWithoutNative(Sandbox sandbox)
    {
        var module = sandbox.Folder(Path.Combine("modules", "VmsTelemetry"));
        foreach (var file in Directory.GetFiles(Given.Module, "*.*", SearchOption.AllDirectories))
        {
            if (!Path.GetFileNameWithoutExtension(file).EndsWith("vms_telemetry", StringComparison.Ordinal))
            {
                var target = Path.Combine(module, Path.GetRelativePath(Given.Module, file));
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                File.Copy(file, target);
            }
        }

        sandbox.UseModules(Path.GetDirectoryName(module)!);
        return module;
    }

    /// <summary>Imports quietly, asks for the reason, and tries to connect.</summary>
    private static async Task<(string Reason, ChildResult Connect)> ReasonWithoutNative(Sandbox sandbox)
    {
        const string Import = "Import-Module VmsTelemetry";
        var result = await sandbox.Script($"{Import}; Get-VmsConnection; Disconnect-Vms; (Get-VmsModuleConfig).TelemetryReason");
        return (Assert.Single(result.Quiet().Lines), await sandbox.Script($"{Import}; Connect-Vms vms.example"));
    }

    /// <summary>Imports quietly, uses the other commands, and then asks for the reason in both ways.</summary>
    private static async Task<string> ReasonOf(Sandbox sandbox, string property, string wait = "")
    {
        using var vms = await DemoVms.Start(sandbox);
        var result = await sandbox.Script(
            $$"""
            Import-Module VmsTelemetry
            ({{vms.Connect}}).Id.Guid
            {{DemoVms.Counted}}
            Disconnect-Vms
            {{wait}}
            (Get-VmsModuleConfig).{{property}}
            """);
        Assert.Equal(Sample.Site, result.Quiet().Lines[0]);
        var reason = Assert.Single(result.Lines[1..]);

        var verbose = await sandbox.Script("Import-Module VmsTelemetry -Verbose");
        Assert.Equal((0, ""), (verbose.ExitCode, verbose.Output));
        Assert.Contains("VERBOSE: Telemetry", verbose.Errors, StringComparison.Ordinal);
        Assert.Contains(reason, verbose.Errors, StringComparison.Ordinal);
        return reason;
    }
}
