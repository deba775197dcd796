using System;
using System.Collections.Generic;
using System.Management.Automation;
using System.Net;
using System.Security;
using System.Threading;

namespace Vms.Telemetry.PowerShell;

/// <summary>Logs on to a VMS. Its devices are counted in the background.</summary>
[Cmdlet(
    VerbsCommunications.Connect,
    "Vms",
    SupportsShouldProcess = true,
    DefaultParameterSetName = NoAddressSet)]
[OutputType(typeof(VmsConnection))]
public sealed class ConnectVmsCommand : VmsCommand, IDisposable
{
    private const string CurrentUserSet = "CurrentUser";
    private const string WindowsUserSet = "WindowsUser";
    private const string BasicUserSet = "BasicUser";
    private const string AccessTokenSet = "AccessToken";

    /// <summary>Without an address: MilestonePSTools has connection profiles for that.</summary>
    private const string NoAddressSet = "ConnectionProfile";

    private const string AddressHelp = "The address of the management server, such as https://vms.example";
    private const string CredentialHelp = "Name and password: DOMAIN\\user, or the name of a basic user with -BasicUser";
    private const string TokenHelp = "A token that the identity provider of this VMS gave, as a secure string";

    /// <summary>How the native library names what it cannot use, what people call it, and what to do.</summary>
    private static readonly (string Field, string Parameter, string Advice)[] s_parameters =
    [
        ("server_address", "-ServerAddress", "Type it like https://vms.example or http://vms.example:8080."),
        ("user_name", "the name in -Credential", "Name a user."),
        ("password", "the password in -Credential", "Type the password of the user."),
        ("access_token", "-AccessToken", "Give the token as the identity provider gave it."),
    ];

    private static readonly string[] s_ofMilestonePSTools =
        [nameof(Name), nameof(ShowDialog), nameof(AcceptEula), nameof(NoProfile)];

    private readonly CancellationTokenSource _stop = new();
    private readonly List<string> _ignored = [];

    /// <summary>The connections that the first one of this command replaces.</summary>
    private IReadOnlyList<VmsConnection> _replaced = [];

    /// <summary>Gets or sets the address of the management server.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true, ParameterSetName = CurrentUserSet, HelpMessage = AddressHelp)]
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true, ParameterSetName = WindowsUserSet, HelpMessage = AddressHelp)]
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true, ParameterSetName = BasicUserSet, HelpMessage = AddressHelp)]
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true, ParameterSetName = AccessTokenSet, HelpMessage = AddressHelp)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(AddressCompleter))]
    public string ServerAddress { get; set; } = "";

    /// <summary>Gets or sets name and password of the user.</summary>
    [Parameter(Mandatory = true, Position = 1, ValueFromPipelineByPropertyName = true, ParameterSetName = WindowsUserSet, HelpMessage = CredentialHelp)]
    [Parameter(Mandatory = true, Position = 1, ValueFromPipelineByPropertyName = true, ParameterSetName = BasicUserSet, HelpMessage = CredentialHelp)]
    [Credential]
    [ArgumentCompleter(typeof(NoCompleter))]
    public PSCredential Credential { get; set; } = PSCredential.Empty;

    /// <summary>Gets or sets whether the user is a basic user of the VMS.</summary>
    [Parameter(Mandatory = true, ValueFromPipelineByPropertyName = true, ParameterSetName = BasicUserSet)]
    public SwitchParameter BasicUser { get; set; }

    /// <summary>Gets or sets a token from the VMS's identity provider.</summary>
    [Parameter(Mandatory = true, ValueFromPipelineByPropertyName = true, ParameterSetName = AccessTokenSet, HelpMessage = TokenHelp)]
    [ArgumentCompleter(typeof(NoCompleter))]
    public SecureString AccessToken { get; set; } = new();

    /// <summary>Gets or sets whether HTTPS is required.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public SwitchParameter SecureOnly { get; set; }

    /// <summary>Gets or sets whether the child sites are listed.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public SwitchParameter IncludeChildSites { get; set; }

    /// <summary>Gets or sets whether any certificate is accepted.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public SwitchParameter SkipCertificateCheck { get; set; }

    /// <summary>Gets or sets the timeout of the whole logon, in seconds. 0: none.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    [ValidateRange(0, 3600)]
    [ArgumentCompleter(typeof(NoCompleter))]
    public int TimeoutSec { get; set; } = 60;

    /// <summary>Gets or sets a connection profile of MilestonePSTools. It has no meaning here.</summary>
    [Parameter(DontShow = true, ValueFromPipelineByPropertyName = true)]
    public string Name { get; set; } = "";

    /// <summary>Gets or sets whether MilestonePSTools shows a dialog. It has no meaning here.</summary>
    [Parameter(DontShow = true, ValueFromPipelineByPropertyName = true)]
    public SwitchParameter ShowDialog { get; set; }

    /// <summary>Gets or sets whether the licence of MilestonePSTools is accepted. It has no meaning here.</summary>
    [Parameter(DontShow = true, ValueFromPipelineByPropertyName = true)]
    public SwitchParameter AcceptEula { get; set; }

    /// <summary>Gets or sets whether MilestonePSTools saves no profile. It has no meaning here.</summary>
    [Parameter(DontShow = true)]
    public SwitchParameter NoProfile { get; set; }

    private string Target => VmsLogon.WithoutSecrets(ServerAddress);

    /// <summary>Gets whether what is sent can be read on its way: not over HTTPS, and not to this computer itself.</summary>
    private bool IsReadableOnTheWay =>
        ServerAddress.TrimStart().StartsWith("http://", StringComparison.OrdinalIgnoreCase)
        && !(Uri.TryCreate(ServerAddress.Trim(), UriKind.Absolute, out var address)
            && (address.Host == "localhost"
                || (IPAddress.TryParse(address.DnsSafeHost, out var host) && IPAddress.IsLoopback(host))));

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        _replaced = ModuleConnections.Open();
        // Only what the user typed: objects of a pipeline have such properties by chance.
        foreach (var name in s_ofMilestonePSTools)
        {
            if (MyInvocation.BoundParameters.ContainsKey(name))
            {
                _ignored.Add("-" + name);
            }
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        if (ParameterSetName == NoAddressSet)
        {
            Fail(NoAddress());
            return;
        }

        if (_ignored.Count > 0)
        {
            WriteWarning(
                string.Join(", ", _ignored) + " of MilestonePSTools " + (_ignored.Count > 1 ? "have" : "has") + " no effect here: this"
                    + " module has no licence to accept, no dialog and no connection profiles. It connects to " + Target + ".");
            _ignored.Clear();
        }

        if (ShouldProcess(Target, "Connect"))
        {
            Connect();
        }
    }

    /// <summary>Ctrl+C: ends the attempt at once.</summary>
    protected override void StopProcessing() => _stop.Cancel();

    private void Connect()
    {
        if (SkipCertificateCheck)
        {
            WriteWarning(
                "The server's certificate is not checked: an attacker on the network between can pretend to be the server.");
        }

        if (IsReadableOnTheWay && !SecureOnly)
        {
            WriteWarning(
                "http:// is not encrypted: an attacker on the network between can read what is sent to " + Target
                + ", also the password or token. Use https:// if the server offers it.");
        }

        try
        {
            var logon = Logon();
            WriteProgress(Progress("Logging on"));
            WriteResult(ModuleConnections.Connect(logon, _replaced, _stop.Token));
            // The other connections of this command stay open beside it.
            _replaced = [];
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (VmsConnectionException exception)
        {
            EndProgress();
            Fail(Error(exception));
        }
    }

    /// <summary>
    /// Writes an error. For objects of a pipeline, and with -ErrorAction, the command goes on; else it ends, so that a script with
    /// `catch` sees it, as with MilestonePSTools.
    /// </summary>
    private void Fail(ErrorRecord error)
    {
        if (!MyInvocation.ExpectingInput && !MyInvocation.BoundParameters.ContainsKey("ErrorAction"))
        {
            ThrowTerminatingError(error);
        }

        WriteError(error);
    }

    private VmsLogon Logon()
    {
        var name = Credential.UserName ?? "";
        if (ParameterSetName == BasicUserSet && BasicUser && name.LastIndexOfAny(['\\', '/']) > 0
            && !name.StartsWith(@"[BASIC]\", StringComparison.OrdinalIgnoreCase))
        {
            // No attempt is made, as too many lock a user.
            throw Refused(TelemetryStatus.InvalidArgument, name + " looks like a Windows user", "Leave out -BasicUser.");
        }

        var logon = ParameterSetName switch
        {
            // Functions that pass parameters on give the switch a value.
            BasicUserSet when BasicUser => VmsLogon.AsBasicUser(
                ServerAddress,
                Credential.UserName ?? "",
                Credential.Password ?? new SecureString()),
            AccessTokenSet => VmsLogon.WithAccessToken(ServerAddress, AccessToken),
            // An empty credential is their usual default.
            _ when Credential.UserName is not null =>
                VmsLogon.AsWindowsUser(ServerAddress, Credential.UserName, Credential.Password),
            _ => VmsLogon.AsCurrentUser(ServerAddress),
        };
        logon.SecureOnly = SecureOnly;
        logon.IncludeChildSites = IncludeChildSites;
        logon.SkipCertificateCheck = SkipCertificateCheck;
        logon.Timeout = TimeoutSec == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(TimeoutSec);
        logon.Tell = WriteVerbose;
        return logon;
    }

    private void WriteResult(VmsConnection connection)
    {
        EndProgress();
        if (ModuleSession.StatusMessage() is { } message)
        {
            WriteVerbose(message);
        }

        Views.Load(this);
        WriteObject(connection);
    }

    private void EndProgress()
    {
        var progress = Progress(" ");
        progress.RecordType = ProgressRecordType.Completed;
        WriteProgress(progress);
    }

    private ProgressRecord Progress(string status) => new(ProgressId, "Connecting to " + Target, status);

    private static VmsConnectionException Refused(TelemetryStatus status, string what, string advice) =>
        new(status, "The logon cannot be tried: " + what + ". " + advice, advice);

    private ErrorRecord NoAddress()
    {
        const string Advice = "Type the address of the management server: Connect-Vms https://vms.example";
        var why = ShowDialog ? "This module has no logon dialog, so no address is known. "
            : Name.Length > 0 ? "Connection profiles belong to MilestonePSTools, so no address is known. "
            : "No address is given. ";
        var exception = new VmsConnectionException(TelemetryStatus.InvalidArgument, why + Advice, Advice);
        return Record(exception, "VmsAddressMissing", ErrorCategory.InvalidArgument, Name, Advice);
    }

    private ErrorRecord Error(VmsConnectionException exception)
    {
        var (id, category) = exception.Status switch
        {
            TelemetryStatus.Unavailable => ("VmsLibraryMissing", ErrorCategory.ResourceUnavailable),
            TelemetryStatus.InvalidArgument => (
                exception.Message.StartsWith(s_parameters[0].Field, StringComparison.Ordinal) ? "VmsAddressInvalid" : "VmsCredentialInvalid",
                ErrorCategory.InvalidArgument),
            TelemetryStatus.Unreachable => ("VmsUnreachable", ErrorCategory.ConnectionError),
            TelemetryStatus.Timeout => ("VmsTimeout", ErrorCategory.OperationTimeout),
            TelemetryStatus.CertificateRefused => ("VmsCertificateRefused", ErrorCategory.SecurityError),
            TelemetryStatus.NotEncrypted => ("VmsNotEncrypted", ErrorCategory.SecurityError),
            TelemetryStatus.Redirected => ("VmsRedirected", ErrorCategory.ProtocolError),
            TelemetryStatus.LogonRefused => ("VmsLogonRefused", ErrorCategory.AuthenticationError),
            TelemetryStatus.UserLocked => ("VmsUserLocked", ErrorCategory.AuthenticationError),
            TelemetryStatus.PasswordExpired => ("VmsPasswordExpired", ErrorCategory.AuthenticationError),
            TelemetryStatus.AccessDenied => ("VmsAccessDenied", ErrorCategory.PermissionDenied),
            TelemetryStatus.ServerFailed => ("VmsServerError", ErrorCategory.ResourceUnavailable),
            TelemetryStatus.AnswerInvalid => ("VmsAnswerInvalid", ErrorCategory.InvalidResult),
            _ => ("VmsConnectFailed", ErrorCategory.NotSpecified),
        };
        var worded = Worded(exception);
        return Record(worded, id, category, Target, worded.Advice);
    }

    /// <summary>Puts what the native library says of an argument into the words of the command.</summary>
    private static VmsConnectionException Worded(VmsConnectionException exception)
    {
        if (exception.Status == TelemetryStatus.Unavailable)
        {
            return new(exception.Status, "Connect-Vms needs the native library: " + exception.Message + ". " + InstallAgain, InstallAgain);
        }

        foreach (var (field, parameter, advice) in s_parameters)
        {
            if (exception.Message.StartsWith(field, StringComparison.Ordinal))
            {
                return Refused(exception.Status, parameter + exception.Message.Substring(field.Length), advice);
            }
        }

        return exception;
    }
}
