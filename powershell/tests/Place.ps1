# What the Pester files share: a place of their own on this computer (folders of a user who has nothing yet), a collector in
# place of Application Insights, demo VMSs, and further processes of the same PowerShell. All of it is on the loopback
# address, and gone after Remove-Place. VMS_TEST_MODULE names the folder of the module, VMS_TEST_PROGRAMS that of
# vms-collector and vms-demo.

$Site = '01234567-89ab-4cde-8f01-23456789abcd'
$OtherSite = 'fedcba98-7654-4321-8fed-cba987654321'
$Password = 'not-a-secret'
$Token = 'token-of-a-visitor'
$OnWindows = [Environment]::OSVersion.Platform -eq 'Win32NT'
$OnWine = $env:VMS_TEST_WINE -eq '1'
$Limit = 60

# Sets environment variables; null removes one, which .NET's own method does not do for PowerShell.
function Set-Variables([hashtable] $Variables) {
    foreach ($name in $Variables.Keys) {
        if ($null -eq $Variables[$name]) { Remove-Item "Env:$name" -ErrorAction Ignore } else { Set-Item "Env:$name" $Variables[$name] }
    }
}

# Makes the place. Nothing in the tester's own environment says anything about telemetry in it.
function New-Place([hashtable] $Variables = @{}) {
    foreach ($name in @(Get-ChildItem Env: | ForEach-Object Name)) {
        if ($name -match '^VMS_(?!TEST_)|^DO_NOT_TRACK$|_PROXY$') { Set-Variables @{ $name = $null } }
    }
    $script:Root = Join-Path ([IO.Path]::GetTempPath()) ('vms-test-' + [guid]::NewGuid().ToString('N'))
    $script:Programs = New-Object Collections.ArrayList
    $script:Key = [guid]::NewGuid().ToString()
    [void](New-Item $Root -ItemType Directory)
    $script:Collector = (Start-Program 'vms-collector' '--quiet').Address
    $script:DataFolder = Join-Path $Root 'local/Milestone/MilestonePSTools'
    $modules = Split-Path (Split-Path $env:VMS_TEST_MODULE)
    Set-Variables @{
        LOCALAPPDATA = Join-Path $Root 'local'
        XDG_DATA_HOME = Join-Path $Root 'local'
        ProgramData = Join-Path $Root 'shared'
        XDG_STATE_HOME = Join-Path $Root 'shared'
        PSModulePath = $modules + [IO.Path]::PathSeparator + $env:PSModulePath
        VMS_ApplicationInsights__ConnectionString = "InstrumentationKey=$Key;IngestionEndpoint=$Collector"
    }
    Set-Variables $Variables
}

# Ends all programs, and deletes the folders.
function Remove-Place {
    foreach ($program in $Programs) {
        if (-not $program.HasExited) { $program.Kill() }
        $program.WaitForExit()
    }
    # The background thread of the session may be writing.
    Wait-Until { Remove-Item $Root -Recurse -Force -ErrorAction Ignore; -not (Test-Path $Root) }
}

function Start-Hidden([string] $File, [string] $Arguments) {
    $start = New-Object Diagnostics.ProcessStartInfo $File, $Arguments
    $start.UseShellExecute = $false
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($start)
    [void] $Programs.Add($process)
    $process
}

# Starts a stand-in; its first line has its address.
function Start-Program([string] $Name, [string] $Arguments) {
    $suffix = if ($OnWindows) { '.exe' } else { '' }
    $process = Start-Hidden (Join-Path $env:VMS_TEST_PROGRAMS ($Name + $suffix)) $Arguments
    $first = $process.StandardOutput.ReadLine()
    if ("$first" -notmatch 'https?://[^\s"]+') { throw "$Name does not start: $($process.StandardError.ReadToEnd())" }
    @{ Process = $process; Address = $Matches[0]; Said = $first }
}

# Starts a demo VMS: a small site and a user of each kind, but for what is said otherwise.
function Start-Vms([hashtable] $Changes = @{}, [string] $Id = $Site) {
    $config = @{
        port = 0
        site = @{
            seed = 7; id = $Id; name = 'DEMO-VMS'; version = '25.1.1804.0'; product = 'XProtect Corporate 2025 R1'
            childSites = 2; grandchildSites = 1; recordingServers = 3; hardware = 20; cameras = 2; microphones = 1
            speakers = 1; metadata = 1; inputs = 2; outputs = 1; disabled = @{ hardware = 10; devices = 10 }
        }
        users = @(
            @{ name = 'reader'; password = $Password }
            @{ name = 'guard'; password = $Password; forbidden = @('sites') }
            @{ name = 'locked'; password = $Password; state = 'locked' }
            @{ name = 'novice'; password = $Password; state = 'mustChangePassword' }
            @{ kind = 'windows'; domain = 'DEMO'; name = 'operator'; password = $Password }
            @{ kind = 'external'; name = 'visitor@example.test' }
        )
        accessTokens = @(
            @{ token = $Token; user = 'visitor@example.test' }
            @{ token = "old-$Token"; user = 'visitor@example.test'; seconds = 0 }
        )
    }
    foreach ($name in $Changes.Keys) { $config[$name] = $Changes[$name] }
    $file = Join-Path $Root "vms-$($Programs.Count).json"
    # Without a byte order mark, as Windows PowerShell's own commands would write one.
    [IO.File]::WriteAllText($file, (ConvertTo-Json $config -Depth 8))
    Start-Program 'vms-demo' "`"$file`""
}

# What a client should count of a VMS, as "CameraCount=20 ...", in the order of the names.
function Get-Counts($Vms) { ConvertTo-Words (ConvertFrom-Json $Vms.Said).counts }

# A table, or an object of JSON, as one text: "name=value", in the order of the names.
function ConvertTo-Words($Members) {
    if ($Members -isnot [hashtable]) {
        $table = @{}
        foreach ($member in $Members.PSObject.Properties) { $table[$member.Name] = $member.Value }
        $Members = $table
    }
    $names = [string[]] @($Members.Keys)
    [Array]::Sort($names, [StringComparer]::Ordinal)
    @($names | ForEach-Object { "$_=$($Members[$_])" }) -join ' '
}

# An address where nobody listens, and nobody will: its port is taken.
function New-ClosedAddress {
    $socket = New-Object Net.Sockets.Socket 'InterNetwork', 'Stream', 'Tcp'
    $socket.Bind((New-Object Net.IPEndPoint ([Net.IPAddress]::Loopback), 0))
    "http://127.0.0.1:$($socket.LocalEndPoint.Port)/"
    $script:Closed = @($script:Closed) + $socket
}

function New-Secret([string] $Text) { (New-Object Net.NetworkCredential '', $Text).SecurePassword }

function New-Credential([string] $Name, [string] $Secret = $Password) {
    New-Object pscredential $Name, (New-Secret $Secret)
}

# Waits until the collector has that many events of this place, and gives all that it has.
function Get-Received([int] $Count, [string] $From = $Collector) {
    $web = New-Object Net.WebClient
    $web.Encoding = [Text.Encoding]::UTF8
    $lines = $web.DownloadString("$($From)received?ikey=$Key&count=$Count&timeout=$Limit") -split "`n" | Where-Object { $_ }
    @($lines | ForEach-Object { ConvertFrom-Json $_ })
}

function Get-EventNames($Received) { @($Received | ForEach-Object { $_.envelope.data.baseData.name }) -join ' ' }

# Waits for a condition; a test that waits in vain fails.
function Wait-Until([scriptblock] $Condition) {
    for ($i = 0; -not (& $Condition); $i++) {
        if ($i -ge $Limit * 50) { throw "This did not happen: $Condition" }
        [Threading.Thread]::Sleep(20)
    }
}

function Wait-Counted { Wait-Until { -not (Get-VmsConnection).IsCounting } }

# Starts a script in a further process of this PowerShell; it waits for a signal with Wait-Signal.
function Start-Child([string] $Script, [hashtable] $Variables = @{}) {
    $before = @{}
    foreach ($name in $Variables.Keys) { $before[$name] = [Environment]::GetEnvironmentVariable($name) }
    Set-Variables $Variables
    $begin = "`$ErrorActionPreference = 'Stop'; `$ProgressPreference = 'SilentlyContinue'`n" +
        "function Wait-Signal(`$Name) { while (-not (Test-Path (Join-Path '$Root' `$Name))) { Start-Sleep -Milliseconds 20 } }`n"
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($begin + $Script))
    $arguments = "-NoProfile -NonInteractive -ExecutionPolicy Bypass -OutputFormat Text -EncodedCommand $encoded"
    $shell = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName
    if ([IO.Path]::GetFileNameWithoutExtension($shell) -eq 'dotnet') {
        $arguments = "`"$(Join-Path $PSHOME 'pwsh.dll')`" $arguments"
    }
    $process = Start-Hidden $shell $arguments
    Set-Variables $before
    @{ Process = $process; Output = $process.StandardOutput.ReadToEndAsync(); Errors = $process.StandardError.ReadToEndAsync() }
}

# Waits for the end of a child, and gives its lines.
function Complete-Child([hashtable] $Child, [int] $ExitCode = 0) {
    if (-not $Child.Process.WaitForExit($Limit * 1000)) { throw 'The child process does not end.' }
    $Child.Errors.Result.Trim() | Should -BeExactly ''
    $Child.Process.ExitCode | Should -Be $ExitCode
    @($Child.Output.Result -split "`r?`n" | Where-Object { $_ })
}

function Set-Signal([string] $Name) { [void](New-Item (Join-Path $Root $Name) -ItemType File) }

# Runs something, and gives the error that it fails with, or nothing.
function Get-Failure([scriptblock] $What) { try { [void](& $What) } catch { $_ } }

# A missing precondition fails where everything is owed, and is skipped elsewhere.
function Skip-Unless([bool] $Has, [string] $Reason) {
    if ($Has) { return }
    if ($env:CI) { throw $Reason }
    Set-ItResult -Skipped -Because $Reason
}
