# Scripts and documentation of MilestonePSTools: clause P5. What has no meaning here warns and keeps nothing from taking effect.
Describe 'MilestonePSTools' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place
        Import-Module VmsTelemetry
        $vms = Start-Vms @{ users = @(@{ name = 'reader'; password = $Password }) }
        $at = $vms.Address
        $reader = New-Credential 'reader'

        # Runs lines as a script would, and gives what each stream got.
        function Invoke-Lines([string] $Lines) {
            $ErrorActionPreference = 'Continue'
            $output = New-Object Collections.ArrayList
            # An error that ends a command ends the lines only where somebody catches it, as here.
            try { & ([scriptblock]::Create($Lines)) 2>&1 3>&1 | ForEach-Object { [void] $output.Add($_) } } catch { [void] $output.Add($_) }
            @{
                Errors = @($output | Where-Object { $_ -is [Management.Automation.ErrorRecord] })
                Warnings = @($output | Where-Object { $_ -is [Management.Automation.WarningRecord] } | ForEach-Object Message)
                Output = @($output | Where-Object { $_ -isnot [Management.Automation.ErrorRecord] -and $_ -isnot [Management.Automation.WarningRecord] })
            }
        }
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    AfterEach {
        Disconnect-Vms
        Set-VmsModuleConfig -Reset
    }

    It 'P5 <Line>: opts out (<Out>), warns (<Warns>)' -ForEach @(
        # Example 1 of its page about Set-VmsModuleConfig.
        @{ Line = 'Set-VmsModuleConfig -EnableDebugLogging $false -EnableTelemetry $false'; Out = $true; Warns = 1 }
        @{ Line = 'Set-VmsModuleConfig -EnableTelemetry $false -ProxyPoolSize 2'; Out = $true; Warns = 1 }
        @{ Line = 'Set-VmsModuleConfig -EnableTelemetry $false'; Out = $true; Warns = 0 }
        @{ Line = 'Set-VmsModuleConfig -EnableTelemetry $false -LogTelemetry $false'; Out = $true; Warns = 0 }
        @{ Line = 'Set-VmsModuleConfig -EnableDebugLogging $true -ProxyPoolSize 8'; Out = $false; Warns = 1 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.Enabled = $false; Set-VmsModuleConfig -InputObject $c'; Out = $true; Warns = 0 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.Enabled = $false; Set-VmsModuleConfig $c'; Out = $true; Warns = 0 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.Enabled = $false; $c | Set-VmsModuleConfig'; Out = $true; Warns = 0 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.IncludeInLogs = $true; $c | Set-VmsModuleConfig'; Out = $false; Warns = 0 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.ConnectionString = "x"; $c.ApplicationInsights.Enabled = $false; $c | Set-VmsModuleConfig'; Out = $true; Warns = 1 }
        @{ Line = '$c = Get-VmsModuleConfig; $c.ApplicationInsights.Enabled = $false; $c.Mip.ProxyPoolSize = 2; $c.Mip.EnvironmentProperties.X = 1; $c | Set-VmsModuleConfig'; Out = $true; Warns = 1 }
        @{ Line = 'Get-VmsModuleConfig | Set-VmsModuleConfig'; Out = $false; Warns = 0 }
        @{ Line = '$o = @{ EnableTelemetry = $false; EnableDebugLogging = $false }; Set-VmsModuleConfig @o'; Out = $true; Warns = 1 }
        @{ Line = '[pscustomobject]@{ EnableTelemetry = $false } | Set-VmsModuleConfig'; Out = $true; Warns = 0 }
    ) {
        $ran = Invoke-Lines $Line
        $ran.Errors | Should -BeNullOrEmpty
        $ran.Warnings.Count | Should -Be $Warns -Because "$($ran.Warnings)"
        (Get-VmsModuleConfig).EnableTelemetry | Should -Be (-not $Out)
        # As a script that checks it reads it.
        (Get-VmsModuleConfig).ApplicationInsights.Enabled | Should -Be (-not $Out)
    }

    It 'P5 what it writes to the settings file is read, and stays' {
        $file = (Get-VmsModuleConfig).SettingsFile
        [void](New-Item (Split-Path $file) -ItemType Directory -Force)
        [IO.File]::WriteAllText($file, '{"ApplicationInsights":{"Enabled":"False","IncludeInLogs":true},"Mip":{"ProxyPoolSize":1}}')
        $c = Get-VmsModuleConfig
        "$($c.ApplicationInsights.Enabled) $($c.ApplicationInsights.IncludeInLogs)" | Should -Be 'False True'
        Set-VmsModuleConfig -EnableTelemetry $true
        (ConvertFrom-Json ([IO.File]::ReadAllText($file))).Mip.ProxyPoolSize | Should -Be 1
        "$((Get-VmsModuleConfig).ApplicationInsights)" | Should -Be 'Enabled=True, IncludeInLogs=True'
    }

    It 'P5 its examples of settings of the Mip SDK give nothing, and no error' {
        $ran = Invoke-Lines '(Get-VmsModuleConfig).Mip.EnvironmentManager.DebugLoggingEnabled; (Get-VmsModuleConfig).Mip.EnvironmentManager.EnvironmentOptions'
        $ran.Errors | Should -BeNullOrEmpty
        $ran.Output | Where-Object { $null -ne $_ } | Should -BeNullOrEmpty
    }

    # $at and $reader stand for the address and the credential of the pages' examples.
    It 'P5 <Line>: connects, warns of <Warns>' -ForEach @(
        @{ Line = 'Connect-Vms -ServerAddress $at -Credential $reader -BasicUser'; Warns = '' }
        @{ Line = 'Connect-Vms -ServerAddress $at -Credential $reader -BasicUser -AcceptEula'; Warns = '-AcceptEula' }
        @{ Line = 'Connect-Vms -Name "MyVMS" -ServerAddress $at -Credential $reader -BasicUser'; Warns = '-Name' }
        @{ Line = 'Connect-Vms -ServerAddress $at -Credential $reader -BasicUser -AcceptEula -NoProfile'; Warns = '-AcceptEula, -NoProfile' }
        @{ Line = 'Connect-Vms -ServerAddress ([uri]$at) -Credential $reader -BasicUser:$true -SecureOnly:$false -IncludeChildSites'; Warns = '' }
        @{ Line = '$a = @{ ServerAddress = $at; Credential = $reader; BasicUser = $true; AcceptEula = $true }; Connect-Vms @a -ErrorAction Stop'; Warns = '-AcceptEula' }
        @{ Line = '[pscustomobject]@{ Name = "MyVMS"; ServerAddress = $at; Credential = $reader; BasicUser = $true } | Connect-Vms'; Warns = '' }
        @{ Line = '$c = Connect-Vms -ServerAddress $at -Credential $reader -BasicUser -AcceptEula; Disconnect-Vms; Connect-Vms $at $reader -BasicUser'; Warns = '-AcceptEula' }
        @{ Line = 'Disconnect-Vms; Connect-Vms -ServerAddress $at -Credential $reader -BasicUser -AcceptEula | Out-Null'; Warns = '-AcceptEula' }
        @{ Line = 'try { Connect-Vms -ServerAddress $at -Credential $reader -BasicUser -AcceptEula -ErrorAction Stop } catch { exit 1 }'; Warns = '-AcceptEula' }
    ) {
        $ran = Invoke-Lines $Line
        $ran.Errors | Should -BeNullOrEmpty
        $words = @($ran.Warnings | Where-Object { $_ -notmatch '^http://' })
        "$words" | Should -BeLike $(if ($Warns) { "$Warns of MilestonePSTools ha* no effect here*It connects to $($at.TrimEnd('/'))*" } else { '' })
        "$(Get-VmsConnection)" | Should -Be 'DEMO-VMS'
    }

    It 'P5 <Line>: an error that says what to type' -ForEach @(
        @{ Line = 'Connect-Vms -AcceptEula' }
        @{ Line = 'Connect-Vms' }
        @{ Line = 'try { Connect-Vms -Name MyVMS } catch { throw }' }
        @{ Line = "Connect-Vms -Name 'MyVMS'" }
        @{ Line = "Connect-Vms -Name 'MyVMS' -ShowDialog" }
        @{ Line = 'Connect-Vms -ShowDialog' }
        @{ Line = 'Connect-Vms -ShowDialog -AcceptEula -IncludeChildSites' }
        @{ Line = '[pscustomobject]@{ Name = "MyVMS" } | Connect-Vms -AcceptEula' }
    ) {
        $ran = Invoke-Lines $Line
        $ran.Errors.Count | Should -Be 1
        $ran.Errors[0].FullyQualifiedErrorId | Should -BeLike 'VmsAddressMissing,*'
        $ran.Errors[0].Exception.Message | Should -BeLike '*Connect-Vms https://vms.example'
    }

    It 'P5 a line of a script after -AcceptEula alone takes effect' {
        $lines = Complete-Child (Start-Child @'
Import-Module VmsTelemetry
try { Connect-Vms -ShowDialog -AcceptEula } catch { }
Set-VmsModuleConfig -EnableTelemetry $false
"$((Get-VmsModuleConfig).EnableTelemetry)"
'@)
        $lines | Should -Be 'False'
    }

    It 'P5 <_> is no parameter of theirs, and stays an error' -ForEach @(
        'Set-VmsModuleConfig -EnableTelemetri $false -Nonsense 1', 'Set-VmsModuleConfig -ProxyPoolSize 9', 'Connect-Vms x -Port 80', 'Disconnect-Vms -Force'
    ) {
        { & ([scriptblock]::Create($_)) } | Should -Throw
    }

    It 'P5 what has no meaning here is not offered by completion' {
        foreach ($text in 'Connect-Vms -', 'Set-VmsModuleConfig -') {
            $offered = [Management.Automation.CommandCompletion]::CompleteInput($text, $text.Length, $null).CompletionMatches
            @($offered | ForEach-Object CompletionText) | Should -Not -Match '^-(Name|ShowDialog|AcceptEula|NoProfile|EnableDebugLogging|ProxyPoolSize)$'
            $offered.Count | Should -BeGreaterThan 4
        }
    }

    It 'P5 a function of another module goes before our cmdlet, whatever the order, and the import says so' {
        $lines = Complete-Child (Start-Child @'
$other = New-Module -Name Other -ScriptBlock { function Connect-Vms { 'the other one' }; function Disconnect-Vms { } }
Import-Module $other
$said = @(Import-Module VmsTelemetry -Verbose 4>&1 | ForEach-Object { "$_" }) -like 'Functions*'
"$((Get-Command Connect-Vms).CommandType) $(Connect-Vms)"
Import-Module $other -Force
"$((Get-Command Connect-Vms).CommandType) $((Get-Command VmsTelemetry\Connect-Vms).CommandType)"
$said
Import-Module VmsTelemetry -Prefix My -Force
(Get-Command Connect-MyVms).CommandType
'@)
        $lines | Should -Be @(
            'Function the other one'
            'Function Cmdlet'
            'Functions of other modules hide Connect-Vms, Disconnect-Vms of VmsTelemetry, as a function goes before a cmdlet. Use VmsTelemetry\Connect-Vms, or import with a prefix: Import-Module VmsTelemetry -Prefix My'
            'Cmdlet'
        )
    }
}
