# The tour of a new user, in one session: each step builds on those before it. Clauses P2, P4, P7, C3 and S1.
Describe 'Tour' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place
        $vms = Start-Vms
        $at = $vms.Address
        $reader = New-Credential 'reader'
        function Get-ErrorId([scriptblock] $What) {
            $ErrorActionPreference = 'SilentlyContinue'
            $Error.Clear()
            try { $null = & $What 3>$null } catch { }
            "$($Error[0].FullyQualifiedErrorId)" -replace ',.*'
        }
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'P2 I import the module, and find its commands' {
        @(Import-Module VmsTelemetry *>&1) | Should -BeNullOrEmpty
        "$((Get-Command -Module VmsTelemetry | Sort-Object Name).Name)" |
            Should -Be 'Clear-VmsTelemetryData Connect-Vms Disconnect-Vms Export-VmsTelemetryReport Get-VmsConnection Get-VmsModuleConfig Get-VmsTelemetryEvent Set-VmsModuleConfig Test-VmsTelemetryEndpoint'
    }

    It 'P2 I read their help, with examples, and the topic about telemetry' {
        foreach ($command in (Get-Command -Module VmsTelemetry).Name) {
            "$(Get-Help $command -Examples | Out-String)" | Should -BeLike "*Example 1*$command*"
        }
        "$(Get-Help about_VmsTelemetry | Out-String)" | Should -BeLike '*HOW TO OPT OUT*'
    }

    It 'P2 I see whether telemetry is on, and who decided it' {
        $config = Get-VmsModuleConfig
        "$($config.EnableTelemetry) $($config.TelemetryReason)" | Should -Be 'True it is on by default; nobody has opted out'
        $config.ApplicationInsights.ConnectionString | Should -Be "InstrumentationKey=$Key;IngestionEndpoint=$Collector"
    }

    It 'P4 P7 I connect wrongly: <Why>' -ForEach @(
        @{ Why = 'without an address'; Do = { Connect-Vms }; Id = 'VmsAddressMissing' }
        @{ Why = 'two words'; Do = { Connect-Vms 'my vms' }; Id = 'VmsAddressInvalid' }
        @{ Why = 'a scheme of its own'; Do = { Connect-Vms 'ftp://vms' }; Id = 'VmsAddressInvalid' }
        @{ Why = 'a typo in the name'; Do = { Connect-Vms 'vms-01.invalid' }; Id = 'VmsUnreachable' }
        @{ Why = 'the wrong port'; Do = { Connect-Vms (New-ClosedAddress) }; Id = 'VmsUnreachable' }
        @{ Why = 'https where there is none'; Do = { Connect-Vms ($at -replace '^http', 'https') $reader -BasicUser }; Id = 'VmsNotEncrypted' }
        @{ Why = 'the wrong password'; Do = { Connect-Vms $at (New-Credential 'reader' 'incorrect') -BasicUser }; Id = 'VmsLogonRefused' }
        @{ Why = 'a basic user without -BasicUser'; Do = { Connect-Vms $at $reader }; Id = 'VmsLogonRefused' }
        @{ Why = 'a Windows user with -BasicUser'; Do = { Connect-Vms $at (New-Credential 'DEMO\operator') -BasicUser }; Id = 'VmsCredentialInvalid' }
        @{ Why = 'an old token'; Do = { Connect-Vms $at -AccessToken (New-Secret "old-$Token") }; Id = 'VmsLogonRefused' }
        @{ Why = 'a parameter that is not there'; Do = { Connect-Vms $at -Port 80 }; Id = 'NamedParameterNotFound' }
    ) {
        Get-ErrorId $Do | Should -Be $Id
        Get-VmsConnection | Should -BeNullOrEmpty
    }

    It 'P2 I connect, with the address as I copied it, and look at the connection' {
        $connection = Connect-Vms ($at + 'ManagementServer/') $reader -BasicUser -TimeoutSec 0
        "$connection $($connection.Address) $(Get-VmsConnection)" | Should -Be "DEMO-VMS $at DEMO-VMS"
        $connection.ConnectedSince.Offset | Should -Be ([DateTimeOffset]::Now.Offset)
        "$($connection.Problem)" | Should -BeExactly ''
    }

    It 'P2 a job has connections of its own, and -All shows them' {
        $other = [PowerShell]::Create()
        [void] $other.AddScript('param($At, $Who) Import-Module VmsTelemetry; $null = Connect-Vms $At $Who -BasicUser; Get-VmsConnection')
        $theirs = @($other.AddArgument($at).AddArgument($reader).Invoke())
        "$($theirs.Count) $(@(Get-VmsConnection).Count) $(@(Get-VmsConnection -All).Count)" | Should -Be '1 1 2'
        (Get-VmsConnection).IsOpen | Should -BeTrue
        $theirs | Disconnect-Vms
        "$($theirs.IsOpen) $(@(Get-VmsConnection -All).Count)" | Should -Be 'False 1'
        $other.Dispose()
    }

    It 'P2 I disconnect by the pipeline, and an empty one closes nothing' {
        @() | Disconnect-Vms
        Get-VmsConnection | Should -Not -BeNullOrEmpty
        Get-VmsConnection | Disconnect-Vms
        Get-VmsConnection | Should -BeNullOrEmpty
        Get-EventNames (Get-Received 5) | Should -BeLike 'NewSession *CloseVmsSession*'
    }

    It 'C3 I opt out for this process, and take it back' {
        Set-VmsModuleConfig -EnableTelemetry $false -Scope Process
        $config = Get-VmsModuleConfig
        "$($config.EnableTelemetry) $($config.TelemetryReason)" | Should -BeLike 'False you turned it off for this session*'
        $config.SettingsFile | Should -Not -Exist
        Complete-Child (Start-Child 'Import-Module VmsTelemetry; "$((Get-VmsModuleConfig).EnableTelemetry)"') | Should -Be 'True'
        Set-VmsModuleConfig -EnableTelemetry $true -Scope Process
        (Get-VmsModuleConfig).EnableTelemetry | Should -BeTrue
    }

    It 'C3 I opt out, in again, and take my choice back' {
        Set-VmsModuleConfig -EnableTelemetry $false
        (Get-VmsModuleConfig).EnableTelemetry | Should -BeFalse
        # That overrides no choice that is stored.
        "$(Set-VmsModuleConfig -EnableTelemetry $true -Scope Process 3>&1)" | Should -BeLike 'Telemetry stays off: you turned it off*'
        Set-VmsModuleConfig -EnableTelemetry $true
        (Get-VmsModuleConfig).TelemetryReason | Should -BeLike 'you turned it on*'
        (Set-VmsModuleConfig -Reset -PassThru).TelemetryReason | Should -Be 'it is on by default; nobody has opted out'
    }
}
