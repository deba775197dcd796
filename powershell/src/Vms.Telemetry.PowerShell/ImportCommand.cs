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
    /// <summary>Returns the command if the user asked for verbose messages.</summary>
    internal static PSCmdlet? FindVerbose()
    {
        var context = Read(typeof(Runspace), "ExecutionContext", Runspace.DefaultRunspace);
        var processor = Read(context?.GetType(), "CurrentCommandProcessor", context);
        // The property is one of the base class.
        return Read(processor?.GetType(), "Command", processor) is PSCmdlet command && IsVerbose(command) ? command : null;
    }

    private static bool IsVerbose(PSCmdlet command) =>
        command.MyInvocation.BoundParameters.ContainsKey("Verbose")
        || command.GetVariableValue("VerbosePreference") is not (null or ActionPreference.SilentlyContinue);

    private static object? Read(System.Type? type, string property, object? from) =>
        type?.GetProperty(property, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)?.GetValue(from);
}
