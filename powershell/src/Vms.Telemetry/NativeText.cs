namespace Vms.Telemetry;

/// <summary>The texts of get_text: VMS_TEXT_*.</summary>
internal enum NativeText : uint
{
    LibraryVersion = 1,
    TelemetryReason = 2,
    LogReason = 3,
    SettingsFile = 4,
    DataFolder = 5,
    LogFolder = 6,
    SessionId = 7,
    LastFailure = 8,
    DeliveryFailure = 9,
    LastSent = 10,
    ConnectionReason = 11,
    ConnectionString = 12,
    UserId = 13,
    Layers = 14,
    EndpointTest = 15,
}
