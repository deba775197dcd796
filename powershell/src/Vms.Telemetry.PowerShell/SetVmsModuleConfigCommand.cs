using System;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Changes the configuration, for this session and all later ones of the user.</summary>
[Cmdlet(VerbsCommon.Set, "VmsModuleConfig", SupportsShouldProcess = true)]
[OutputType(typeof(VmsModuleConfig))]
public sealed class SetVmsModuleConfigCommand : VmsCommand, IDisposable
{
    /// <summary>No request begins while the command runs, also not while <c>-Confirm</c> waits.</summary>
    private IDisposable? _hold;

    /// <summary>Gets or sets whether events are recorded and sent.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool EnableTelemetry { get; set; }

    /// <summary>Gets or sets whether events are written to the telemetry log.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool LogTelemetry { get; set; }

    /// <summary>Gets or sets whether the configuration is written to the pipeline afterwards.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>Lets requests begin again, if an error ends the pipeline.</summary>
    public void Dispose() => _hold?.Dispose();

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        _hold = ModuleSession.Current.HoldSending();
        base.BeginProcessing();
    }

    /// <inheritdoc/>
    protected override void EndProcessing() => Dispose();

    /// <summary>Ctrl+C.</summary>
    protected override void StopProcessing() => Dispose();

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        var enable = Given(nameof(EnableTelemetry), EnableTelemetry);
        var log = Given(nameof(LogTelemetry), LogTelemetry);
        if (enable is null && log is null)
        {
            WriteError(Error(
                "NothingToChange",
                ErrorCategory.InvalidArgument,
                "Nothing was changed: give -EnableTelemetry, -LogTelemetry or both.",
                null));
            return;
        }

        if (ShouldProcess("VmsTelemetry, for the current user", Action(enable, log)))
        {
            Change(enable, log);
        }
    }

    private static string Action(bool? enable, bool? log)
    {
        var first = enable is null ? "" : "Set EnableTelemetry to " + enable;
        var second = log is null ? "" : "Set LogTelemetry to " + log;
        return first + (first.Length > 0 && second.Length > 0 ? " and " : "") + second;
    }

    private static ErrorRecord Error(string id, ErrorCategory category, string message, TelemetryException? cause) =>
        new(new PSInvalidOperationException(message, cause), id, category, null);

    private static ErrorRecord Error(TelemetryException exception)
    {
        // The message says what happened to the choice: an opt-out is in effect in this session even if it cannot be stored.
        var (id, category, advice) = exception.Status switch
        {
            TelemetryStatus.Settings => (
                "SettingsFileInvalid",
                ErrorCategory.InvalidData,
                " Correct the file, then run the command again."),
            TelemetryStatus.File => (
                "SettingsFileNotWritable",
                ErrorCategory.WriteError,
                " Make sure that the current user may write there, then run the command again."),
            TelemetryStatus.Policy => (
                "TelemetryForbiddenByPolicy",
                ErrorCategory.PermissionDenied,
                " Only an administrator of this computer can change that."),
            TelemetryStatus.Unavailable => (
                "TelemetryUnavailable",
                ErrorCategory.ResourceUnavailable,
                " Until then telemetry is off."),
            _ => (
                "TelemetryFailed",
                ErrorCategory.NotSpecified,
                " Import the module in a new process and run the command again."),
        };
        return Error(id, category, Sentence(exception.Message) + advice, exception);
    }

    /// <summary>Returns a message of the native library with a capital and a full stop.</summary>
    private static string Sentence(string message) =>
        message.Length == 0 ? "" : char.ToUpperInvariant(message[0]) + message.Substring(1).TrimEnd('.') + ".";

    private bool? Given(string parameter, bool value) =>
        MyInvocation.BoundParameters.ContainsKey(parameter) ? value : null;

    private void Change(bool? enable, bool? log)
    {
        string? warning;
        try
        {
            warning = ModuleSession.Current.Configure(enable, log);
        }
        catch (TelemetryException exception)
        {
            WriteError(Error(exception));
            return;
        }

        if (warning is not null)
        {
            WriteWarning(Sentence(warning));
        }

        if (PassThru)
        {
            WriteObject(ModuleSession.ReadConfig());
        }
    }
}
