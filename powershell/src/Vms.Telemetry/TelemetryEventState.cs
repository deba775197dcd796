namespace Vms.Telemetry;

/// <summary>What became of an event.</summary>
public enum TelemetryEventState
{
    /// <summary>It is on this computer, and will be sent.</summary>
    Pending = 0,

    /// <summary>The service accepted it.</summary>
    Sent = 1,

    /// <summary>The service refused it for good.</summary>
    Refused = 2,

    /// <summary>It would be recorded now. It is not stored.</summary>
    Preview = 3,
}
