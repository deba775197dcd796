@{
    RootModule             = 'EmptyModule.dll'
    ModuleVersion          = '1.0.0'
    GUID                   = '2a888569-b7ed-4c2e-bfeb-26290dfd18db'
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
