using System;
using System.IO;
using System.Linq;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause P1: Windows PowerShell 5.1, proved as far as it can be without one.</summary>
public sealed class PlatformTests
{
    private const string Language = "Management.Automation.Language";

    private static string Verify => Path.Combine(AppContext.BaseDirectory, "verify-5.1.ps1");

    [Fact]
    public void P1_the_assembly_uses_nothing_that_NET_Framework_472_and_PowerShell_51_lack()
    {
        using var file = new PEReader(File.OpenRead(Path.Combine(Given.Module, "Vms.Telemetry.PowerShell.dll")));
        var module = file.GetMetadataReader();
        Assert.Equal(
            ["System.Management.Automation 3.0.0.0", "netstandard 2.0.0.0"],
            module.AssemblyReferences
                .Select(module.GetAssemblyReference)
                .Select(reference => $"{module.GetString(reference.Name)} {reference.Version}")
                .Order(StringComparer.Ordinal));
        Assert.Equal(".NETStandard,Version=v2.0", TargetFramework(module));

        using var platform = new ReferenceAssemblies(Path.Combine(AppContext.BaseDirectory, "net472"));
        Assert.Empty(platform.Missing(module));
    }

    /// <summary>The check above finds what there is to be found: this assembly is for .NET 10.</summary>
    [Fact]
    public void P1_an_assembly_for_a_newer_platform_is_told_apart()
    {
        using var file = new PEReader(File.OpenRead(typeof(PlatformTests).Assembly.Location));
        using var platform = new ReferenceAssemblies(Path.Combine(AppContext.BaseDirectory, "net472"));
        var missing = platform.Missing(file.GetMetadataReader());
        Assert.Contains("System.OperatingSystem.IsWindows: static Boolean `0()", missing);
    }

    /// <summary>
    /// The script and its child scripts parse, and have no operator that Windows PowerShell lacks; a line with all of
    /// those shows that they are found. Windows PowerShell takes a file without a byte order mark for ANSI text.
    /// </summary>
    [Fact]
    public async Task P1_the_script_for_Windows_PowerShell_is_plain_and_has_no_newer_syntax()
    {
        var text = await File.ReadAllBytesAsync(Verify, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(text, letter => letter > 127);
        using var sandbox = new Sandbox();
        var result = await sandbox.Script(
            $$"""
            function Find-Newer([string] $Text) {
                $tokens = $errors = $null
                $tree = [{{Language}}.Parser]::ParseInput($Text, [ref] $tokens, [ref] $errors)
                $errors | ForEach-Object { "$($_.Extent.StartLineNumber): $($_.Message)" }
                while ($tokens) {
                    $tokens | Where-Object { "$($_.Kind)" -match '^(Question|AndAnd|OrOr|Clean)' } | ForEach-Object Text
                    $tokens = $tokens | Where-Object { $_ -is [{{Language}}.StringExpandableToken] } | ForEach-Object NestedTokens
                }
                $tree.FindAll({ param($node) $node.StringConstantType -eq 'DoubleQuotedHereString' }, $true) |
                    ForEach-Object { 'inner'; Find-Newer $_.Value }
            }
            "$(Find-Newer '$a ?? $b; $a ??= 1; ${a}?.b; ${a}?[1]; $a ? 1 : 2; f && f || f; "$($a ?? 1)"')"
            "$(Find-Newer ([IO.File]::ReadAllText('{{Verify}}')))"
            """);
        Assert.Equal(["?? ??= ?. ?[ ? && || ??", "inner inner inner inner"], result.Quiet().Lines);
    }

    [Fact]
    public async Task P1_the_script_for_Windows_PowerShell_passes_in_this_engine()
    {
        using var sandbox = new Sandbox();
        var result = await sandbox.Script($"& '{Verify}' -Module '{Given.Module}'; exit $LASTEXITCODE");
        Assert.DoesNotContain(result.Lines, line => line.StartsWith("FAIL", StringComparison.Ordinal));
        Assert.StartsWith("VERDICT: passed: 40 checks", result.Quiet().Lines[^1], StringComparison.Ordinal);
    }

    private static string? TargetFramework(MetadataReader module)
    {
        foreach (var attribute in module.GetAssemblyDefinition().GetCustomAttributes().Select(module.GetCustomAttribute))
        {
            var type = module.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent;
            var name = module.GetTypeReference((TypeReferenceHandle)type).Name;
            if (module.GetString(name) == "TargetFrameworkAttribute")
            {
                // Two bytes of a prolog, and then the text.
                var value = module.GetBlobReader(attribute.Value);
                value.ReadUInt16();
                return value.ReadSerializedString();
            }
        }

        return null;
    }
}
