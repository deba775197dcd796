# Connect-Vms against demo VMSs: what it makes and says, in one session with telemetry on. Clauses P3, P4 and P6.
Describe 'Connect' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place
        Import-Module VmsTelemetry
        $tokenEndpoint = '/idp/connect/token'
        # .NET outside Windows has NTLM from a package.
        $hasNtlm = $OnWindows -or @(Get-ChildItem /etc/gss/mech.d -Filter *ntlmssp* -ErrorAction Ignore).Count -gt 0

        # The parameters for a user.
        function Get-User([string] $User) {
            switch -Wildcard ($User) {
                'basic' { @{ BasicUser = $true; Credential = New-Credential 'reader' } }
                'windows' { @{ Credential = New-Credential 'DEMO\operator' } }
                'token' { @{ AccessToken = New-Secret $Token } }
                'current' { @{ } }
                default { throw $User }
            }
        }

        # What goes wrong at a path.
        function New-Fault([string] $Path, [string] $Effect, [int] $Delay = 0) {
            $fault = @{ path = $Path; delayMs = $Delay }
            $what, $rest = $Effect -split ' ', 2
            switch ($what) {
                '' { }
                'redirect' { $fault.effect = @{ redirect = $rest } }
                'repeat' { $fault.effect = @{ repeat = @{ text = '['; bytes = [long] $rest } } }
                'close' { $fault.effect = @{ closeAfter = [int] $rest } }
                'header' { $fault.effect = @{ hugeHeader = [int] $rest } }
                default { $fault.effect = @{ answer = @{ status = [int] $what; contentType = 'application/json'; body = "$rest" } } }
            }
            @{ faults = @($fault) }
        }

        # Insists on an error record with a sentence about the server that says what to do, and on no connection.
        function Assert-Fails([string] $Address, [hashtable] $With, [string] $Id, [string] $Category) {
            $failure = Get-Failure { Connect-Vms $Address @With -WarningAction Ignore -ErrorAction Stop }
            $failure | Should -Not -BeNullOrEmpty
            $failure.FullyQualifiedErrorId | Should -Be "$Id,Vms.Telemetry.PowerShell.ConnectVmsCommand" -Because "$failure"
            "$($failure.CategoryInfo.Category)" | Should -Be $Category
            $failure.TargetObject | Should -Be $Address
            $named = if ($Id -eq 'VmsCredentialInvalid') { '-' } else { ($Address -split '//')[-1].TrimEnd('/') }
            $failure.Exception.Message.Contains($named) | Should -BeTrue -Because "$failure"
            $failure.Exception.Message | Should -Match '^.+\. .+\.$|^The logon cannot be tried: .+\.$'
            $failure.Exception.ToString().Contains($Password) | Should -BeFalse
            Get-VmsConnection | Should -BeNullOrEmpty
        }

        $usual = Start-Vms
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    AfterEach { Disconnect-Vms }

    It 'P3 a user of the kind <User> connects, and the counts are those of the VMS' -ForEach @(
        @{ User = 'basic'; Type = 'BasicUser' }
        @{ User = 'windows'; Type = 'WindowsUser' }
        @{ User = 'token'; Type = 'OAuthUser' }
    ) {
        if ($User -eq 'windows') {
            if ($OnWine) { Set-ItResult -Skipped -Because 'Wine has no NTLM here' }
            Skip-Unless $hasNtlm 'NTLM is missing: apt-get install gss-ntlmssp'
        }
        $before = @(Get-Received 0).Count
        $with = Get-User $User
        Get-VmsConnection | Should -BeNullOrEmpty
        $c = Connect-Vms $usual.Address @with -IncludeChildSites
        "$($c.Name)|$($c.Id)|$($c.Address)|$($c.Version)|$($c.Product)|$($c.UserType)|$($c.EncryptionEnabled)" |
            Should -Be "DEMO-VMS|$Site|$($usual.Address)|25.1.1804.0|XProtect Corporate 2025 R1|$Type|False"
        "$($c.ChildSites.Count) $($c.ChildSites[0].Version) $(@($c.ChildSites | ForEach-Object Name))" |
            Should -Be '4 25.1.1804.0 Child site 1 Child site 2 Child site 3 Child site 4'
        Wait-Counted
        "$($c.IsCounting) $($c.ItemsCounted -gt 0) $($c.UsageDataPolicy) $($c.IsReported)" | Should -Be 'False True On True'
        [object]::ReferenceEquals($c, (Get-VmsConnection)) | Should -BeTrue
        Disconnect-Vms
        Get-VmsConnection | Should -BeNullOrEmpty

        # NewSession as well, where it was still to come.
        Wait-Until { (Get-EventNames (Get-Received ($before + 2))) -match 'NewVmsSession CloseVmsSession$' }
        $sent = @(Get-Received 0)[-2].envelope.data.baseData
        $sent.properties.UserType | Should -Be $Type
        ConvertTo-Words $sent.measurements | Should -Be (Get-Counts $usual)
    }

    # Nobody who runs tests is a user of the demo VMS.
    It 'P3 P4 the current Windows user is the usual one' {
        Assert-Fails $usual.Address @{} 'VmsLogonRefused' 'AuthenticationError'
    }

    It 'P3 P4 the user <Name> with the password <Secret> cannot log on (basic: <Basic>)' -ForEach @(
        @{ Name = 'reader'; Secret = 'wrong'; Basic = $true; Id = 'VmsLogonRefused' }
        @{ Name = 'nobody'; Basic = $true; Id = 'VmsLogonRefused' }
        @{ Name = 'locked'; Basic = $true; Id = 'VmsUserLocked' }
        @{ Name = 'novice'; Basic = $true; Id = 'VmsPasswordExpired' }
        @{ Name = 'guard'; Basic = $true; Id = 'VmsAccessDenied'; Category = 'PermissionDenied' }
        @{ Name = 'DEMO\operator'; Secret = 'wrong'; Basic = $false; Id = 'VmsLogonRefused' }
        @{ Name = 'operator@demo.example'; Basic = $false; Id = 'VmsLogonRefused' }
        # Functions pass switches on as values: a basic user's password is not taken for one then.
        @{ Name = 'reader'; Basic = $false; Id = 'VmsLogonRefused' }
    ) {
        if (-not $Secret) { $Secret = $Password }
        if (-not $Category) { $Category = 'AuthenticationError' }
        Assert-Fails $usual.Address @{ BasicUser = $Basic; Credential = New-Credential $Name $Secret } $Id $Category
    }

    It 'P3 P4 the token "<Word>" is not taken' -ForEach @(
        @{ Word = 'wrong'; Id = 'VmsLogonRefused'; Category = 'AuthenticationError' }
        @{ Word = 'old-token-of-a-visitor'; Id = 'VmsLogonRefused'; Category = 'AuthenticationError' }
        @{ Word = ''; Id = 'VmsCredentialInvalid'; Category = 'InvalidArgument' }
    ) {
        Assert-Fails $usual.Address @{ AccessToken = New-Secret $Word } $Id $Category
    }

    # What a basic user meets, the native library judges; what a Windows user meets at the token endpoint, .NET.
    It 'P3 P4 a server that answers <User> at <Path> with "<Effect>"' -ForEach @(
        @{ User = 'basic'; Path = '/api/.well-known/uris'; Effect = 'redirect https://vms.example/api/.well-known/uris'; Id = 'VmsRedirected ProtocolError' }
        @{ User = 'basic'; Path = '/api/.well-known/uris'; Effect = '404 <p>nothing</p>'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'basic'; Path = '/api/.well-known/uris'; Effect = '502 <p>nobody</p>'; Id = 'VmsServerError ResourceUnavailable' }
        @{ User = 'basic'; Path = '/idp/connect/token'; Effect = '500 '; Id = 'VmsServerError ResourceUnavailable' }
        @{ User = 'basic'; Path = '/api/rest/v1/sites'; Effect = 'repeat 1073741824'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'basic'; Path = '/api/rest/v1/sites'; Effect = 'close 100'; Id = 'VmsUnreachable ConnectionError' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = 'redirect http://127.0.0.2:1/'; Id = 'VmsRedirected ProtocolError' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = 'repeat 1073741824'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = 'repeat 60000'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = 'header 10000000'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = 'close 10'; Id = 'VmsUnreachable ConnectionError' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '500 '; Id = 'VmsServerError ResourceUnavailable' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '404 '; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '200 '; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '200 {"access_token":7}'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '200 {"access_token":"x'; Id = 'VmsAnswerInvalid InvalidResult' }
        @{ User = 'windows'; Path = '/idp/connect/token'; Effect = '200 {"access_token":"x"}'; Id = 'VmsLogonRefused AuthenticationError' }
    ) {
        $vms = Start-Vms (New-Fault $Path $Effect)
        $code, $category = -split $Id
        Assert-Fails $vms.Address (Get-User $User) $code $category
    }

    # Longer than one piece of a JSON reader; and longer than a text may be.
    It 'P3 P4 a token of <Length> letters gets through to <User> or is refused' -ForEach @(
        @{ User = 'basic'; Length = 7000; Id = 'VmsLogonRefused AuthenticationError' }
        @{ User = 'basic'; Length = 9000; Id = 'VmsLogonRefused AuthenticationError' }
        @{ User = 'windows'; Length = 7000; Id = 'VmsLogonRefused AuthenticationError' }
        @{ User = 'windows'; Length = 9000; Id = 'VmsAnswerInvalid InvalidResult' }
    ) {
        $vms = Start-Vms (New-Fault $tokenEndpoint ('200 {"access_token":"' + ('x' * $Length) + '"}'))
        $code, $category = -split $Id
        Assert-Fails $vms.Address (Get-User $User) $code $category
    }

    # What functions pass on that were given no credential.
    It 'P3 P4 an empty credential is the current user, or an error that names it' {
        $empty = [pscredential]::Empty
        Assert-Fails $usual.Address @{ Credential = $empty } 'VmsLogonRefused' 'AuthenticationError'
        $failure = Get-Failure { Connect-Vms $usual.Address -BasicUser -Credential $empty -WarningAction Ignore }
        "$($failure.FullyQualifiedErrorId) $failure" | Should -Be ('VmsCredentialInvalid,Vms.Telemetry.PowerShell.' +
            'ConnectVmsCommand The logon cannot be tried: the name in -Credential: it is required.')
    }

    It 'P3 I6 a site id that is a path is refused' {
        $vms = Start-Vms @{} '..\..\x'
        Assert-Fails $vms.Address (Get-User 'basic') 'VmsAnswerInvalid' 'InvalidResult'
        @(Get-ChildItem $Root -Recurse -Filter 'site-*' | Where-Object Name -ne "site-$Site.uuid") | Should -BeNullOrEmpty
    }

    # In the usual time it would answer.
    It 'P3 P4 a server that is too slow for <User> at <Path>' -ForEach @(
        @{ User = 'basic'; Path = '/api/.well-known/uris' }
        @{ User = 'basic'; Path = '/idp/connect/token' }
        @{ User = 'windows'; Path = '/idp/connect/token' }
    ) {
        $vms = Start-Vms (New-Fault $Path '' 20000)
        Assert-Fails $vms.Address ((Get-User $User) + @{ TimeoutSec = 1 }) 'VmsTimeout' 'OperationTimeout'
    }

    It 'P3 P4 a server that is not there' {
        Assert-Fails (New-ClosedAddress) (Get-User 'basic') 'VmsUnreachable' 'ConnectionError'
    }

    It 'P6 a bare name never ends on HTTP, and the error says what would' {
        $bare = ([uri] $usual.Address).Authority
        $basic = Get-User 'basic'
        Assert-Fails $bare $basic 'VmsNotEncrypted' 'SecurityError'
        $failure = Get-Failure { Connect-Vms $bare @basic }
        $failure.Exception.Message | Should -Match ([regex]::Escape("http://$bare"))
        Assert-Fails $usual.Address ($basic + @{ SecureOnly = $true }) 'VmsNotEncrypted' 'SecurityError'
    }

    # The warning stops the command: it comes before anything is sent, as the names are those of no computer.
    It 'P6 a warning before anything is sent to <Address> <With>: <Warned>' -ForEach @(
        @{ Address = 'http://vms.example'; Warned = $true }
        @{ Address = 'HTTP://vms.example:8080/'; Warned = $true }
        @{ Address = 'http://127.0.0.1.example'; Warned = $true }
        @{ Address = 'http://[2001:db8::1]'; Warned = $true }
        @{ Address = 'http://reader:secret@vms.example'; Warned = $true }
        @{ Address = 'http://vms.example'; With = 'SecureOnly'; Warned = $false }
        @{ Address = 'http://vms.example'; With = 'WhatIf'; Warned = $false }
        @{ Address = 'http://localhost:{0}'; Warned = $false }
        @{ Address = 'http://127.0.0.2:{0}'; Warned = $false }
        @{ Address = 'http://[::1]:{0}'; Warned = $false }
        @{ Address = '127.0.0.1:{0}'; Warned = $false }
    ) {
        $more = Get-User 'basic'
        if ($With) { $more[$With] = $true }
        $at = $Address -f ([uri] (New-ClosedAddress)).Port
        $warnings = $null
        $failure = Get-Failure { Connect-Vms $at @more -WarningAction Stop -WarningVariable warnings }
        "$($failure.FullyQualifiedErrorId)".StartsWith('ActionPreferenceStop,') | Should -Be $Warned -Because "$failure"
        "$failure".Contains('http:// is not encrypted') | Should -Be $Warned -Because "$failure"
        "$failure".Contains('secret') | Should -BeFalse
    }

    It 'P3 a Windows user connects as <_>' -ForEach 'DEMO/operator', 'DEMO\operator' {
        if ($OnWine) { Set-ItResult -Skipped -Because 'Wine has no NTLM here' }
        Skip-Unless $hasNtlm 'NTLM is missing: apt-get install gss-ntlmssp'
        "$(Connect-Vms $usual.Address -Credential (New-Credential $_))" | Should -Be 'DEMO-VMS'
    }

    # A connect that would last an hour ends when it is told to, whoever waits for what.
    It 'P3 Ctrl C ends a connect of <User> at <Path> at once' -ForEach @(
        @{ User = 'basic'; Path = '/api/.well-known/uris' }
        @{ User = 'basic'; Path = '/idp/connect/token' }
        @{ User = 'windows'; Path = '/idp/connect/token' }
    ) {
        $vms = Start-Vms (New-Fault $Path '' 3600000)
        $shell = [PowerShell]::Create()
        [void] $shell.AddScript('param($At, $With) Import-Module VmsTelemetry; Connect-Vms $At @With -TimeoutSec 3600')
        [void] $shell.AddArgument($vms.Address).AddArgument((Get-User $User))
        $call = $shell.BeginInvoke()
        Wait-Until { $shell.Streams.Progress.Count }
        # On this computer the server is found in less time.
        Start-Sleep -Seconds 2
        $call.IsCompleted | Should -BeFalse
        $shell.Stop()
        "$($shell.InvocationStateInfo.State) $($shell.Streams.Error.Count)" | Should -Be 'Stopped 0'
        Get-VmsConnection | Should -BeNullOrEmpty
    }

    It 'P3 progress is shown and taken away' {
        $vms = Start-Vms (New-Fault '/api/rest/v1/cameras' '' 80000)
        $shell = [PowerShell]::Create()
        [void] $shell.AddCommand('Import-Module').AddArgument('VmsTelemetry').AddStatement()
        [void] $shell.AddCommand('Connect-Vms').AddArgument($vms.Address).AddParameters((Get-User 'basic')).AddStatement()
        [void] $shell.AddCommand('Disconnect-Vms').Invoke()
        $records = $shell.Streams.Progress
        @($records | ForEach-Object { "$($_.RecordType) $($_.Activity): $($_.StatusDescription -replace '\d+', 'n')".Trim() }) |
            Should -Be @(
                "Processing Connecting to $($vms.Address): Logging on"
                "Completed Connecting to $($vms.Address):"
                'Processing Disconnecting: Waiting a second at most for the counts, n so far'
                'Completed Disconnecting:'
            )
        # All have one id, and none that a script would choose for a progress of its own.
        @($records | ForEach-Object ActivityId | Sort-Object -Unique).Count | Should -Be 1
        $records[0].ActivityId | Should -BeGreaterThan 1000
    }
}
