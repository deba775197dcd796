using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>A command of this module. The first one of a process shows the notice, and ends the wait that begins with the import.</summary>
public abstract class VmsCommand : PSCmdlet
{
    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        Notice.Show(this);
        ModuleSession.EndImportHold();
    }
}
