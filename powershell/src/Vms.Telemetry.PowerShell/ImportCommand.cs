using System;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Reflection;

namespace Vms.Telemetry.PowerShell;

/// <summary>Finds the running <c>Import-Module</c>, for its verbose stream.</summary>
/// <remarks>
/// The engine hands an initializer no command to write with, and <c>-Verbose</c> of <c>Import-Module</c> is visible
/// neither in preference variables nor to a script. So this goes through members that are not public, the same in
/// Windows PowerShell 5.1 and PowerShell 7. An engine without them shows nothing here; Get-VmsModuleConfig still does.
/// </remarks>
internal static class ImportCommand
{
    /// <summary>Writes a verbose message if the user asked for verbose messages. Otherwise the message is not made.</summary>
    /// <param name="message">Makes the message; null: there is none.</param>
    internal static void WriteVerbose(Func<string?> message)
    {
        var context = Read(Runspace.DefaultRunspace, "ExecutionContext");
        if (Read(Read(context, "CurrentCommandProcessor"), "Command") is PSCmdlet command
            && IsVerbose(command)
            && message() is { } words)
        {
            command.WriteVerbose(words);
        }
    }

    private static bool IsVerbose(PSCmdlet command) =>
        command.MyInvocation.BoundParameters.ContainsKey("Verbose")
        || command.GetVariableValue("VerbosePreference") is not ActionPreference.SilentlyContinue;

    private static object? Read(object? from, string property)
    {
        const BindingFlags Declared =
            BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        for (Type? type = from?.GetType(); type is not null; type = type.BaseType)
        {
            if (type.GetProperty(property, Declared) is { } found)
            {
                return found.GetValue(from);
            }
        }

        return null;
    }
}
