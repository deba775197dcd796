# A session from its import to the opt-out, and what it sends: clauses S1 to S5, E1 to E5, I2, C1 to C3, P1 to P4. Each test
# builds on those before it, as the session does.
Describe 'Session' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place
        $vms = Start-Vms
        $other = Start-Vms @{} $OtherSite
        $reader = New-Credential 'reader'
        $settings = Join-Path $DataFolder 'appsettings.user.json'

        function Get-Id([string] $File) { "$(New-Object guid (, [IO.File]::ReadAllBytes((Join-Path $DataFolder $File))))" }

        # Insists on the documented fields of an event and no others, each of the sort that it has.
        function Assert-Fields($Sent, [string] $Properties, [string] $Measurements) {
            $data = $Sent.envelope.data.baseData
            "$(@($data.properties.PSObject.Properties | ForEach-Object Name | Sort-Object))" | Should -Be $Properties
            "$(@($data.measurements.PSObject.Properties | ForEach-Object Name | Sort-Object))" | Should -Be $Measurements
            $data.properties.PSObject.Properties | ForEach-Object { $_.Value | Should -BeOfType string -Because $_.Name }
            "$(@($Sent.envelope.PSObject.Properties | ForEach-Object Name | Sort-Object))" | Should -Be 'data iKey name tags time'
            $tags = @{
                'ai.application.ver' = $version; 'ai.cloud.role' = 'na'; 'ai.cloud.roleInstance' = 'na'
                'ai.internal.nodeName' = 'na'; 'ai.internal.sdkVersion' = "vms-telemetry:$version"
                'ai.session.id' = $session; 'ai.user.authUserId' = 'na'; 'ai.user.id' = Get-Id 'telemetry.uuid'
            }
            ConvertTo-Words $Sent.envelope.tags | Should -Be (ConvertTo-Words $tags)
            $Sent.envelope.iKey | Should -Be $Key
            $data.properties.uuid | Should -Be (Get-Id 'telemetry.uuid')
            $data.properties.SessionId | Should -Be $session
        }
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'S1 S3 the import says nothing and sends one NewSession' {
        @(Import-Module VmsTelemetry *>&1) | Should -BeNullOrEmpty
        Get-EventNames (Get-Received 1) | Should -Be 'NewSession'
    }

    It 'S2 a further import joins the session' {
        $first = (Get-VmsModuleConfig).SessionId
        Import-Module VmsTelemetry
        Import-Module VmsTelemetry -Force
        Remove-Module VmsTelemetry
        Import-Module VmsTelemetry
        (Get-VmsModuleConfig).SessionId | Should -Be $first
    }

    It 'P2 WhatIf does nothing' {
        Wait-Until { -not (Get-VmsModuleConfig).PendingEvents }
        Connect-Vms $other.Address -BasicUser -Credential $reader -WhatIf | Should -BeNullOrEmpty
        Set-VmsModuleConfig -EnableTelemetry $false -LogTelemetry $true -PassThru -WhatIf | Should -BeNullOrEmpty
        $connection = Connect-Vms $vms.Address -BasicUser -Credential $reader
        Wait-Counted
        Connect-Vms $other.Address -BasicUser -Credential $reader -WhatIf | Should -BeNullOrEmpty
        Disconnect-Vms -WhatIf
        # Nor does a variable that holds nothing.
        Disconnect-Vms $null
        $null | Disconnect-Vms
        Get-VmsConnection | Should -Be $connection
        $settings | Should -Not -Exist
        Join-Path $DataFolder "site-$OtherSite.uuid" | Should -Not -Exist
    }

    It 'E2 E5 I2 the three events hold the documented fields and no others' {
        Disconnect-Vms
        $events = Get-Received 3
        Get-EventNames $events | Should -Be 'NewSession NewVmsSession CloseVmsSession'
        $library = Join-Path $env:VMS_TEST_MODULE 'Vms.Telemetry.PowerShell.dll'
        $version = [Diagnostics.FileVersionInfo]::GetVersionInfo($library).ProductVersion
        $session = "$((Get-VmsModuleConfig).SessionId)"
        Assert-Fields $events[0] 'AssemblyVersion FrameworkDescription OSDescription SessionId uuid' 'PrivateBytes ProcessorCount'
        Assert-Fields $events[1] ('AssemblyVersion EncryptionEnabled IsOAuthConnection ProductName ProductVersion SessionId ' +
            'SiteId UserType uuid') ('CameraCount ChildSites HardwareCount InputCount MetadataCount MicrophoneCount ' +
            'OutputCount Recorders SpeakerCount')
        Assert-Fields $events[2] 'SessionId SiteId uuid' 'ConnectionDuration PrivateBytes'

        $new = $events[0].envelope.data.baseData
        $new.properties.AssemblyVersion | Should -Be $version
        $runtime = [Runtime.InteropServices.RuntimeInformation]
        $new.properties.OSDescription | Should -Be $runtime::OSDescription
        $new.properties.FrameworkDescription | Should -Be $runtime::FrameworkDescription
        $new.measurements.ProcessorCount | Should -Be ([Environment]::ProcessorCount)
        $new.measurements.PrivateBytes | Should -BeGreaterThan 1MB
        $made = $events[1].envelope.data.baseData
        $made.properties.SiteId | Should -Be (Get-Id "site-$Site.uuid")
        $made.properties.SiteId | Should -Not -Be $Site
        ConvertTo-Words $made.measurements | Should -Be (Get-Counts $vms)
    }

    It 'E5 no site id, computer, user or path is sent' {
        $events = Get-Received 3
        $events.Count | Should -Be 3
        $all = ($events | ForEach-Object { ConvertTo-Json $_.envelope -Depth 9 }) -join ''
        foreach ($secret in $Site, [Environment]::MachineName, [Environment]::UserName, $Root, $Password) {
            $all | Should -Not -Match ('(?<!\w)' + [regex]::Escape($secret) + '(?!\w)')
        }
    }

    It 'C1 C2 S5 a <_> in the environment sends nothing and leaves no file' -ForEach 'VMS_ApplicationInsights__Enabled', 'DO_NOT_TRACK' {
        $before = @(Get-Received 0).Count
        $variables = @{ XDG_DATA_HOME = Join-Path $Root 'no'; LOCALAPPDATA = Join-Path $Root 'no' }
        $variables[$_] = if ($_ -eq 'DO_NOT_TRACK') { '1' } else { 'false' }
        $lines = Complete-Child (Start-Child @"
Import-Module VmsTelemetry
`$reader = New-Object pscredential 'reader', (New-Object Net.NetworkCredential '', '$Password').SecurePassword
[void](Connect-Vms $($vms.Address) -BasicUser -Credential `$reader)
while ((Get-VmsConnection).IsCounting) { Start-Sleep -Milliseconds 20 }
Disconnect-Vms
(Get-VmsModuleConfig).EnableTelemetry
"@ $variables)
        $lines | Should -Be 'False'
        Join-Path $Root 'no/Milestone' | Should -Not -Exist
        @(Get-Received 0).Count | Should -Be $before
    }

    # What older systems begin with; it is said before any handshake, so over plain HTTP as well.
    It 'P3 a user of Windows connects whatever protocols the process starts with' {
        if (-not $OnWindows -or $OnWine) { Set-ItResult -Skipped -Because 'only Windows knows who its user is' }
        $lines = Complete-Child (Start-Child @"
Import-Module VmsTelemetry
if (`$PSEdition -ne 'Core') { [Net.ServicePointManager]::SecurityProtocol = 'Ssl3, Tls' }
try { Connect-Vms $($vms.Address) } catch { `$_.FullyQualifiedErrorId }
"@ @{ DO_NOT_TRACK = '1' })
        $lines | Should -Be 'VmsLogonRefused,Vms.Telemetry.PowerShell.ConnectVmsCommand'
    }

    It 'S4 D1 a process ends in the midst of a request, and a later one sends what waited' {
        $before = @(Get-Received 0).Count
        $listener = New-Object Net.Sockets.TcpListener ([Net.IPAddress]::Loopback), 0
        $listener.Start()
        $port = $listener.LocalEndpoint.Port
        $variables = @{
            XDG_DATA_HOME = Join-Path $Root 'exit'; LOCALAPPDATA = Join-Path $Root 'exit'
            VMS_ApplicationInsights__ConnectionString = "InstrumentationKey=$Key;IngestionEndpoint=http://127.0.0.1:$port/"
        }
        $child = Start-Child 'Import-Module VmsTelemetry; Wait-Signal leave; exit 7' $variables
        Wait-Until { $listener.Pending() }
        Set-Signal 'leave'
        Complete-Child $child 7 | Should -BeNullOrEmpty
        $listener.Stop()
        @(Get-ChildItem (Join-Path $Root 'exit') -Recurse -Filter *.v1.json).Count | Should -Be 1

        # The same address answers now; the failure of before need not be waited for.
        $later = Start-Program 'vms-collector' "--quiet --port $port"
        Get-ChildItem (Join-Path $Root 'exit') -Recurse -Filter retry.json | Remove-Item
        $lines = Complete-Child (Start-Child 'Import-Module VmsTelemetry; while ((Get-VmsModuleConfig).PendingEvents) { Start-Sleep -Milliseconds 20 }; "sent"' $variables)
        $lines | Should -Be 'sent'
        Get-EventNames (Get-Received 2 $later.Address) | Should -Be 'NewSession NewSession'
        @(Get-Received 0).Count | Should -Be $before
    }

    It 'P4 a settings file that cannot be written is an error that names the place' {
        $blocked = Join-Path $Root 'blocked'
        [void](New-Item $blocked -ItemType Directory)
        [void](New-Item (Join-Path $blocked 'Milestone') -ItemType File)
        $lines = Complete-Child (Start-Child @'
Import-Module VmsTelemetry
try { Set-VmsModuleConfig -LogTelemetry $true } catch {
    "$($_.FullyQualifiedErrorId)|$($_.CategoryInfo.Category)"
    $_.Exception.Message
}
'@ @{ XDG_DATA_HOME = $blocked; LOCALAPPDATA = $blocked })
        $lines[0] | Should -Be 'SettingsFileNotWritable,Vms.Telemetry.PowerShell.SetVmsModuleConfigCommand|WriteError'
        $lines[1].Contains((Join-Path $blocked 'Milestone')) | Should -BeTrue -Because $lines[1]
    }

    It 'C3 P2 an opt-out holds at once, and a configuration can be piped back' {
        Set-VmsModuleConfig -EnableTelemetry $false
        $before = Get-VmsModuleConfig
        $before.EnableTelemetry | Should -BeFalse
        Set-VmsModuleConfig -EnableTelemetry $true -LogTelemetry $true
        "$((Get-VmsModuleConfig).EnableTelemetry) $((Get-VmsModuleConfig).LogTelemetry)" | Should -Be 'True True'
        $after = $before | Set-VmsModuleConfig -PassThru
        "$($after.EnableTelemetry) $($after.LogTelemetry)" | Should -Be 'False False'
    }

    It 'C3 C8 and it holds in the next session, which says who decided' {
        $lines = Complete-Child (Start-Child 'Import-Module VmsTelemetry; "$((Get-VmsModuleConfig).EnableTelemetry) $((Get-VmsModuleConfig).TelemetryReason)"')
        $lines | Should -BeLike 'False you turned it off*'
    }
}
