@{
    RootModule             = 'FloorModule.dll'
    ModuleVersion          = '1.0.0'
    GUID                   = '5cf3c2f5-3f0f-4d6c-9d4b-0d1c1de0f3a7'
    Author                 = 'vms-telemetry contributors'
    CompanyName            = 'vms-telemetry contributors'
    Copyright              = '(c) vms-telemetry contributors. Apache-2.0.'
    Description            = 'For the bench: a manifest of the same shape as that of VmsTelemetry.'
    PowerShellVersion      = '5.1'
    DotNetFrameworkVersion = '4.7.2'
    CompatiblePSEditions   = @('Desktop', 'Core')
    FunctionsToExport      = @()
    CmdletsToExport        = @('Clear-Nothing', 'Find-Nothing', 'Get-Nothing', 'Reset-Nothing', 'Set-Nothing')
    VariablesToExport      = @()
    AliasesToExport        = @()
    PrivateData            = @{
        PSData = @{
            Tags = @('Milestone', 'XProtect', 'VMS', 'Telemetry')
        }
    }
}
