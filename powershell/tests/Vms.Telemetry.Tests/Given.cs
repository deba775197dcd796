using System;
using System.IO;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>What <c>cargo xtask test</c> hands to the tests.</summary>
internal static class Given
{
    /// <summary>The folder of the module as packaged, named by its version.</summary>
    internal static string Module => Variable("VMS_TEST_MODULE");

    /// <summary>The folder that the module is found in by its name.</summary>
    internal static string Modules => Path.GetFullPath(Path.Combine(Module, "..", ".."));

    /// <summary>PowerShell and the script that runs scripts for these tests, as a program and its first arguments.</summary>
    internal static string[] Shell
    {
        get
        {
            var shell = Variable("VMS_TEST_SHELL");
            var run = Path.Combine(AppContext.BaseDirectory, "run.ps1");
            string[] arguments = [shell, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", run];
            return Path.GetExtension(shell) == ".dll" ? ["dotnet", .. arguments] : arguments;
        }
    }

    /// <summary>The program that uses the library without PowerShell.</summary>
    internal static string LibraryHost => Variable("VMS_TEST_LIBRARY_HOST");

    /// <summary>The program of <see cref="LibraryHost"/> on .NET Framework.</summary>
    internal static string FrameworkHost => Variable("VMS_TEST_FRAMEWORK_HOST");

    /// <summary>The program that stands in for a VMS.</summary>
    internal static string DemoVms => Variable("VMS_TEST_DEMO_VMS");

    /// <summary>The manifest of the module that records NewSession with Microsoft's SDK.</summary>
    internal static string Peer => Variable("VMS_TEST_PEER");

    /// <summary>Whether this Windows is Wine.</summary>
    internal static bool IsWine => Environment.GetEnvironmentVariable("VMS_TEST_WINE") == "1";

    /// <summary>The program that prints the layout of the header's structs, as a C compiler sees them; null: there is no compiler.</summary>
    internal static string? Layout => Environment.GetEnvironmentVariable("VMS_TEST_LAYOUT");

    /// <summary>The address of the running collector.</summary>
    internal static Uri Collector => new(Variable("VMS_TEST_COLLECTOR"));

    /// <summary>Insists on what a test needs: in CI all of it is owed; elsewhere the test is skipped, with the reason.</summary>
    internal static void Needs(bool isThere, string reason)
    {
        Assert.False(!isThere && Environment.GetEnvironmentVariable("CI") is { Length: > 0 }, reason);
        Assert.SkipUnless(isThere, reason);
    }

    private static string Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value
        ? value
        : throw new InvalidOperationException($"{name} is not set: run these tests with `cargo xtask test`.");
}
