# A module that makes its own connections and reports them.
$session = [Vms.Telemetry.TelemetrySession]::Start([Vms.Telemetry.TelemetryOptions]::new('5.0.0'))
$connection = $null

function Connect-Vms {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [guid] $SiteId)

    Disconnect-Vms
    # Log on here, and read these values from the VMS. This sample has no VMS: do not copy the values, above all not 'On'.
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
