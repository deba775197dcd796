namespace Vms.Telemetry;

/// <summary>The outcome of a call into the native library.</summary>
public enum TelemetryStatus
{
    /// <summary>The native library could not be loaded; nothing was called.</summary>
    Unavailable = -1,

    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>Done, and nothing was recorded: telemetry is off, or the connection sends nothing.</summary>
    Off = 1,

    /// <summary>
    /// Done, and nothing was recorded: at the moment it is not known whether the user has opted out. Pending events are
    /// kept.
    /// </summary>
    Unsure = 2,

    /// <summary>The configuration was changed, and there is a warning.</summary>
    Warning = 3,

    /// <summary>A value that was handed over cannot be used.</summary>
    InvalidArgument = 10,

    /// <summary>There is no session.</summary>
    NoSession = 11,

    /// <summary>The connection is not open.</summary>
    NoConnection = 12,

    /// <summary>Too many connections are open at once.</summary>
    TooManyConnections = 13,

    /// <summary>A buffer is too small.</summary>
    BufferTooSmall = 14,

    /// <summary>A file or folder could not be used; the message names it.</summary>
    File = 20,

    /// <summary>The settings file cannot be parsed; the message names file, line and column.</summary>
    Settings = 21,

    /// <summary>The operating system has no resources left: no thread could be started.</summary>
    Resources = 22,

    /// <summary>The administrator of this computer has opted out, and no user can opt in. Nothing was changed.</summary>
    Policy = 23,

    /// <summary>A defect of the native library.</summary>
    Internal = 30,

    /// <summary>No connection: name not found, refused, no route, cut off.</summary>
    Unreachable = 40,

    /// <summary>The timeout is over.</summary>
    Timeout = 41,

    /// <summary>This computer does not trust the server's certificate.</summary>
    CertificateRefused = 42,

    /// <summary>The server does not answer over HTTPS, or HTTPS was required and the address is for plain HTTP.</summary>
    NotEncrypted = 43,

    /// <summary>The server points to another one.</summary>
    Redirected = 44,

    /// <summary>Name, password or token were refused.</summary>
    LogonRefused = 45,

    /// <summary>The user is locked.</summary>
    UserLocked = 46,

    /// <summary>The user must choose a new password first.</summary>
    PasswordExpired = 47,

    /// <summary>The user may log on, and not read what is needed.</summary>
    AccessDenied = 48,

    /// <summary>The server says that it failed.</summary>
    ServerFailed = 49,

    /// <summary>The answer is not that of an XProtect API.</summary>
    AnswerInvalid = 50,

    /// <summary>Another thread closed the connection during the attempt.</summary>
    Cancelled = 51,
}
