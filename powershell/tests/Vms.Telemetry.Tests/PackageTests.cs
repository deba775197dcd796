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

    /// <summary>.NET lists what it compiles. With what was compiled ahead switched off, the same import compiles dozens of methods.</summary>
    [Fact]
    public async Task P1_an_import_in_PowerShell_7_compiles_nothing_of_ours()
    {
        foreach (var ahead in new[] { "1", "0" })
        {
            using var sandbox = new Sandbox();
            var list = Path.Combine(sandbox.Root, "compiled.txt");
            sandbox.Environment["DOTNET_ReadyToRun"] = ahead;
            sandbox.Environment["DOTNET_JitStdOutFile"] = list;
            sandbox.Environment["DOTNET_JitDisasmSummary"] = "1";
            // At its end, .NET 10 itself may crash while it lists.
            await sandbox.Script("Import-Module VmsTelemetry; [Threading.Thread]::Sleep(200)");
            Assert.Single(sandbox.Spooled);
            var compiled = await File.ReadAllLinesAsync(list, TestContext.Current.CancellationToken);
            Assert.True(compiled.Length > 100);
            var own = compiled.Where(method => method.Contains("Vms.Telemetry.", StringComparison.Ordinal)).ToArray();
            if (ahead == "1")
            {
                Assert.Empty(own);
            }
            else
            {
                Assert.InRange(own.Length, 10, 200);
            }
        }
    }
}
