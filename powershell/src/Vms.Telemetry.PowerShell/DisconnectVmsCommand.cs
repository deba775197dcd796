using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Closes the open connection to a VMS. If none is open, there is nothing to do.</summary>
[Cmdlet(VerbsCommunications.Disconnect, "Vms", SupportsShouldProcess = true)]
public sealed class DisconnectVmsCommand : VmsCommand
{
    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (ModuleSession.Connection is not { } connection)
        {
            WriteVerbose("No connection is open.");
            return;
        }

        if (!ShouldProcess(connection.Address, "Disconnect"))
        {
            return;
        }

        const string Activity = "Disconnecting";
        if (connection.IsCounting)
        {
            var counts = "Waiting a second at most for the counts, " + connection.ItemsCounted + " so far";
            WriteProgress(new ProgressRecord(ModuleSession.ProgressId, Activity, counts));
        }

        connection.Close();
        WriteProgress(new ProgressRecord(ModuleSession.ProgressId, Activity, " ") { RecordType = ProgressRecordType.Completed });
        if (connection.Problem is { } problem)
        {
            // Never an error, as the connection itself was fine.
            WriteVerbose("Telemetry: " + problem + ".");
        }
    }
}
