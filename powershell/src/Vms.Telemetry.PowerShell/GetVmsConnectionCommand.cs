using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows the open connections to VMSs. Returns nothing if none is open.</summary>
[Cmdlet(VerbsCommon.Get, "VmsConnection")]
[OutputType(typeof(VmsConnection))]
public sealed class GetVmsConnectionCommand : VmsCommand
{
    /// <summary>Gets or sets whether those of other runspaces of this process are shown as well.</summary>
    [Parameter]
    public SwitchParameter All { get; set; }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (ModuleConnections.Open(All) is { Count: > 0 } connections)
        {
            Views.Load(this);
            WriteObject(connections, true);
        }
    }
}
