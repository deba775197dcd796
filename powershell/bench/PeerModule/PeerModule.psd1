@{
    RootModule             = 'PeerModule.dll'
    ModuleVersion          = '1.0.0'
    GUID                   = '03845d12-cbd7-4dfd-a5d0-6b5c8d04f245'
    Author                 = 'vms-telemetry contributors'
    CompanyName            = 'vms-telemetry contributors'
    Copyright              = '(c) vms-telemetry contributors. Apache-2.0.'
    Description            = 'For the bench: a manifest of the same shape as that of VmsTelemetry.'
    PowerShellVersion      = '5.1'
    DotNetFrameworkVersion = '4.7.2'
    CompatiblePSEditions   = @('Desktop', 'Core')
    FunctionsToExport      = @()
    CmdletsToExport        = @()
    VariablesToExport      = @()
    AliasesToExport        = @()
    PrivateData            = @{
        PSData = @{
            Tags = @('Milestone', 'XProtect', 'VMS', 'Telemetry')
        }
    }
}
