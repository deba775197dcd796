# The commands as PowerShell shows them, with telemetry off: clauses P1, P2 and P4.
BeforeDiscovery {
    $commands = 'Connect-Vms', 'Disconnect-Vms', 'Get-VmsConnection', 'Get-VmsModuleConfig', 'Set-VmsModuleConfig'
}

Describe 'Commands' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place @{ DO_NOT_TRACK = '1' }
        $commands = 'Connect-Vms', 'Disconnect-Vms', 'Get-VmsConnection', 'Get-VmsModuleConfig', 'Set-VmsModuleConfig'
        $said = @(Import-Module VmsTelemetry *>&1)
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'P2 S3 the import says nothing, and the module exports five commands with approved verbs' {
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
        @{ Command = 'Connect-Vms'; Changes = $true; Sets = @(
            'CurrentUser: ServerAddress', 'WindowsUser: ServerAddress Credential',
            'BasicUser: ServerAddress Credential BasicUser', 'AccessToken: ServerAddress AccessToken') }
        @{ Command = 'Disconnect-Vms'; Changes = $true; Sets = @('__AllParameterSets:') }
        @{ Command = 'Get-VmsConnection'; Changes = $false; Sets = @('__AllParameterSets:') }
        @{ Command = 'Get-VmsModuleConfig'; Changes = $false; Sets = @('__AllParameterSets:') }
        @{ Command = 'Set-VmsModuleConfig'; Changes = $true; Sets = @('__AllParameterSets:') }
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
        @{ Line = 'Connect-Vms vms.example -TimeoutSec 0'; Id = 'ParameterArgumentValidationError'; Category = 'InvalidData' }
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

    It 'P2 values of -<_> complete with the tab key' -ForEach 'EnableTelemetry', 'LogTelemetry' {
        $text = "Set-VmsModuleConfig -$_ "
        $matched = [Management.Automation.CommandCompletion]::CompleteInput($text, $text.Length, $null).CompletionMatches
        @($matched | ForEach-Object CompletionText) | Should -Be '$true', '$false'
    }

    It 'P2 help of <_> documents each parameter and no other' -ForEach $commands {
        $help = Get-Help $_ -Full
        $help.Synopsis | Should -Match '\.$'
        "$($help.Description.Text)" | Should -Not -BeNullOrEmpty
        $examples = @($help.examples.example)
        $examples.Count | Should -BeGreaterThan 0
        foreach ($example in $examples) { $example.code | Should -Match $_ }

        $common = [Management.Automation.Cmdlet]::CommonParameters
        $real = (Get-Command $_).Parameters.Values | Where-Object { $common -notcontains $_.Name } | ForEach-Object {
            $under = [Nullable]::GetUnderlyingType($_.ParameterType)
            $type = if ($under) { $under } else { $_.ParameterType }
            "$($_.Name) $($type.Name) $(@($_.Attributes | ForEach-Object Mandatory) -contains $true)"
        }
        $documented = $help.parameters.parameter | Where-Object { $_.description.text } | ForEach-Object {
            "$($_.name) $($_.type.name) $($_.required -eq 'true')"
        }
        @($documented | Sort-Object) | Should -Be @($real | Sort-Object)

        $sets = (Get-Command $_).ParameterSets | ForEach-Object {
            "$(@($_.Parameters | ForEach-Object Name | Where-Object { $common -notcontains $_ } | Sort-Object))"
        }
        $syntax = $help.syntax.syntaxItem | ForEach-Object { "$(@($_.parameter | ForEach-Object name | Sort-Object))" }
        @($syntax | Sort-Object) | Should -Be @($sets | Sort-Object)
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

    It 'P2 a connection is a table that fits a console' {
        $vms = Start-Vms
        [void](Connect-Vms $vms.Address -BasicUser -Credential (New-Credential 'reader'))
        "$(Get-VmsConnection)" | Should -Be 'DEMO-VMS'
        $lines = @((Get-VmsConnection | Out-String -Width 120) -replace '\x1b\[[0-9;]*m' -split "`r?`n" | Where-Object { $_.Trim() })
        -split $lines[0] | Should -Be 'Name', 'Address', 'Product', 'UserType'
        -split $lines[2] | Should -Be 'DEMO-VMS', $vms.Address, 'XProtect', 'Corporate', '2025', 'R1', 'BasicUser'
        foreach ($line in $lines) { $line.TrimEnd().Length | Should -BeLessThan 120 }
        Disconnect-Vms
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
