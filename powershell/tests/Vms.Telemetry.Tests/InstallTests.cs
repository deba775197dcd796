using System;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>What docs/installing.md says of updates, of versions side by side and of removal.</summary>
public sealed class InstallTests
{
    private const string Later = "9.9.9";
    private const string Import = "Import-Module VmsTelemetry";
    private const string Which = "\"Version=$((Get-Module VmsTelemetry).Version)\"";

    [Fact]
    public async Task P1_an_update_serves_processes_that_start_after_it()
    {
        using var sandbox = new Sandbox();
        var modules = Install(sandbox);
        using var vms = await DemoVms.Start(sandbox);
        using var before = await Imported(
            sandbox,
            vms,
            $$"""
            {{Import}} -RequiredVersion {{Later}}
            "Code=$((Get-Command Get-VmsModuleConfig).ImplementingType.Assembly.Location)"
            "Session=$((Get-VmsModuleConfig).SessionId)"
            """);

        InstallLater(modules);
        var after = (await sandbox.Script($"{Import}; {Which}; {Child.Settle}")).Quiet();
        Assert.Equal(Later, after.Values["Version"]);

        before.GoOn();
        var said = (await before.End()).Quiet().Values;
        Assert.Equal("DEMO-VMS", said["Connection"]);
        // PowerShell takes the later manifest, and the assembly that it has.
        Assert.Equal(Path.Combine(modules, Product.Version, "Vms.Telemetry.PowerShell.dll"), said["Code"]);
        var events = await sandbox.Received(4);
        Assert.Equal(3, events.Where(sent => sent.Properties["SessionId"] == said["Session"]).DistinctBy(sent => sent.Name).Count());
        Assert.Single(events.Select(sent => sent.Properties["uuid"]).Distinct());
    }

    [Fact]
    public async Task P1_of_two_versions_the_newer_is_imported_and_the_older_on_request()
    {
        using var sandbox = new Sandbox();
        InstallLater(Install(sandbox));
        var newer = await sandbox.Script($"{Import}; Set-VmsModuleConfig -EnableTelemetry $false; {Which}");
        var older = await sandbox.Script(
            $"{Import} -RequiredVersion {Product.Version}; {Which}; \"On=$((Get-VmsModuleConfig).EnableTelemetry)\"");

        Assert.Equal(Later, newer.Quiet().Values["Version"]);
        Assert.Equal(Product.Version, older.Quiet().Values["Version"]);
        // One user, one choice.
        Assert.Equal("False", older.Values["On"]);
    }

    /// <summary>On Windows a file in use stays; elsewhere its name goes at once. A process that has the module goes on.</summary>
    [Fact]
    public async Task P1_a_process_outlives_the_removal_of_its_module()
    {
        using var sandbox = new Sandbox();
        var modules = Install(sandbox);
        using var vms = await DemoVms.Start(sandbox);
        using var child = await Imported(sandbox, vms);

        if (OperatingSystem.IsWindows())
        {
            Assert.ThrowsAny<SystemException>(() => Directory.Delete(modules, recursive: true));
        }
        else
        {
            Directory.Delete(modules, recursive: true);
        }

        child.GoOn();
        Assert.Equal("DEMO-VMS", (await child.End()).Quiet().Values["Connection"]);
        Assert.Equal(3, (await sandbox.Received(3)).Count);
        if (OperatingSystem.IsWindows())
        {
            Directory.Delete(modules, recursive: true);
        }

        Assert.NotEqual(0, (await sandbox.Script(Import)).ExitCode);
    }

    [Fact]
    public async Task C3_what_the_user_chose_survives_removal_and_nothing_else_need_stay()
    {
        using var sandbox = new Sandbox();
        var modules = Install(sandbox);
        (await sandbox.Script($"{Import}; Set-VmsModuleConfig -EnableTelemetry $false")).Quiet();
        Directory.Delete(modules, recursive: true);
        var sentBefore = (await sandbox.Received(0)).Count;

        // As the document shows it.
        foreach (var left in Directory.GetFileSystemEntries(sandbox.DataFolder).Where(left => left != sandbox.SettingsFile))
        {
            if (Directory.Exists(left))
            {
                Directory.Delete(left, recursive: true);
            }
            else
            {
                File.Delete(left);
            }
        }

        Install(sandbox);
        var again = await sandbox.Script($"{Import}; \"On=$((Get-VmsModuleConfig).EnableTelemetry)\"");
        Assert.Equal("False", again.Quiet().Values["On"]);
        Assert.Equal([sandbox.SettingsFile], Directory.GetFileSystemEntries(sandbox.DataFolder));
        Assert.Equal(sentBefore, (await sandbox.Received(0)).Count);
    }

    /// <summary>Gives a process that has imported the module and waits; then it makes a connection, and does <paramref name="more"/>.</summary>
    private static async Task<Child> Imported(Sandbox sandbox, DemoVms vms, string more = "")
    {
        var child = sandbox.StartScript(
            $$"""
            {{Import}}
            'imported'
            {{Child.Wait}}
            $c = {{vms.Connect}}
            "Connection=$c"
            {{DemoVms.Counted}}
            Disconnect-Vms
            {{more}}
            {{Child.Settle}}
            """);
        Assert.Equal("imported", await child.ReadLine());
        return child;
    }

    /// <summary>Copies the module to where only this sandbox finds it, and gives the folder of its versions.</summary>
    private static string Install(Sandbox sandbox)
    {
        var modules = sandbox.Folder("modules");
        sandbox.UseModules(modules);
        Copy(Given.Module, Path.Combine(modules, "VmsTelemetry", Product.Version));
        return Path.Combine(modules, "VmsTelemetry");
    }

    /// <summary>Puts a later version beside: another number in the manifest, and in the assembly's identity.</summary>
    private static void InstallLater(string module)
    {
        var folder = Path.Combine(module, Later);
        Copy(Given.Module, folder);
        var manifest = Path.Combine(folder, "VmsTelemetry.psd1");
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace($"'{Product.Version}'", $"'{Later}'", StringComparison.Ordinal));
        var file = Path.Combine(folder, "Vms.Telemetry.PowerShell.dll");
        var content = File.ReadAllBytes(file);
        int row;
        using (var assembly = new PEReader(new MemoryStream(content)))
        {
            row = assembly.PEHeaders.MetadataStartOffset + assembly.GetMetadataReader().GetTableMetadataOffset(TableIndex.Assembly);
        }

        // An identifier of the hash algorithm, four bytes; then the version, two bytes each.
        content[row + 4] = content[row + 6] = content[row + 8] = 9;
        File.WriteAllBytes(file, content);
    }

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
