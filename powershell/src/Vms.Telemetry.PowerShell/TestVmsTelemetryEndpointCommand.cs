using System;
using System.Management.Automation;
using System.Threading;
using System.Threading.Tasks;

namespace Vms.Telemetry.PowerShell;

/// <summary>Tries the way to Application Insights, and sends no event.</summary>
[Cmdlet(VerbsDiagnostic.Test, "VmsTelemetryEndpoint")]
[OutputType(typeof(TelemetryEndpointStep))]
public sealed class TestVmsTelemetryEndpointCommand : VmsCommand, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        var config = ModuleSession.ReadConfig();
        if (config.Endpoint.Length == 0)
        {
            const string Advice = "Correct that, then try it in a new process.";
            var nowhere = new TelemetryException("There is no endpoint to test: " + config.TelemetryReason + ". " + Advice);
            WriteError(Record(nowhere, "TelemetryUnavailable", ErrorCategory.ResourceUnavailable, null, Advice));
            return;
        }

        if (!config.EnableTelemetry)
        {
            WriteWarning("Telemetry is off: " + config.TelemetryReason + ". The way is tried all the same, and no event is sent.");
        }

        try
        {
            Views.Load(this);
            // The attempt itself cannot be ended; its thread ends after 20 seconds at most.
            var tested = Task.Run(ModuleSession.Current.TestEndpoint);
            tested.Wait(_stop.Token);
            WriteObject(tested.Result, true);
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (AggregateException exception) when (exception.InnerException is TelemetryException cause)
        {
            WriteError(Unavailable(cause));
        }
    }

    /// <summary>Ctrl+C: ends the command at once.</summary>
    protected override void StopProcessing() => _stop.Cancel();
}
