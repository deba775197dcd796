# A module with connections of its own, which it reports.
$session = [Vms.Telemetry.TelemetrySession]::Start([Vms.Telemetry.TelemetryOptions]::new('5.0.0'))
$connection = $null

function Connect-Vms {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [guid] $SiteId)

    Disconnect-Vms
    # Here the module logs on in its own way, and reads what the VMS is and what its privacy option says.
    $facts = [Vms.Telemetry.VmsConnectionFacts]::new($SiteId, 'WindowsUser')
    $facts.UsageDataPolicy = 'On'
    $facts.EncryptionEnabled = $true
    $facts.CameraCount = 64
    $script:connection = $session.Connect($facts)
}

function Disconnect-Vms {
    if ($connection) {
        $connection.Close()
        $script:connection = $null
    }
}
