using System;

namespace Vms.Telemetry.Tests;

/// <summary>What <c>cargo xtask test</c> hands to the tests.</summary>
internal static class Given
{
    /// <summary>The folder of the module as packaged.</summary>
    internal static string Module => Variable("VMS_TEST_MODULE");

    /// <summary>The program that runs scripts in the PowerShell engine.</summary>
    internal static string ScriptHost => Variable("VMS_TEST_HOST");

    /// <summary>The program that uses the library without PowerShell.</summary>
    internal static string LibraryHost => Variable("VMS_TEST_LIBRARY_HOST");

    /// <summary>The address of the running collector.</summary>
    internal static Uri Collector => new(Variable("VMS_TEST_COLLECTOR"));

    private static string Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value
        ? value
        : throw new InvalidOperationException($"{name} is not set: run these tests with `cargo xtask test`.");
}
