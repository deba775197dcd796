# What Connect-Vms says when it fails, word by word: clauses P4 and P7. A star stands for what the system or a certificate says.
Describe 'Messages' {
    BeforeAll {
        . (Join-Path $PSScriptRoot 'Place.ps1')
        New-Place @{ DO_NOT_TRACK = '1' }
        Import-Module VmsTelemetry
        $plain = Start-Vms
        $servers = @{ plain = $plain.Address; nobody = New-ClosedAddress; typo = 'https://vms-01.invalid'; bare = ([uri] $plain.Address).Authority }
        $servers.https = $plain.Address -replace '^http:', 'https:'
        foreach ($kind in 'good', 'expired', 'wrongName', 'selfSigned', 'noNames') { $servers[$kind] = (Start-Vms @{ tls = $kind }).Address }
        $servers.tls = $servers.good -replace '^https:', 'http:'
        $servers.other = $Collector
        $basic = @{ BasicUser = $true }
    }

    AfterAll {
        Remove-Module VmsTelemetry
        Remove-Place
    }

    It 'P7 <At> <User> <With>: <Says>' -ForEach @(
        @{ At = 'typo'; User = 'reader'; Id = 'VmsUnreachable'
            Says = '{at}: the name of the server was not found. *. Check its spelling, and that this computer can look it up.' }
        @{ At = 'nobody'; User = 'reader'; Id = 'VmsUnreachable'
            Says = '{at}: the server refused the connection. Check the host name and port, that the management server is running, and the network connection.' }
        @{ At = 'https'; User = 'reader'; Id = 'VmsNotEncrypted'
            Says = '{at}: the server does not use TLS on this port. Check the port, set up encryption on the management server, or type http:// if you accept that others on the network can read user name and password.' }
        @{ At = 'tls'; User = 'reader'; Id = 'VmsAnswerInvalid'
            Says = '{at}: this port speaks HTTPS, not plain HTTP. Type {good} instead.' }
        @{ At = 'bare'; User = 'reader'; Id = 'VmsNotEncrypted'
            Says = 'https://{at}: only plain HTTP answers on this server, not HTTPS. Set up encryption on the management server. Or type http://{at} if you accept that others on the network can read user name and password.' }
        @{ At = 'plain'; User = 'reader'; With = @{ SecureOnly = $true }; Id = 'VmsNotEncrypted'
            Says = '{at}: HTTPS was required, and this address is for plain HTTP. Set up encryption on the management server, or leave out -SecureOnly.' }
        @{ At = 'good'; User = 'reader'; Id = 'VmsCertificateRefused'
            Says = "{at}: the server's certificate was refused: this computer does not trust its issuer. It was issued to * by *, is for *, and is valid from ????-??-?? until ????-??-??; SHA-256 *. Install the issuer's certificate on this computer. On a network that you trust, -SkipCertificateCheck accepts it." }
        @{ At = 'selfSigned'; User = 'reader'; Id = 'VmsCertificateRefused'
            Says = "{at}: the server's certificate was refused: this computer does not trust its issuer. It was issued to CN=* by CN=*, is for *, and is valid from ????-??-?? until ????-??-??; SHA-256 *. Install *-SkipCertificateCheck accepts it." }
        @{ At = 'plain'; User = 'reader'; Secret = 'incorrect'; Id = 'VmsLogonRefused'
            Says = '{at}: the logon was refused. Check user name and password. For a Windows user, leave out -BasicUser. Too many wrong attempts lock a user.' }
        @{ At = 'plain'; User = 'DEMO\operator'; Id = 'VmsCredentialInvalid'
            Says = 'The logon cannot be tried: DEMO\operator looks like a Windows user. Leave out -BasicUser.' }
        @{ At = 'plain'; User = 'DEMO/operator'; Id = 'VmsCredentialInvalid'
            Says = 'The logon cannot be tried: DEMO/operator looks like a Windows user. Leave out -BasicUser.' }
        @{ At = 'plain'; User = 'reader'; With = @{ BasicUser = $false }; Id = 'VmsLogonRefused'
            Says = '{at}: the logon of the Windows user reader was refused. reader has no domain: for a basic user, add -BasicUser; for a Windows user, type DOMAIN\reader. Too many wrong attempts lock a user.*' }
        @{ At = 'plain'; User = 'DEMO\operator'; Secret = 'incorrect'; With = @{ BasicUser = $false }; Id = 'VmsLogonRefused'
            Says = '{at}: the logon of the Windows user DEMO\operator was refused. Check user name and password. For a basic user, add -BasicUser. Too many wrong attempts lock a user.*' }
        @{ At = 'plain'; User = 'locked'; Id = 'VmsUserLocked'
            Says = '{at}: the user is locked. Wait, or ask an administrator to unlock the user.' }
        @{ At = 'plain'; User = 'novice'; Id = 'VmsPasswordExpired'
            Says = '{at}: the user must choose a new password first. Log on with an XProtect client once and choose a new password.' }
        @{ At = 'plain'; User = 'guard'; Id = 'VmsAccessDenied'
            Says = "{at}: asked for sites, the server does not allow this user to read it (HTTP 403). Ask an administrator to give this user's role the right to read it." }
        @{ At = 'plain'; Access = 'old-token-of-a-visitor'; Id = 'VmsLogonRefused'
            Says = '{at}: the access token has expired (HTTP 401). Get a new one from the identity provider of this server.' }
        @{ At = 'plain'; Access = "nonsense`n"; Id = 'VmsLogonRefused'
            Says = '{at}: the access token contains characters that are not allowed. Give the token as the identity provider gave it.' }
        @{ At = 'plain'; Access = 'nonsense'; Id = 'VmsLogonRefused'
            Says = '{at}: the server does not accept the access token (HTTP 401). Use one that the identity provider of this very server gave.' }
        @{ At = 'other'; User = 'reader'; Id = 'VmsAnswerInvalid'
            Says = "{at}: asked for XProtect's discovery document, the server does not have it (HTTP 404). Check that the address is that of an XProtect management server (2021 R2 or later, with its API Gateway)." }
    ) {
        $at = $servers[$At]
        $logon = if ($Access) { @{ AccessToken = New-Secret $Access } } else {
            @{ Credential = New-Credential $User $(if ($Secret) { $Secret } else { $Password }); BasicUser = $true }
        }
        if ($With) { foreach ($name in $With.Keys) { $logon[$name] = $With[$name] } }
        if ($OnWine -and $logon.ContainsKey('BasicUser') -and -not $logon.BasicUser) {
            Set-ItResult -Skipped -Because 'Wine has no NTLM here'
        }
        # It is no terminating error, and the next one of a pipeline is tried.
        $errors = $null
        Connect-Vms $at @logon -WarningAction Ignore -ErrorAction SilentlyContinue -ErrorVariable errors | Should -BeNullOrEmpty
        $failure = $errors[0]
        $failure.FullyQualifiedErrorId | Should -BeLike "$Id,*" -Because "$failure"
        $failure.Exception | Should -BeOfType 'Vms.Telemetry.VmsConnectionException'
        $expected = $Says -replace '\{at\}', $at.TrimEnd('/') -replace '\{good\}', $servers.good.TrimEnd('/')
        $failure.Exception.Message | Should -BeLike ($expected -replace '\[', '`[')
        # What to do is there on its own as well.
        $advice = $failure.ErrorDetails.RecommendedAction
        $advice | Should -Not -BeNullOrEmpty
        $failure.Exception.Message.EndsWith($advice) | Should -BeTrue -Because $advice
        $failure.Exception.Message | Should -Not -Match 'telemetry'
        foreach ($secret in $Password, 'incorrect', $Token, 'nonsense') { "$failure $advice".Contains($secret) | Should -BeFalse }
    }

    It 'P6 a query in an address, which may have a secret, is not repeated' {
        $errors = $null
        $told = Connect-Vms 'http://127.0.0.1:1/?key=Planted' (New-Credential 'reader') -BasicUser -Verbose -WarningVariable warned `
            -WarningAction SilentlyContinue -ErrorAction SilentlyContinue -ErrorVariable errors 4>&1
        $errors.Count | Should -Be 1
        "$told $warned $errors $($errors[0].TargetObject) $($errors[0].CategoryInfo)" | Should -Not -Match 'Planted'
    }

    It 'P7 where one of several connections fails, the others are made' {
        $reader = New-Credential 'reader'
        $objects = @('plain', 'nobody', 'plain' | ForEach-Object { [pscustomobject]@{ ServerAddress = $servers[$_]; Credential = $reader; BasicUser = $true } })
        $made = @($objects | Connect-Vms -ErrorAction SilentlyContinue -ErrorVariable failed)
        "$made|$($failed.Count)|$(@(Get-VmsConnection).Count)" | Should -Be 'DEMO-VMS DEMO-VMS|1|2'
        # The next command replaces them.
        "$(Connect-Vms $servers.plain $reader -BasicUser)|$(@($made | Where-Object IsOpen).Count)|$(@(Get-VmsConnection).Count)" | Should -Be 'DEMO-VMS|0|1'
        Disconnect-Vms
    }

    It 'P7 -Verbose tells address, encryption, gateway, logon and time, and nothing secret' {
        $told = @(Connect-Vms $servers.good (New-Credential 'reader') -BasicUser -SkipCertificateCheck -Verbose -WarningAction Ignore 4>&1 |
                Where-Object { $_ -is [Management.Automation.VerboseRecord] } | ForEach-Object Message)
        $told[1] | Should -BeLike "Looking for the server at $($servers.good)*"
        $encrypted = if ($OnWindows) { 'HTTPS' } else { 'TLS 1.3' }
        $told[2] | Should -BeLike "Connected to $($servers.good) ($encrypted), API Gateway $($servers.good.TrimEnd('/'))/*"
        $told[3] | Should -BeLike 'Logged on to DEMO-VMS as a basic user after *.? s.'
        "$told".Contains($Password) | Should -BeFalse
        "$(Disconnect-Vms -Verbose 4>&1)" | Should -BeLike "*Disconnected from $($servers.good)*"
    }
}
