using System;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause P1 for the module as packaged. What its sources use, proofs/Net472 compiles.</summary>
public sealed class PackageTests
{
    [Fact]
    public void P1_one_managed_assembly_that_needs_only_PowerShell()
    {
        var assembly = Assert.Single(Directory.GetFiles(Given.Module, "*.dll"));
        using var file = new PEReader(File.OpenRead(assembly));
        var module = file.GetMetadataReader();
        Assert.Equal(
            ["System.Management.Automation 3.0.0.0", "netstandard 2.0.0.0"],
            module.AssemblyReferences
                .Select(module.GetAssemblyReference)
                .Select(reference => $"{module.GetString(reference.Name)} {reference.Version}")
                .Order(StringComparer.Ordinal));
    }

    /// <summary>Each method that an import runs is compiled first, in each process: a tenth of a millisecond.</summary>
    [Fact]
    public async Task P1_an_import_runs_few_methods_of_ours()
    {
        using var sandbox = new Sandbox();
        var list = Path.Combine(sandbox.Root, "compiled.txt");
        sandbox.Environment["DOTNET_JitStdOutFile"] = list;
        sandbox.Environment["DOTNET_JitDisasmSummary"] = "1";
        // At its end, .NET 10 itself may crash while it lists what it compiles.
        await sandbox.Script("Import-Module VmsTelemetry; [Threading.Thread]::Sleep(200)");
        Assert.Single(sandbox.Spooled);
        var compiled = await File.ReadAllLinesAsync(list, TestContext.Current.CancellationToken);
        var own = compiled.Where(method => method.Contains("Vms.Telemetry.", StringComparison.Ordinal)).ToArray();
        // On Windows another thread looks for the system's proxy meanwhile.
        var most = OperatingSystem.IsWindows() ? 50 : 24;
        Assert.True(own.Length > 5 && own.Length <= most, string.Join("\n", own));
    }
}
