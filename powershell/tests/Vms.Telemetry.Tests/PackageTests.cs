using System;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
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
}
