namespace Vms.Telemetry;

/// <summary>What becomes of a choice of the user.</summary>
internal enum TelemetryChoice : uint
{
    /// <summary>It stays as it is.</summary>
    Keep = 0,

    /// <summary>No.</summary>
    Off = 1,

    /// <summary>Yes.</summary>
    On = 2,

    /// <summary>It is taken back, so that the default is in effect again.</summary>
    Reset = 3,
}
