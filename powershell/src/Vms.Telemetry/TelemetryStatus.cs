namespace Vms.Telemetry;

/// <summary>The outcome of a call into the native library.</summary>
public enum TelemetryStatus
{
    /// <summary>The native library could not be loaded. Nothing was called.</summary>
    Unavailable = -1,

    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>Done, and nothing was recorded: telemetry is off, or the connection sends nothing.</summary>
    Off = 1,

    /// <summary>
    /// Done, and nothing was recorded: it is not known now whether there is an opt-out. Pending events are kept.
    /// </summary>
    Unsure = 2,

    /// <summary>The configuration was changed, and there is a warning.</summary>
    Warning = 3,

    /// <summary>An argument cannot be used.</summary>
    InvalidArgument = 10,

    /// <summary>There is no session.</summary>
    NoSession = 11,

    /// <summary>The connection is not open.</summary>
    NoConnection = 12,

    /// <summary>Too many connections are open at once.</summary>
    TooManyConnections = 13,

    /// <summary>A buffer is too small.</summary>
    BufferTooSmall = 14,

    /// <summary>A file or folder could not be used. The message names it.</summary>
    File = 20,

    /// <summary>The settings file cannot be parsed. The message names file, line and column.</summary>
    Settings = 21,

    /// <summary>The operating system has no resources left: no thread could be started.</summary>
    Resources = 22,

    /// <summary>The administrator of this computer has opted out, and no user can opt in. Nothing was changed.</summary>
    Policy = 23,

    /// <summary>A defect of the native library.</summary>
    Internal = 30,

    /// <summary>The connection failed: name not found, refused, no route, or reset.</summary>
    Unreachable = 40,

    /// <summary>Timed out.</summary>
    Timeout = 41,

    /// <summary>This computer does not trust the server's certificate.</summary>
    CertificateRefused = 42,

    /// <summary>The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.</summary>
    NotEncrypted = 43,

    /// <summary>The server redirects to another server. Such a redirect is not followed.</summary>
    Redirected = 44,

    /// <summary>The server rejected the user name, the password or the token.</summary>
    LogonRefused = 45,

    /// <summary>The user is locked.</summary>
    UserLocked = 46,

    /// <summary>The user must choose a new password first.</summary>
    PasswordExpired = 47,

    /// <summary>The user may log on, but may not read what is needed.</summary>
    AccessDenied = 48,

    /// <summary>The server reported an internal error.</summary>
    ServerFailed = 49,

    /// <summary>The response is not that of an XProtect API.</summary>
    AnswerInvalid = 50,

    /// <summary>Another thread cancelled the attempt.</summary>
    Cancelled = 51,
}
