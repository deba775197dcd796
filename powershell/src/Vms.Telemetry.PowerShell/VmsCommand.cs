using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>A command of this module. The first one of a process shows the notice, and ends the wait that begins with the import.</summary>
public abstract class VmsCommand : PSCmdlet
{
    /// <summary>The id of the module's progress records. Scripts use small numbers, above all 0, for their own.</summary>
    private protected const int ProgressId = 0x564D53;

    /// <inheritdoc/>
    protected override void BeginProcessing() => EndImportHold();

    /// <summary>Shows the notice if it is owed, and lets requests begin.</summary>
    private protected void EndImportHold()
    {
        Notice.Show(this);
        ModuleSession.EndImportHold();
    }
}
