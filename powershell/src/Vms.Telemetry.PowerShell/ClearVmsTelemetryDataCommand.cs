using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Deletes what telemetry keeps on this computer. The choices stay.</summary>
[Cmdlet(VerbsCommon.Clear, "VmsTelemetryData", SupportsShouldProcess = true)]
public sealed class ClearVmsTelemetryDataCommand : VmsCommand
{
    /// <summary>Gets or sets whether the random ids are deleted, with all that has them in it.</summary>
    [Parameter]
    public SwitchParameter Id { get; set; }

    /// <summary>Gets or sets whether pending events are deleted.</summary>
    [Parameter]
    public SwitchParameter Pending { get; set; }

    /// <summary>Gets or sets whether the receipts are deleted.</summary>
    [Parameter]
    public SwitchParameter Sent { get; set; }

    /// <summary>Gets or sets whether the telemetry log is deleted.</summary>
    [Parameter]
    public SwitchParameter Log { get; set; }

    /// <summary>Gets or sets whether all of it is deleted.</summary>
    [Parameter]
    public SwitchParameter All { get; set; }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        var what = (Id ? TelemetryData.Ids : 0) | (Pending ? TelemetryData.Pending : 0) | (Sent ? TelemetryData.Sent : 0)
            | (Log ? TelemetryData.Log : 0);
        what = All ? TelemetryData.All : what;
        if (what == TelemetryData.None)
        {
            const string Advice = "Give -Id, -Pending, -Sent, -Log or -All.";
            var nothing = new PSArgumentException("Nothing was deleted, as nothing was named. " + Advice);
            WriteError(Record(nothing, "NothingToClear", ErrorCategory.InvalidArgument, null, Advice));
            return;
        }

        // All that has the ids in it goes with them.
        var named = what.HasFlag(TelemetryData.Ids) ? TelemetryData.All : what;
        if (!ShouldProcess("Telemetry data of the current user: " + named, "Delete"))
        {
            return;
        }

        try
        {
            ModuleSession.Current.Clear(what);
        }
        catch (TelemetryException exception)
        {
            const string Advice = "The rest was deleted. Make sure that the current user may delete that, then run the command again.";
            WriteError(
                exception.Status == TelemetryStatus.File
                    ? Failed(exception, "TelemetryDataNotDeleted", ErrorCategory.WriteError, Advice)
                    : Unavailable(exception));
        }
    }
}
