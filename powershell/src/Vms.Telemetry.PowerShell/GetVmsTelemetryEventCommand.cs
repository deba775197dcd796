using System.Collections.Generic;
using System.Linq;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows events: those that are pending, were sent or were refused, or those that would be recorded now.</summary>
[Cmdlet(VerbsCommon.Get, "VmsTelemetryEvent", DefaultParameterSetName = StoredSet)]
[OutputType(typeof(TelemetryEvent), typeof(string))]
public sealed class GetVmsTelemetryEventCommand : VmsCommand
{
    private const string StoredSet = "Stored";
    private const string PreviewSet = "Preview";

    /// <summary>Gets or sets the states that are shown. Default: Pending, Sent and Refused.</summary>
    [Parameter(Position = 0, ParameterSetName = StoredSet)]
    [ValidateSet(nameof(TelemetryEventState.Pending), nameof(TelemetryEventState.Sent), nameof(TelemetryEventState.Refused))]
    public TelemetryEventState[] State { get; set; } =
        [TelemetryEventState.Pending, TelemetryEventState.Sent, TelemetryEventState.Refused];

    /// <summary>Gets or sets how many are shown at most, the newest.</summary>
    [Parameter(ParameterSetName = StoredSet)]
    [ValidateRange(1, int.MaxValue)]
    [ArgumentCompleter(typeof(NoCompleter))]
    public int Newest { get; set; } = int.MaxValue;

    /// <summary>Gets or sets whether what would be recorded now is shown instead.</summary>
    [Parameter(Mandatory = true, ParameterSetName = PreviewSet)]
    public SwitchParameter Preview { get; set; }

    /// <summary>Gets or sets whether the JSON alone is shown.</summary>
    [Parameter]
    public SwitchParameter Raw { get; set; }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        try
        {
            IEnumerable<TelemetryEvent> events = Preview
                ? ModuleSession.Current.PreviewEvents()
                : ModuleSession.Current.GetEvents()
                    .Where(found => State.Contains(found.State))
                    .OrderByDescending(found => found.Time)
                    .Take(Newest);
            Views.Load(this);
            foreach (var found in events)
            {
                WriteObject(Raw ? found.Json : found);
            }
        }
        catch (TelemetryException exception)
        {
            WriteError(Unavailable(exception));
        }
    }
}
