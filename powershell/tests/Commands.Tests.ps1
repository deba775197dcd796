# The commands as PowerShell shows them, with telemetry off: clauses P1, P2 and P4.
BeforeDiscovery {
    $commands = 'Clear-VmsTelemetryData', 'Connect-Vms', 'Disconnect-Vms', 'Export-VmsTelemetryReport', 'Get-VmsConnection', 'Get-VmsModuleConfig', 'Get-VmsTelemetryEvent', 'Set-VmsModuleConfig', 'Test-VmsTelemetryEndpoint'
}

Describe 'Commands' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place @{ DO_NOT_TRACK = '1' }
        $commands = 'Clear-VmsTelemetryData', 'Connect-Vms', 'Disconnect-Vms', 'Export-VmsTelemetryReport', 'Get-VmsConnection', 'Get-VmsModuleConfig', 'Get-VmsTelemetryEvent', 'Set-VmsModuleConfig', 'Test-VmsTelemetryEndpoint'
        $said = @(Import-Module VmsTelemetry *>&1)
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'P2 S3 the import says nothing, and the module exports nine commands with approved verbs' {
        $said | Should -BeNullOrEmpty
        @((Get-Module VmsTelemetry).ExportedCommands.Keys | Sort-Object) | Should -Be $commands
    }

    It 'P1 the manifest is valid and has the version of the product' {
        $manifest = Test-ModuleManifest (Join-Path $env:VMS_TEST_MODULE 'VmsTelemetry.psd1')
        "$($manifest.Version)" | Should -Be (Split-Path $env:VMS_TEST_MODULE -Leaf)
        "$($manifest.PowerShellVersion) $($manifest.DotNetFrameworkVersion)" | Should -Be '5.1 4.7.2'
        "$($manifest.CompatiblePSEditions)" | Should -Be 'Desktop Core'
        @($manifest.ExportedCommands.Keys | Sort-Object) | Should -Be $commands
    }

    It 'P2 parameter sets and confirmation of <Command>' -ForEach @(
        @{ Command = 'Connect-Vms'; Changes = $true; Sets = @('ConnectionProfile:',
            'CurrentUser: ServerAddress', 'WindowsUser: ServerAddress Credential',
            'BasicUser: ServerAddress Credential BasicUser', 'AccessToken: ServerAddress AccessToken') }
        @{ Command = 'Clear-VmsTelemetryData'; Changes = $true; Sets = @('__AllParameterSets:') }
        @{ Command = 'Get-VmsTelemetryEvent'; Changes = $false; Sets = @('Stored:', 'Preview: Preview') }
        @{ Command = 'Export-VmsTelemetryReport'; Changes = $true; Sets = @('__AllParameterSets: Path') }
        @{ Command = 'Test-VmsTelemetryEndpoint'; Changes = $false; Sets = @('__AllParameterSets:') }
        @{ Command = 'Disconnect-Vms'; Changes = $true; Sets = @('__AllParameterSets:') }
        @{ Command = 'Get-VmsConnection'; Changes = $false; Sets = @('__AllParameterSets:') }
        @{ Command = 'Get-VmsModuleConfig'; Changes = $false; Sets = @('__AllParameterSets:') }
        @{ Command = 'Set-VmsModuleConfig'; Changes = $true; Sets = @('Options:', 'InputObject: InputObject', 'Reset: Reset') }
    ) {
        $found = (Get-Command $Command).ParameterSets | ForEach-Object {
            "$($_.Name): $(@($_.Parameters | Where-Object IsMandatory | ForEach-Object Name))".Trim()
        }
        @($found | Sort-Object) | Should -Be @($Sets | Sort-Object)
        (Get-Command $Command).Parameters.ContainsKey('WhatIf') | Should -Be $Changes
    }

    It 'P4 "<Line>" is an error with an id and changes nothing' -ForEach @(
        @{ Line = 'Set-VmsModuleConfig'; Id = 'NothingToChange'; Category = 'InvalidArgument' }
        @{ Line = 'Set-VmsModuleConfig -EnableTelemetry false'; Id = 'CannotConvertArgument'; Category = 'InvalidArgument' }
        @{ Line = "Connect-Vms 'two words'"; Id = 'VmsAddressInvalid'; Category = 'InvalidArgument' }
        @{ Line = 'Connect-Vms ftp://vms.example'; Id = 'VmsAddressInvalid'; Category = 'InvalidArgument' }
        @{ Line = 'Set-VmsModuleConfig -LogTelemetry $true -Scope Process'; Id = 'ScopeUnsupported'; Category = 'InvalidArgument' }
        @{ Line = 'Set-VmsModuleConfig -Reset -EnableTelemetry $true'; Id = 'AmbiguousParameterSet'; Category = 'InvalidArgument' }
        @{ Line = 'Connect-Vms vms.example -TimeoutSec -1'; Id = 'ParameterArgumentValidationError'; Category = 'InvalidData' }
        @{ Line = 'Connect-Vms vms.example -AccessToken $null'; Id = 'ParameterArgumentValidationError'; Category = 'InvalidData' }
        @{ Line = 'Connect-Vms vms.example -AccessToken text'; Id = 'CannotConvertArgument'; Category = 'InvalidArgument' }
        @{ Line = 'Connect-Vms vms.example -BasicUser'; Id = 'MissingMandatoryParameter'; Category = 'InvalidArgument' }
    ) {
        $failure = Get-Failure { & ([scriptblock]::Create("`$ErrorActionPreference = 'Stop'; $Line")) }
        $failure.FullyQualifiedErrorId | Should -BeLike "$Id*"
        "$($failure.CategoryInfo.Category)" | Should -Be $Category
        Join-Path $Root 'local/Milestone' | Should -Not -Exist
    }

    It 'P2 Disconnect-Vms without a connection is quiet' {
        @(Disconnect-Vms *>&1) | Should -BeNullOrEmpty
        "$(Disconnect-Vms -Verbose 4>&1)" | Should -Be 'No connection is open.'
    }

    # Nothing false: above all no names of files.
    It 'P2 the tab key completes <Text>' -ForEach @(
        @{ Text = 'Set-VmsModuleConfig -EnableTelemetry '; Offers = '$true', '$false' }
        @{ Text = 'Set-VmsModuleConfig -LogTelemetry '; Offers = '$true', '$false' }
        @{ Text = 'Set-VmsModuleConfig -Scope '; Offers = 'CurrentUser', 'Process' }
        @{ Text = 'Connect-Vms ' }
        @{ Text = 'Connect-Vms x -Credential ' }
        @{ Text = 'Connect-Vms x -TimeoutSec ' }
        @{ Text = 'Connect-Vms x -AccessToken ' }
        @{ Text = 'Disconnect-Vms ' }
    ) {
        $matched = [Management.Automation.CommandCompletion]::CompleteInput($Text, $Text.Length, $null).CompletionMatches
        @($matched | ForEach-Object CompletionText) | Should -Be $Offers
    }

    It 'P2 what is prompted for explains itself' {
        $prompted = (Get-Command Connect-Vms).Parameters.Values | Where-Object { @($_.Attributes | ForEach-Object Mandatory) -contains $true }
        "$($prompted.Name | Sort-Object)" | Should -Be 'AccessToken BasicUser Credential ServerAddress'
        foreach ($parameter in $prompted | Where-Object { -not $_.SwitchParameter }) {
            $parameter.Attributes | Where-Object Mandatory | ForEach-Object { $_.HelpMessage | Should -Not -BeNullOrEmpty -Because $parameter.Name }
        }
    }

    It 'S7 asking for help of a command imports the module, and the topic says so' {
        $lines = Complete-Child (Start-Child '[void](Get-Help Connect-Vms); "$((Get-Module VmsTelemetry).Name)"' @{ DO_NOT_TRACK = '1' })
        $lines | Should -Be 'VmsTelemetry'
        "$(Get-Help about_VmsTelemetry | Out-String -Width 200)" -replace '\s+', ' ' |
            Should -BeLike '*PowerShell also imports the module when you run one of its commands, when you name one to Get-Help or Get-Command*'
    }

    It 'P2 help of <_> documents each parameter and no other' -ForEach $commands {
        $help = Get-Help $_ -Full
        $help.Synopsis | Should -Match '\.$'
        "$($help.Description.Text)" | Should -Not -BeNullOrEmpty
        $examples = @($help.examples.example)
        $examples.Count | Should -BeGreaterThan 0
        foreach ($example in $examples) { $example.code | Should -Match $_ }

        # What only scripts of MilestonePSTools use is in a page of its own.
        $command = Get-Command $_
        $hidden = @($command.Parameters.Values | Where-Object { @($_.Attributes | ForEach-Object DontShow) -contains $true } | ForEach-Object Name)
        $common = @([Management.Automation.Cmdlet]::CommonParameters) + $hidden
        $real = (Get-Command $_).Parameters.Values | Where-Object { $common -notcontains $_.Name } | ForEach-Object {
            $under = [Nullable]::GetUnderlyingType($_.ParameterType)
            $type = if ($under) { $under } else { $_.ParameterType }
            "$($_.Name) $($type.Name) $(@($_.Attributes | ForEach-Object Mandatory) -contains $true)"
        }
        $documented = $help.parameters.parameter | Where-Object { $_.description.text } | ForEach-Object {
            "$($_.name) $($_.type.name) $($_.required -eq 'true')"
        }
        @($documented | Sort-Object) | Should -Be @($real | Sort-Object)

        $sets = $command.ParameterSets | Where-Object Name -ne 'ConnectionProfile' | ForEach-Object {
            "$(@($_.Parameters | ForEach-Object Name | Where-Object { $common -notcontains $_ } | Sort-Object))"
        }
        $syntax = $help.syntax.syntaxItem | ForEach-Object { "$(@($_.parameter | ForEach-Object name | Sort-Object))" }
        @($syntax | Sort-Object) | Should -Be @($sets | Sort-Object)
        @($help.relatedLinks.navigationLink.uri)[0] | Should -BeLike "https://*/docs/commands/$_.md"
    }

    It 'P2 there is a topic about telemetry that fits a console' {
        $topic = "$(Get-Help about_VmsTelemetry | Out-String -Width 200)"
        foreach ($needed in 'about_VmsTelemetry', 'Set-VmsModuleConfig -EnableTelemetry $false',
            'VMS_ApplicationInsights__Enabled', 'DO_NOT_TRACK', 'telemetry.uuid', 'appsettings.user.json',
            'MilestonePSTools<yyyyMMdd>.log') {
            $topic.Contains($needed) | Should -BeTrue -Because $needed
        }
        # Windows PowerShell takes a file without a byte order mark for ANSI text.
        $topic | Should -Not -Match '[^\x00-\x7f]'
        foreach ($line in $topic -split "`r?`n") { $line.TrimEnd().Length | Should -BeLessOrEqual 80 -Because $line }
    }

    # What people see, at the widths that consoles have.
    It 'P2 a connection and a configuration on a screen of <Width> columns' -ForEach @(
        @{ Width = 80; Screen = @(
            'Name                 Address                       Encrypted UserType    Product'
            '----                 -------                       --------- --------    -------'
            'Headquarters Copenh* http://127.0.0.1:12345/       False     BasicUser   XProt*'
            'EnableTelemetry LogTelemetry Pending TelemetryReason'
            '--------------- ------------ ------- ---------------'
            'False           False              0 the environment variable DO_NOT_TRACK is*'
            '                                     *t') }
        @{ Width = 120; Screen = @(
            'Name                 Address                       Encrypted UserType    Product'
            '----                 -------                       --------- --------    -------'
            'Headquarters Copenh* http://127.0.0.1:12345/       False     BasicUser   XProtect Corporate 2025 R1'
            'EnableTelemetry LogTelemetry Pending TelemetryReason'
            '--------------- ------------ ------- ---------------'
            'False           False              0 the environment variable DO_NOT_TRACK is set') }
    ) {
        $vms = Start-Vms @{ site = @{
            seed = 7; id = $Site; name = 'Headquarters Copenhagen, building 4'; version = '25.1.1804.0'; product = 'XProtect Corporate 2025 R1'
            childSites = 0; grandchildSites = 0; recordingServers = 1; hardware = 1; cameras = 1; microphones = 1; speakers = 1; metadata = 1
            inputs = 1; outputs = 1; disabled = @{ hardware = 0; devices = 0 } } }
        $connection = Connect-Vms $vms.Address -BasicUser -Credential (New-Credential 'reader')
        "$connection" | Should -Be 'Headquarters Copenhagen, building 4'
        $shown = ($connection | Out-String -Width $Width) + (Get-VmsModuleConfig | Format-Table | Out-String -Width $Width)
        $lines = @($shown -replace '\x1b\[[0-9;]*m' -replace ':\d+/ +(?=False)', ':12345/       ' -split "`r?`n" | ForEach-Object TrimEnd | Where-Object { $_ })
        $lines.Count | Should -Be $Screen.Count -Because $shown
        for ($i = 0; $i -lt $lines.Count; $i++) {
            $lines[$i] | Should -BeLike $Screen[$i]
            $lines[$i].Length | Should -BeLessOrEqual $Width
        }
        # As a list, the configuration is whole. Mip has no meaning here.
        $listed = @((Get-VmsModuleConfig | Out-String -Width 300) -split "`r?`n" | Where-Object { $_ -match '^(\w+) +:' } | ForEach-Object { ($_ -split ' ')[0] })
        @($listed | Sort-Object) | Should -Be @((Get-VmsModuleConfig).PSObject.Properties.Name | Where-Object { $_ -ne 'Mip' } | Sort-Object)
        Disconnect-Vms
        $text = 'Connect-Vms '
        [Management.Automation.CommandCompletion]::CompleteInput($text, $text.Length, $null).CompletionMatches.CompletionText | Should -Contain $vms.Address
    }

    # Shown to be found by a line that has all of it.
    It 'P1 these tests have nothing that Windows PowerShell 5.1 lacks' {
        function Find-Newer([string] $Text) {
            $tokens = $errors = $null
            [void][Management.Automation.Language.Parser]::ParseInput($Text, [ref] $tokens, [ref] $errors)
            foreach ($problem in $errors) { "$($problem.Extent.StartLineNumber): $($problem.Message)" }
            while ($tokens) {
                $tokens | Where-Object { "$($_.Kind)" -match '^(Question|AndAnd|OrOr|Clean)' } | ForEach-Object Text
                $tokens = $tokens | Where-Object { $_ -is [Management.Automation.Language.StringExpandableToken] } |
                    ForEach-Object NestedTokens
            }
        }
        if ($PSVersionTable.PSVersion.Major -ge 7) {
            "$(Find-Newer '$a ?? $b; $a ??= 1; ${a}?.b; ${a}?[1]; $a ? 1 : 2; f && f || f; "$($a ?? 1)"')" |
                Should -Be '?? ??= ?. ?[ ? && || ??'
        }
        $files = @(Get-ChildItem $PSScriptRoot -Filter *.ps1) + @(Get-Item (Join-Path $PSScriptRoot '../verify-5.1.ps1'))
        $files.Count | Should -BeGreaterThan 4
        foreach ($file in $files) {
            $text = [IO.File]::ReadAllText($file.FullName)
            $text | Should -Not -Match '[^\x00-\x7f]' -Because $file
            Find-Newer $text | Should -BeNullOrEmpty -Because $file
        }
    }
}
