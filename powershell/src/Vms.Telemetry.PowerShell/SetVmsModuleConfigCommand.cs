using System;
using System.Linq;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Changes the configuration, for this session and all later ones of the user.</summary>
[Cmdlet(VerbsCommon.Set, "VmsModuleConfig", SupportsShouldProcess = true, DefaultParameterSetName = OptionsSet)]
[OutputType(typeof(VmsModuleConfig))]
public sealed class SetVmsModuleConfigCommand : VmsCommand, IDisposable
{
    private const string OptionsSet = "Options";
    private const string InputObjectSet = "InputObject";
    private const string ResetSet = "Reset";

    /// <summary>No request begins while the command runs, also not while <c>-Confirm</c> waits.</summary>
    private IDisposable? _hold;

    /// <summary>Gets or sets a configuration of Get-VmsModuleConfig, with changes or as it was.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true, ParameterSetName = InputObjectSet)]
    [ValidateNotNull]
    [ArgumentCompleter(typeof(NoCompleter))]
    public VmsModuleConfig? InputObject { get; set; }

    /// <summary>Gets or sets whether events are recorded and sent.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true, ParameterSetName = OptionsSet)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool EnableTelemetry { get; set; }

    /// <summary>Gets or sets whether events are written to the telemetry log.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true, ParameterSetName = OptionsSet)]
    [ArgumentCompleter(typeof(BooleanCompleter))]
    public bool LogTelemetry { get; set; }

    /// <summary>Gets or sets for whom EnableTelemetry is.</summary>
    [Parameter(ParameterSetName = OptionsSet)]
    public TelemetryScope Scope { get; set; }

    /// <summary>Gets or sets whether the user's choices are taken back.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ResetSet)]
    public SwitchParameter Reset { get; set; }

    /// <summary>Gets or sets whether MilestonePSTools writes a debug log. It has no meaning here.</summary>
    [Parameter(DontShow = true, ParameterSetName = OptionsSet)]
    public bool EnableDebugLogging { get; set; }

    /// <summary>Gets or sets the number of proxies of MilestonePSTools. It has no meaning here.</summary>
    [Parameter(DontShow = true, ParameterSetName = OptionsSet)]
    [ValidateRange(1, 8)]
    public int ProxyPoolSize { get; set; }

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
        if (InputObject is { HasOtherConnectionString: true })
        {
            WriteWarning(
                "The connection string is not changed: it cannot be stored. Set the environment variable"
                    + " VMS_ApplicationInsights__ConnectionString instead.");
        }

        if (InputObject is { Mip.IsChanged: true })
        {
            WriteWarning("The settings in Mip are those of the MIP SDK. They have no effect here.");
        }

        var ignored = new[] { nameof(EnableDebugLogging), nameof(ProxyPoolSize) }.Where(IsGiven).ToArray();
        if (ignored.Length > 0)
        {
            WriteWarning(
                "-" + string.Join(", -", ignored) + " of MilestonePSTools " + (ignored.Length > 1 ? "have" : "has")
                    + " no effect here: this module has no debug log and no proxies. See about_VmsTelemetry.");
        }

        var (enable, log) = ParameterSetName switch
        {
            InputObjectSet => (InputObject!.TelemetryChoice, InputObject.LogChoice),
            ResetSet => Reset ? (TelemetryChoice.Reset, TelemetryChoice.Reset) : default,
            _ => (Choice(nameof(EnableTelemetry), EnableTelemetry), Choice(nameof(LogTelemetry), LogTelemetry)),
        };
        if (Scope == TelemetryScope.Process && log != TelemetryChoice.Keep)
        {
            WriteError(Error(
                "ScopeUnsupported",
                ErrorCategory.InvalidArgument,
                "Nothing was changed: -Scope Process is for -EnableTelemetry alone.",
                "Give -LogTelemetry in a command of its own.",
                null));
        }
        else if (enable != TelemetryChoice.Keep || log != TelemetryChoice.Keep)
        {
            var who = Scope == TelemetryScope.Process ? "VmsTelemetry, for this process" : "VmsTelemetry, for the current user";
            if (ShouldProcess(who, Action(enable, log)))
            {
                Change(enable, log);
            }
        }
        else if (ignored.Length == 0 && InputObject is null)
        {
            WriteError(Error(
                "NothingToChange",
                ErrorCategory.InvalidArgument,
                "Nothing was changed, as no choice was given.",
                "Give -EnableTelemetry, -LogTelemetry or both, or -Reset.",
                null));
        }
    }

    private static string Action(TelemetryChoice enable, TelemetryChoice log)
    {
        static string Text(string name, TelemetryChoice choice) => choice switch
        {
            TelemetryChoice.Keep => "",
            TelemetryChoice.Reset => "Reset " + name,
            _ => "Set " + name + " to " + (choice == TelemetryChoice.On),
        };
        return string.Join(
            " and ",
            new[] { Text(nameof(EnableTelemetry), enable), Text(nameof(LogTelemetry), log) }.Where(text => text.Length > 0));
    }

    private static ErrorRecord Error(string id, ErrorCategory category, string message, string advice, TelemetryException? cause) =>
        Record(new PSInvalidOperationException(message + " " + advice, cause), id, category, null, advice);

    private static ErrorRecord Error(TelemetryException exception)
    {
        // The message says what happened to the choice: an opt-out is in effect in this session even if it cannot be stored.
        var (id, category, advice) = exception.Status switch
        {
            TelemetryStatus.Settings => (
                "SettingsFileInvalid",
                ErrorCategory.InvalidData,
                "Correct the file, then run the command again."),
            TelemetryStatus.File => (
                "SettingsFileNotWritable",
                ErrorCategory.WriteError,
                "Make sure that the current user may write there, then run the command again."),
            TelemetryStatus.Policy => (
                "TelemetryForbiddenByPolicy",
                ErrorCategory.PermissionDenied,
                "Only an administrator of this computer can change that."),
            TelemetryStatus.Unavailable => (
                "TelemetryUnavailable",
                ErrorCategory.ResourceUnavailable,
                InstallAgain + " Until then telemetry is off."),
            _ => (
                "TelemetryFailed",
                ErrorCategory.NotSpecified,
                "Import the module in a new process and run the command again."),
        };
        return Error(id, category, Sentence(exception.Message), advice, exception);
    }

    private bool IsGiven(string parameter) => MyInvocation.BoundParameters.ContainsKey(parameter);

    private TelemetryChoice Choice(string parameter, bool value) =>
        !IsGiven(parameter) ? TelemetryChoice.Keep : value ? TelemetryChoice.On : TelemetryChoice.Off;

    private void Change(TelemetryChoice enable, TelemetryChoice log)
    {
        string? warning;
        try
        {
            warning = ModuleSession.Current.Configure(enable, log, Scope == TelemetryScope.Process);
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

        // Telemetry may be on only now, so that there is something to tell.
        EndImportHold();

        if (PassThru)
        {
            Views.Load(this);
            WriteObject(ModuleSession.ReadConfig());
        }
    }
}
