using System;
using System.IO;

namespace VmsHost;

/// <summary>
/// Runs a script in the PowerShell engine: <c>VmsHost -Command "script"</c> or <c>-File path</c>. The switches that
/// scripts give to <c>powershell</c> when they start it are taken, and hold anyway.
/// </summary>
internal static class Program
{
    private const int BadUsage = 64;

    private static int Main(string[] arguments)
    {
        // The engine has telemetry of its own; it reads this when it starts.
        Environment.SetEnvironmentVariable("POWERSHELL_TELEMETRY_OPTOUT", "1");
        var first = 0;
        while (first < arguments.Length && IsSwitch(arguments[first]))
        {
            first++;
        }

        if (arguments.Length == first + 2 && Is(arguments[first], "-Command"))
        {
            return ScriptRun.Execute(arguments[first + 1]);
        }

        if (arguments.Length == first + 2 && Is(arguments[first], "-File"))
        {
            return ScriptRun.Execute(File.ReadAllText(arguments[first + 1]));
        }

        Console.Error.WriteLine("Usage: VmsHost [-NoProfile] [-NonInteractive] -Command \"script\" | -File path");
        return BadUsage;
    }

    private static bool IsSwitch(string argument) => Is(argument, "-NoProfile") || Is(argument, "-NonInteractive");

    private static bool Is(string argument, string name) => argument.Equals(name, StringComparison.OrdinalIgnoreCase);
}
