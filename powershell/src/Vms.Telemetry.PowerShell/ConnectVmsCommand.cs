using System;
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
    DefaultParameterSetName = CurrentUserSet)]
[OutputType(typeof(VmsConnection))]
public sealed class ConnectVmsCommand : VmsCommand, IDisposable
{
    private const string CurrentUserSet = "CurrentUser";
    private const string WindowsUserSet = "WindowsUser";
    private const string BasicUserSet = "BasicUser";
    private const string AccessTokenSet = "AccessToken";

    /// <summary>How the native library names what it cannot use, and what people call it.</summary>
    private static readonly (string Field, string Parameter)[] s_parameters =
    [
        ("server_address", "-ServerAddress"),
        ("user_name", "the name in -Credential"),
        ("password", "the password in -Credential"),
        ("access_token", "-AccessToken"),
    ];

    private readonly CancellationTokenSource _stop = new();

    /// <summary>Gets or sets the address of the management server.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNullOrEmpty]
    public string ServerAddress { get; set; } = "";

    /// <summary>Gets or sets name and password of the user.</summary>
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = WindowsUserSet)]
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = BasicUserSet)]
    [Credential]
    public PSCredential Credential { get; set; } = PSCredential.Empty;

    /// <summary>Gets or sets whether the user is a basic user of the VMS.</summary>
    [Parameter(Mandatory = true, ParameterSetName = BasicUserSet)]
    public SwitchParameter BasicUser { get; set; }

    /// <summary>Gets or sets a token from the VMS's identity provider.</summary>
    [Parameter(Mandatory = true, ParameterSetName = AccessTokenSet)]
    public SecureString AccessToken { get; set; } = new();

    /// <summary>Gets or sets whether HTTPS is required.</summary>
    [Parameter]
    public SwitchParameter SecureOnly { get; set; }

    /// <summary>Gets or sets whether the child sites are listed.</summary>
    [Parameter]
    public SwitchParameter IncludeChildSites { get; set; }

    /// <summary>Gets or sets whether any certificate is accepted.</summary>
    [Parameter]
    public SwitchParameter SkipCertificateCheck { get; set; }

    /// <summary>Gets or sets the timeout of the whole logon, in seconds.</summary>
    [Parameter]
    [ValidateRange(1, 3600)]
    public int TimeoutSec { get; set; } = 60;

    /// <summary>Gets the address as it was typed, without what may stand before an @ in it.</summary>
    private string Target
    {
        get
        {
            var end = ServerAddress.LastIndexOf('@') + 1;
            var scheme = ServerAddress.IndexOf("://", StringComparison.Ordinal);
            var start = scheme >= 0 && scheme < end ? scheme + 3 : 0;
            return ServerAddress.Remove(start, Math.Max(end - start, 0));
        }
    }

    /// <summary>Gets whether what is sent can be read on its way: not over HTTPS, and not to this computer itself.</summary>
    private bool IsReadableOnTheWay =>
        ServerAddress.TrimStart().StartsWith("http://", StringComparison.OrdinalIgnoreCase)
        && !(Uri.TryCreate(ServerAddress.Trim(), UriKind.Absolute, out var address)
            && (address.Host == "localhost"
                || (IPAddress.TryParse(address.DnsSafeHost, out var host) && IPAddress.IsLoopback(host))));

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (!ShouldProcess(Target, "Connect"))
        {
            return;
        }

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

        var logon = Logon();
        WriteProgress(Progress("Logging on"));
        try
        {
            WriteResult(ModuleSession.Connect(logon, _stop.Token));
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (TelemetryException exception)
        {
            EndProgress();
            ThrowTerminatingError(Error(exception));
        }
    }

    /// <summary>Ctrl+C: ends the attempt at once.</summary>
    protected override void StopProcessing() => _stop.Cancel();

    private VmsLogon Logon()
    {
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
        logon.Timeout = TimeSpan.FromSeconds(TimeoutSec);
        return logon;
    }

    private void WriteResult(VmsConnection connection)
    {
        EndProgress();
        if (ModuleSession.StatusMessage() is { } message)
        {
            WriteVerbose(message);
        }

        WriteObject(ConnectionView.Of(connection));
    }

    private void EndProgress()
    {
        var progress = Progress(" ");
        progress.RecordType = ProgressRecordType.Completed;
        WriteProgress(progress);
    }

    private ProgressRecord Progress(string status) => new(ModuleSession.ProgressId, "Connecting to " + Target, status);

    private static string WithParameter(string message)
    {
        foreach (var (field, parameter) in s_parameters)
        {
            if (message.StartsWith(field, StringComparison.Ordinal))
            {
                return parameter + message.Substring(field.Length);
            }
        }

        return message;
    }

    private ErrorRecord Error(TelemetryException exception)
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
        var message = exception.Status switch
        {
            TelemetryStatus.Unavailable =>
                "Connect-Vms needs the native library: " + exception.Message + ".",
            TelemetryStatus.InvalidArgument =>
                "The logon cannot be tried: " + WithParameter(exception.Message) + ".",
            _ => exception.Message,
        };
        return new ErrorRecord(new PSInvalidOperationException(message, exception), id, category, Target);
    }
}
