using System.IO;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Runtime.CompilerServices;

namespace Vms.Telemetry.PowerShell;

/// <summary>Has PowerShell read how objects of the module are shown.</summary>
/// <remarks>
/// A manifest that names the file would have it read at each import, for 15 ms, also if nothing is ever shown. So the first
/// command whose output is shown does it, once in a runspace.
/// </remarks>
internal static class Views
{
    private const string FileName = "VmsTelemetry.format.ps1xml";

    private static readonly ConditionalWeakTable<Runspace, object> s_loaded = new();

    /// <summary>Reads the file, if this runspace has not done so. Without it, objects are shown in PowerShell's own way.</summary>
    internal static void Load(PSCmdlet command)
    {
        if (s_loaded.TryGetValue(Runspace.DefaultRunspace, out _))
        {
            return;
        }

        s_loaded.Add(Runspace.DefaultRunspace, FileName);
        var file = Path.Combine(command.MyInvocation.MyCommand.Module?.ModuleBase ?? "", FileName);
        try
        {
            using var shell = System.Management.Automation.PowerShell.Create(RunspaceMode.CurrentRunspace);
            shell.AddCommand("Microsoft.PowerShell.Utility\\Update-FormatData").AddParameter("AppendPath", file).Invoke();
        }
        catch (RuntimeException)
        {
            // A session that is restricted to some commands.
        }
    }
}
