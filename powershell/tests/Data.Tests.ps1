# What people can see of telemetry, and how they are forgotten: clauses T1, T2, T5 and T7. Each test builds on those before it.
Describe 'Data' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place
        $vms = Start-Vms
        $reader = New-Credential 'reader'
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'T2 a preview works with telemetry off, and leaves no file' {
        $lines = Complete-Child (Start-Child @'
Import-Module VmsTelemetry
$event = Get-VmsTelemetryEvent -Preview
"$event $($event.State) $($event.Destination)"
(Get-VmsTelemetryEvent -Preview -Raw) -like '{"name":"AppEvents"*"NewSession"*'
'@ @{ DO_NOT_TRACK = '1' })
        $lines | Should -Be "NewSession Preview $($Collector)v2.1/track", 'True'
        $DataFolder | Should -Not -Exist
    }

    It 'T1 T2 what was sent is shown with its fields, byte for byte as it arrived' {
        Import-Module VmsTelemetry
        $null = Connect-Vms $vms.Address $reader -BasicUser
        Wait-Counted
        Disconnect-Vms
        $sent = Get-Received 3
        Wait-Until { @(Get-VmsTelemetryEvent -State Sent).Count -eq 3 }
        $shown = @(Get-VmsTelemetryEvent)
        "$shown $($shown.State)" | Should -Be 'CloseVmsSession NewVmsSession NewSession Sent Sent Sent'
        "$($shown[0].Status) $($shown[0].Destination)" | Should -Be "200 $($Collector)v2.1/track"
        $shown[0].Answered | Should -BeGreaterThan $shown[0].Time
        # The record of the collector has the members in the order sent.
        $arrived = @($sent | ForEach-Object { ConvertTo-Json $_.envelope -Depth 9 -Compress })
        [Array]::Reverse($arrived)
        @(Get-VmsTelemetryEvent -Raw | ForEach-Object { ConvertTo-Json (ConvertFrom-Json $_) -Depth 9 -Compress }) | Should -Be $arrived
        $field = $shown[1].Fields | Where-Object Name -eq 'CameraCount'
        "$field|$($field.Meaning)" | Should -Be "CameraCount=$($sent[1].envelope.data.baseData.measurements.CameraCount)|enabled cameras"
        foreach ($one in $shown.Fields) { $one.Meaning | Should -Not -BeNullOrEmpty -Because $one.Name }
        "$(Get-VmsTelemetryEvent -Newest 1)" | Should -Be 'CloseVmsSession'
        @(Get-VmsTelemetryEvent Pending, Refused) | Should -BeNullOrEmpty
    }

    It 'T7 the configuration names the host, the id and each layer' {
        $config = Get-VmsModuleConfig
        $config.Endpoint | Should -Be ([uri] $Collector).Authority
        $id = [guid] [IO.File]::ReadAllBytes((Join-Path $DataFolder 'telemetry.uuid'))
        $config.UserId | Should -Be $id
        "$($config.Layers)" | Should -Be ('MachinePolicy=not set Process=not set Environment=not set DO_NOT_TRACK=not set ' +
            'VmsPolicy=not set SettingsFile=not set Default=on')
    }

    # Off, as the person asked for it: the collector gets a request, and no event.
    It 'T4 the way to <Where> is tried step by step' -ForEach @(
        @{ Where = 'the collector'; Says = 'Name=True Proxy=True Connection=True Certificate=True Answer=True' }
        @{ Where = 'nobody'; Says = 'Name=True Proxy=True Connection=False Certificate= Answer=' }
        @{ Where = 'a name that is not there'; Says = 'Name=False Proxy= Connection= Certificate= Answer=' }
        @{ Where = 'a server with another certificate'; Says = 'Name=True Proxy=True Connection=True Certificate=False Answer=' }
    ) {
        $endpoint = switch ($Where) {
            'the collector' { $Collector }
            'nobody' { New-ClosedAddress }
            'a name that is not there' { 'https://in.invalid/' }
            default { (Start-Program 'vms-collector' '--quiet --tls self-signed').Address }
        }
        $before = @(Get-Received 0).Count
        $lines = Complete-Child (Start-Child @'
Import-Module VmsTelemetry
$steps = Test-VmsTelemetryEndpoint 3>$null
"$($steps | ForEach-Object { "$($_.Step)=$($_.Ok)" })"
@($steps | Where-Object { $_.Ok -eq $false -and -not $_.Advice }).Count
"$(Test-VmsTelemetryEndpoint 3>&1 | Select-Object -First 1)"
'@ @{ DO_NOT_TRACK = '1'; VMS_ApplicationInsights__ConnectionString = "InstrumentationKey=$Key;IngestionEndpoint=$endpoint" })
        $lines[0] | Should -Be $Says
        $lines[1] | Should -Be '0'
        $lines[2] | Should -BeLike 'Telemetry is off: the environment variable DO_NOT_TRACK is set. The way is tried all the same*'
        @(Get-Received 0).Count | Should -Be $before
    }

    It 'T5 what is deleted is chosen, and -WhatIf deletes nothing' {
        (Get-Failure { Clear-VmsTelemetryData -ErrorAction Stop }).FullyQualifiedErrorId | Should -BeLike 'NothingToClear,*'
        Clear-VmsTelemetryData -All -WhatIf
        @(Get-VmsTelemetryEvent).Count | Should -Be 3
        $id = (Get-VmsModuleConfig).UserId
        Clear-VmsTelemetryData -Sent
        @(Get-VmsTelemetryEvent) | Should -BeNullOrEmpty
        (Get-VmsModuleConfig).UserId | Should -Be $id
    }

    It 'T4 D5 with a connection string that cannot be used, there is no endpoint to test' {
        $lines = Complete-Child (Start-Child @'
Import-Module VmsTelemetry
"<$((Get-VmsModuleConfig).Endpoint)>"
Test-VmsTelemetryEndpoint -ErrorAction SilentlyContinue -ErrorVariable failed
"$($failed[0].Exception.Message)|$($failed[0].ErrorDetails.RecommendedAction)"
'@ @{ VMS_ApplicationInsights__ConnectionString = 'garbage' })
        $lines[0] | Should -Be '<>'
        $lines[1] | Should -BeLike 'There is no endpoint to test: *VMS_ApplicationInsights__ConnectionString cannot be used*|Correct that*'
    }

    It 'P7 an error about telemetry data says what to do, also on its own: <Id>' -ForEach @(
        @{ Id = 'NothingToClear'; Line = { Clear-VmsTelemetryData -ErrorAction Stop } }
        @{ Id = 'NothingToChange'; Line = { Set-VmsModuleConfig -ErrorAction Stop } }
        @{ Id = 'ReportNotWritten'; Line = { Export-VmsTelemetryReport $TestDrive -Force -ErrorAction Stop } }
        @{ Id = 'ReportNotWritten'; Line = { Export-VmsTelemetryReport (Join-Path $TestDrive 'none/report.html') -ErrorAction Stop } }
        @{ Id = 'ReportNotWritten'; Line = { Export-VmsTelemetryReport env:report -ErrorAction Stop } }
    ) {
        $failure = Get-Failure $Line
        $failure.FullyQualifiedErrorId | Should -BeLike "$Id,*"
        $advice = $failure.ErrorDetails.RecommendedAction
        $advice | Should -Not -BeNullOrEmpty
        $failure.Exception.Message.EndsWith($advice) | Should -BeTrue -Because $failure
    }

    It 'T5 with -Id, the next event has new ids, and no file has the old ones' {
        $old = (Get-VmsModuleConfig).UserId
        $session = (Get-VmsModuleConfig).SessionId
        Clear-VmsTelemetryData -Id
        (Get-VmsModuleConfig).UserId | Should -Be ([guid]::Empty)
        $null = Connect-Vms $vms.Address $reader -BasicUser
        Wait-Counted
        Disconnect-Vms
        Wait-Until { @(Get-VmsTelemetryEvent -State Sent).Count -eq 2 }
        (Get-VmsModuleConfig).UserId | Should -Not -Be $old
        (Get-VmsModuleConfig).SessionId | Should -Not -Be $session
        foreach ($file in Get-ChildItem $DataFolder -Recurse -File -Force) {
            $text = [Text.Encoding]::GetEncoding('iso-8859-1').GetString([IO.File]::ReadAllBytes($file.FullName))
            foreach ($id in $old, $session) { $text.Contains("$id") | Should -BeFalse -Because $file }
        }
        (Get-VmsModuleConfig).EnableTelemetry | Should -BeTrue
    }

    It 'T1 an opt-out deletes the receipts' {
        Set-VmsModuleConfig -EnableTelemetry $false
        @(Get-VmsTelemetryEvent) | Should -BeNullOrEmpty
        @(Get-ChildItem (Join-Path $DataFolder 'sent') -File) | Should -BeNullOrEmpty
    }
}
