using System;
using System.IO;

namespace VmsHost;

/// <summary>Runs a script in the PowerShell engine: <c>VmsHost -Command "script"</c> or <c>-File path</c>.</summary>
internal static class Program
{
    private const int BadUsage = 64;

    private static int Main(string[] arguments)
    {
        // The engine has telemetry of its own; it reads this when it starts.
        Environment.SetEnvironmentVariable("POWERSHELL_TELEMETRY_OPTOUT", "1");
        if (arguments.Length == 2 && Is(arguments[0], "-Command"))
        {
            return ScriptRun.Execute(arguments[1]);
        }

        if (arguments.Length == 2 && Is(arguments[0], "-File"))
        {
            return ScriptRun.Execute(File.ReadAllText(arguments[1]));
        }

        Console.Error.WriteLine("Usage: VmsHost -Command \"script\" | -File path");
        return BadUsage;
    }

    private static bool Is(string argument, string name) => argument.Equals(name, StringComparison.OrdinalIgnoreCase);
}
