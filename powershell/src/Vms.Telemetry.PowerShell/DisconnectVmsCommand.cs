using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Closes connections to VMSs. If none is open, there is nothing to do.</summary>
[Cmdlet(VerbsCommunications.Disconnect, "Vms", SupportsShouldProcess = true)]
public sealed class DisconnectVmsCommand : VmsCommand
{
    /// <summary>Gets or sets the connections. Default: those that this runspace opened.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [ArgumentCompleter(typeof(NoCompleter))]
    public VmsConnection[]? Connection { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        // A variable that holds nothing names no connection, and not all of them.
        if (MyInvocation.ExpectingInput || MyInvocation.BoundParameters.ContainsKey(nameof(Connection)))
        {
            Disconnect(Connection ?? []);
        }
        else
        {
            Disconnect(ModuleConnections.Open());
        }
    }

    private void Disconnect(IReadOnlyList<VmsConnection> connections)
    {
        if (!connections.Any(connection => connection is { IsOpen: true }))
        {
            WriteVerbose("No connection is open.");
        }

        foreach (var connection in connections)
        {
            if (connection is { IsOpen: true } && ShouldProcess(connection.Address, "Disconnect"))
            {
                Disconnect(connection);
            }
        }
    }

    private void Disconnect(VmsConnection connection)
    {
        const string Activity = "Disconnecting";
        if (connection.IsCounting)
        {
            var counts = "Waiting a second at most for the counts, " + connection.ItemsCounted + " so far";
            WriteProgress(new ProgressRecord(ProgressId, Activity, counts));
        }

        connection.Close();
        WriteProgress(new ProgressRecord(ProgressId, Activity, " ") { RecordType = ProgressRecordType.Completed });
        WriteVerbose(
            "Disconnected from " + connection.Address + ". Items counted for telemetry: "
                + connection.ItemsCounted.ToString(CultureInfo.InvariantCulture) + ".");
        if (connection.Problem.Length > 0)
        {
            // Never an error, as the connection itself was fine.
            WriteVerbose("Telemetry: " + connection.Problem + ".");
        }
    }
}
