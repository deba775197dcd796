using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Changes the configuration, for this session and all later ones of the user.</summary>
[Cmdlet(VerbsCommon.Set, "VmsModuleConfig", SupportsShouldProcess = true)]
[OutputType(typeof(VmsModuleConfig))]
public sealed class SetVmsModuleConfigCommand : PSCmdlet
{
    /// <summary>Gets or sets whether events are recorded and sent.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool EnableTelemetry { get; set; }

    /// <summary>Gets or sets whether events are written to the raw log.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool LogTelemetry { get; set; }

    /// <summary>Gets or sets whether the configuration is written to the pipeline afterwards.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

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
        var (id, category, advice) = exception.Status switch
        {
            TelemetryStatus.Settings => (
                "SettingsFileInvalid",
                ErrorCategory.InvalidData,
                "Run the command again then."),
            TelemetryStatus.File => (
                "SettingsFileNotWritable",
                ErrorCategory.WriteError,
                "Make sure that the current user may write there, then run the command again."),
            TelemetryStatus.Unavailable => (
                "TelemetryUnavailable",
                ErrorCategory.ResourceUnavailable,
                "Telemetry is off without it. Install the module again to get it back."),
            _ => (
                "TelemetryFailed",
                ErrorCategory.NotSpecified,
                "Telemetry stays as it was. Import the module in a new process and run the command again."),
        };
        return Error(id, category, "Nothing was changed: " + exception.Message + ". " + advice, exception);
    }

    private bool? Given(string parameter, bool value) =>
        MyInvocation.BoundParameters.ContainsKey(parameter) ? value : null;

    private void Change(bool? enable, bool? log)
    {
        try
        {
            ModuleSession.Current.Configure(enable, log);
        }
        catch (TelemetryException exception)
        {
            WriteError(Error(exception));
            return;
        }

        var config = ModuleSession.ReadConfig();
        if (enable == true && !config.EnableTelemetry)
        {
            WriteWarning("The choice is stored, but telemetry stays off in this session: " + config.TelemetryReason + ".");
        }

        if (PassThru)
        {
            WriteObject(config);
        }
    }
}
