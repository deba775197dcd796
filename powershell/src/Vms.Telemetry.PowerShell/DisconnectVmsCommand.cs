using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Closes the open connection to a VMS. Where none is open, there is nothing to do.</summary>
[Cmdlet(VerbsCommunications.Disconnect, "Vms", SupportsShouldProcess = true)]
public sealed class DisconnectVmsCommand : PSCmdlet
{
    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (!ShouldProcess("the open connection", "Disconnect"))
        {
            return;
        }

        if (ModuleSession.Disconnect() is { } closed)
        {
            WriteProblem(this, closed.Telemetry);
        }
        else
        {
            WriteVerbose("No connection is open.");
        }
    }

    /// <summary>Tells what telemetry failed at: never an error, as the connection itself is fine.</summary>
    internal static void WriteProblem(Cmdlet cmdlet, TelemetryConnection connection)
    {
        if (connection.Problem is { } problem)
        {
            cmdlet.WriteVerbose("Telemetry: " + problem + ".");
        }
    }
}
