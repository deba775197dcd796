using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows the open connection to a VMS. Returns nothing if none is open.</summary>
[Cmdlet(VerbsCommon.Get, "VmsConnection")]
[OutputType(typeof(VmsConnection))]
public sealed class GetVmsConnectionCommand : VmsCommand
{
    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (ModuleSession.Connection is { } connection)
        {
            WriteObject(ConnectionView.Of(connection));
        }
    }
}
