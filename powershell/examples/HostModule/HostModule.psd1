@{
    RootModule         = 'HostModule.psm1'
    ModuleVersion      = '5.0.0'
    RequiredAssemblies = 'Vms.Telemetry.dll'
    FunctionsToExport  = 'Connect-Vms', 'Disconnect-Vms'
}
