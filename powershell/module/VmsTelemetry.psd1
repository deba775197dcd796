@{
    # One for both editions: an expression that chose what is compiled ahead would cost more than that saves.
    RootModule             = 'Vms.Telemetry.PowerShell.dll'
    ModuleVersion          = '0.1.0'
    GUID                   = '794dcd2a-b60a-41d5-838d-cad036674b29'
    Author                 = 'vms-telemetry contributors'
    CompanyName            = 'vms-telemetry contributors'
    Copyright              = '(c) vms-telemetry contributors. Apache-2.0.'
    Description            = 'Connects to a Milestone XProtect VMS. Sends usage telemetry to Milestone, on by default. To opt out: Set-VmsModuleConfig -EnableTelemetry $false. See about_VmsTelemetry.'
    PowerShellVersion      = '5.1'
    DotNetFrameworkVersion = '4.7.2'
    CompatiblePSEditions   = @('Desktop', 'Core')
    FunctionsToExport      = @()
    CmdletsToExport        = @('Clear-VmsTelemetryData', 'Connect-Vms', 'Disconnect-Vms', 'Export-VmsTelemetryReport', 'Get-VmsConnection', 'Get-VmsModuleConfig', 'Get-VmsTelemetryEvent', 'Set-VmsModuleConfig', 'Test-VmsTelemetryEndpoint')
    VariablesToExport      = @()
    AliasesToExport        = @()
    PrivateData            = @{
        PSData = @{
            Tags         = @('Milestone', 'XProtect', 'VMS', 'Telemetry')
            # ProjectUri and LicenseUri are in the package for the PowerShell Gallery. Here, each import would take a millisecond
            # more to read them.
            ReleaseNotes = 'https://github.com/milestonesys/vms-telemetry/blob/main/CHANGELOG.md, also in the folder of the module'
        }
    }
}
