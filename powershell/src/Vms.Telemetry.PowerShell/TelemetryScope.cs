namespace Vms.Telemetry.PowerShell;

/// <summary>For whom Set-VmsModuleConfig makes a choice.</summary>
public enum TelemetryScope
{
    /// <summary>The current user, in this session and all later ones.</summary>
    CurrentUser = 0,

    /// <summary>This process alone.</summary>
    Process = 1,
}
