using System;
using System.Collections.Generic;
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
    /// <summary>Writes verbose messages if the user asked for such. Otherwise the messages are not made.</summary>
    /// <param name="messages">Makes the messages.</param>
    internal static void WriteVerbose(Func<PSCmdlet, IEnumerable<string>> messages)
    {
        var context = Read(Runspace.DefaultRunspace, "ExecutionContext");
        if (Read(Read(context, "CurrentCommandProcessor"), "Command") is PSCmdlet command && IsVerbose(command))
        {
            foreach (var message in messages(command))
            {
                command.WriteVerbose(message);
            }
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
