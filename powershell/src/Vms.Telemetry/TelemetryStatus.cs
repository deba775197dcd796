namespace Vms.Telemetry;

/// <summary>Tells the outcome of a call into the native library.</summary>
public enum TelemetryStatus
{
    /// <summary>The native library could not be loaded; nothing was called.</summary>
    Unavailable = -1,

    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>Done, and nothing was recorded: telemetry is off, or the connection sends nothing.</summary>
    Off = 1,

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

    /// <summary>A defect of the native library.</summary>
    Internal = 30,
}
