# Tries the module VmsTelemetry in this computer's Windows PowerShell 5.1. What an import, a connection and a "no" do is
# checked from outside: in processes of their own, with folders of their own, against a small collector and a small VMS on
# the loopback address. Nothing leaves the computer, and nothing of the user's is read or changed.
#
#     powershell -NoProfile -ExecutionPolicy Bypass -File verify-5.1.ps1 [-Module <folder with VmsTelemetry.psd1>]
#
# Prints each check, and a verdict at the end; the exit code is 0 where all passed, else 1. It runs in PowerShell 7, too.
[CmdletBinding()]
param([string] $Module)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

$site = '01234567-89ab-4cde-8f01-23456789abcd'
$key = [guid]::NewGuid().ToString()
$temp = [IO.Path]::Combine([IO.Path]::GetTempPath(), 'vms-verify-' + [guid]::NewGuid().ToString('N'))
$checks = 0
$failures = 0
$children = [Collections.Generic.List[Diagnostics.Process]]::new()

function Check([string] $What, [bool] $Passed, [string] $Found) {
    $script:checks++
    if ($Passed) {
        "  pass  $What"
    } else {
        $script:failures++
        "  FAIL  $What ($Found)"
    }
}

# Waits for half a minute at most.
function Wait-For([scriptblock] $Condition) {
    for ($i = 0; $i -lt 1500 -and -not (& $Condition); $i++) {
        [Threading.Thread]::Sleep(20)
    }
}

# Starts a script in a new process whose user has folders of his own. It says things in lines of the form name=value.
function Start-Child([string] $User, [string] $Script, [hashtable] $Variables = @{}) {
    $file = [IO.Path]::Combine($temp, "$User-$($children.Count).ps1")
    # With a byte order mark: the folder's name may have letters that Windows PowerShell would take for others.
    [IO.File]::WriteAllText($file, $Script, [Text.Encoding]::UTF8)
    $start = [Diagnostics.ProcessStartInfo]::new($shell, "-NoProfile -NonInteractive -File `"$file`"")
    $start.UseShellExecute = $false
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $environment = $start.EnvironmentVariables
    foreach ($name in @($environment.Keys)) {
        if ($name -match '^VMS_|^DO_NOT_TRACK$|_PROXY$') {
            $environment.Remove($name)
        }
    }
    foreach ($name in 'LOCALAPPDATA', 'XDG_DATA_HOME') {
        $environment[$name] = [IO.Path]::Combine($temp, $User, 'local')
    }
    foreach ($name in 'ProgramData', 'XDG_STATE_HOME') {
        $environment[$name] = [IO.Path]::Combine($temp, $User, 'shared')
    }
    $environment['PSExecutionPolicyPreference'] = 'Bypass'
    $environment['PSModulePath'] = $modules + [IO.Path]::PathSeparator + $env:PSModulePath
    $environment['VMS_ApplicationInsights__ConnectionString'] = "InstrumentationKey=$key;IngestionEndpoint=$address"
    foreach ($name in $Variables.Keys) {
        $environment[$name] = $Variables[$name]
    }
    $child = [Diagnostics.Process]::Start($start)
    $children.Add($child)
    @{
        Process = $child
        Output = $child.StandardOutput.ReadToEndAsync()
        Errors = $child.StandardError.ReadToEndAsync()
    }
}

# Waits for the end of a child, and gives what it said as a table.
function Complete-Child([hashtable] $Child) {
    $said = @{ Ended = $Child.Process.WaitForExit(60000); Errors = ''; ExitCode = -1 }
    if ($said.Ended) {
        $said.ExitCode = $Child.Process.ExitCode
        $said.Errors = $Child.Errors.Result.Trim()
        foreach ($line in $Child.Output.Result -split "`r?`n") {
            $name, $value = $line -split '=', 2
            $said[$name] = $value
        }
    }
    $said
}

function Check-Success([hashtable] $Said) {
    $passed = $Said.ExitCode -eq 0 -and -not $Said.Errors
    Check 'the script runs to its end without an error' $passed "$($Said.ExitCode): $($Said.Errors)"
}

# Puts a file in the place that a child waits for.
function Set-Signal([string] $Name) {
    [IO.File]::WriteAllText([IO.Path]::Combine($temp, $Name), '')
}

# The value of a member of an event; no two members have the same name, but for the first ("AppEvents").
function Get-Value([string] $Line, [string] $Name) {
    $found = [regex]::Match($Line, '"' + [regex]::Escape($Name) + '":("((?:[^"\\]|\\.)*)"|[^,{}]+)')
    if ($found.Groups[2].Success) { $found.Groups[2].Value -replace '\\(.)', '$1' } else { $found.Groups[1].Value }
}

# The names of all members of an event, sorted.
function Get-Names([string] $Line) {
    $names = [string[]] @([regex]::Matches($Line, '"([A-Za-z.]+)":') | ForEach-Object { $_.Groups[1].Value })
    [Array]::Sort($names, [StringComparer]::Ordinal)
    $names -join ' '
}

function Get-EventNames {
    $names = $state.Events.ToArray() |
        ForEach-Object { [regex]::Match($_, '"baseData":\{"ver":2,"name":"(\w+)"').Groups[1].Value }
    @($names) -join ' '
}

# The part of the service and of the VMS, in a runspace of its own: takes what is sent, and answers that all is well; on
# hold it lets the client wait for the answer. The VMS lets everybody in, and has three cameras.
$collector = {
    param([hashtable] $State)
    $hardware = '11111111-0000-4000-8000-000000000001'
    $cameras = 1..3 | ForEach-Object {
        "{`"id`":`"22222222-0000-4000-8000-00000000000$_`",`"enabled`":true," +
            "`"relations`":{`"parent`":{`"type`":`"hardware`",`"id`":`"$hardware`"}}}"
    }
    $resources = [ordered] @{
        'uris$' = '{"ProductVersion":"25.1.1804.0","IdentityProvider":"http://vms/IDP","ApiGateways":["http://vms/API/"]}'
        'token$' = '{"access_token":"token","expires_in":3600,"token_type":"Bearer"}'
        '/sites$' = "{`"array`":[{`"id`":`"$($State.Site)`",`"name`":`"SITE-A`",`"version`":`"25.1.1804.0`"}]}"
        '/licenseInformations$' = '{"array":[{"displayName":"Verify"}]}'
        '/toolOptions/' = '{"data":{"id":"a36b973e-eb89-4cd9-8f44-5628c1e7f032","collectTelemetryEnabled":true}}'
        '/hardware$' = "{`"array`":[{`"id`":`"$hardware`",`"enabled`":true}]}"
        '/cameras$' = "{`"array`":[$($cameras -join ',')]}"
        '' = '{"array":[]}'
    }
    while ($true) {
        try { $client = $State.Listener.AcceptTcpClient() } catch { break }
        try {
            $stream = $client.GetStream()
            $client.ReceiveTimeout = 10000
            $head = ''
            while (-not $head.EndsWith("`r`n`r`n") -and ($byte = $stream.ReadByte()) -ge 0) { $head += [char] $byte }
            $body = [byte[]]::new([int] [regex]::Match($head, '(?im)^content-length: *(\d+)').Groups[1].Value)
            for ($at = 0; $at -lt $body.Length; $at += $count) {
                $count = $stream.Read($body, $at, $body.Length - $at)
                if ($count -eq 0) { throw 'The request ended early.' }
            }
            $path = [regex]::Match($head, '^\S+ ([^ ?]+)').Groups[1].Value
            $lines = @()
            if ($path -match '^/(api|idp)/') {
                $answer = $resources[@($resources.Keys | Where-Object { $path -match $_ })[0]]
            } else {
                $State.Requests++
                if ($State.Hold) {
                    $State.Held = $true
                    [void] $State.Release.WaitOne()
                    continue
                }
                $content = [IO.MemoryStream]::new($body, $false)
                if ($head -match '(?im)^content-encoding: *gzip') {
                    $content = [IO.Compression.GZipStream]::new($content, [IO.Compression.CompressionMode]::Decompress)
                }
                $lines = @([IO.StreamReader]::new($content).ReadToEnd() -split "`n" | Where-Object { $_.Trim() })
                $answer = "{`"itemsReceived`":$($lines.Count),`"itemsAccepted`":$($lines.Count),`"errors`":[]}"
            }
            $answer = "HTTP/1.1 200 OK`r`nContent-Type: application/json`r`nContent-Length: $($answer.Length)`r`n" +
                "Connection: close`r`n`r`n$answer"
            $bytes = [Text.Encoding]::ASCII.GetBytes($answer)
            $stream.Write($bytes, 0, $bytes.Length)
            foreach ($line in $lines) { [void] $State.Events.Add($line) }
        } catch {
            $State.Problem = $_.Exception.Message
        } finally {
            $client.Close()
        }
    }
}

# What every child begins with.
$folder = $temp -replace "'", "''"
$begin = @"
`$ErrorActionPreference = 'Stop'
function Wait-Signal([string] `$Name) {
    `$file = [IO.Path]::Combine('$folder', `$Name)
    while (-not [IO.File]::Exists(`$file)) { [Threading.Thread]::Sleep(20) }
}
function Wait-Counts { while ((Get-VmsConnection).IsCounting) { [Threading.Thread]::Sleep(20) } }
`$user = [pscredential]::new('reader', [Net.NetworkCredential]::new('', 'not-a-secret').SecurePassword)
function Wait-Delivery { while ((Get-VmsModuleConfig).PendingEvents) { [Threading.Thread]::Sleep(20) } }

"@

foreach ($place in $PSScriptRoot, [IO.Path]::Combine($PSScriptRoot, '..', 'out', 'modules', 'VmsTelemetry')) {
    if (-not $Module -and [IO.File]::Exists([IO.Path]::Combine($place, 'VmsTelemetry.psd1'))) {
        $Module = $place
    }
}
if (-not $Module -or -not [IO.File]::Exists([IO.Path]::Combine($Module, 'VmsTelemetry.psd1'))) {
    'VERDICT: not tried: there is no module; say where with -Module <folder with VmsTelemetry.psd1>'
    exit 1
}
$Module = [IO.Path]::GetFullPath($Module).TrimEnd([char[]] '\/')
# <module>, or <module>/<version>
$named = $Module
if ([IO.Path]::GetFileName($named) -match '^\d+(\.\d+)+$') {
    $named = [IO.Path]::GetDirectoryName($named)
}
if ([IO.Path]::GetFileName($named) -ne 'VmsTelemetry') {
    'VERDICT: not tried: the folder of the module must be named VmsTelemetry, as PowerShell finds a module by that'
    exit 1
}
$modules = [IO.Path]::GetDirectoryName($named)
$shell = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName
if ($PSVersionTable.PSEdition -eq 'Desktop') {
    $shell = [IO.Path]::Combine($PSHOME, 'powershell.exe')
}

$listener = [Net.Sockets.TcpListener]::new([Net.IPAddress]::Loopback, 0)
$state = [hashtable]::Synchronized(@{
    Listener = $listener; Site = $site; Events = [Collections.ArrayList]::Synchronized([Collections.ArrayList]::new()); Requests = 0
    Hold = $false; Held = $false; Release = [Threading.ManualResetEvent]::new($false); Problem = ''
})
$runspace = [Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace(
    [Management.Automation.Runspaces.InitialSessionState]::CreateDefault2())
$service = [PowerShell]::Create()
try {
    [void] [IO.Directory]::CreateDirectory($temp)
    $listener.Start()
    $address = "http://127.0.0.1:$($listener.LocalEndpoint.Port)/"
    $runspace.Open()
    $service.Runspace = $runspace
    [void] $service.AddScript($collector).AddArgument($state).BeginInvoke()

    "PowerShell $($PSVersionTable.PSVersion) ($($PSVersionTable.PSEdition)), module $Module"

    'A session with a connection'
    $child = Start-Child 'tour' ($begin + @"
'System=' + [Runtime.InteropServices.RuntimeInformation]::OSDescription
'Framework=' + [Runtime.InteropServices.RuntimeInformation]::FrameworkDescription
'Processors=' + [Environment]::ProcessorCount
'Words=' + @(Import-Module VmsTelemetry *>&1).Count
'Session=' + (Get-VmsModuleConfig).SessionId
Wait-Signal imported
Import-Module VmsTelemetry
Import-Module VmsTelemetry -Force
Remove-Module VmsTelemetry
Import-Module VmsTelemetry
'Sessions=' + (Get-VmsModuleConfig).SessionId
`$connection = Connect-Vms $address `$user -BasicUser
'Connection=' + "`$connection `$(`$connection.Id) `$(`$connection.Product) `$(`$connection.UserType)"
'View=' + "`$(`$connection.PSStandardMembers.DefaultDisplayPropertySet.ReferencedPropertyNames)"
Wait-Counts
Disconnect-Vms
'Commands=' + @((Get-Module VmsTelemetry).ExportedCommands.Keys).Count
'Synopsis=' + (Get-Help Connect-Vms).Synopsis
'Examples=' + @((Get-Help Set-VmsModuleConfig -Full).examples.example).Count
'About=' + ("`$(Get-Help about_VmsTelemetry)" -match 'DO_NOT_TRACK')
Wait-Signal done
Wait-Delivery
"@)
    Wait-For { $state.Events.Count -ge 1 }
    Set-Signal 'imported'
    Wait-For { $state.Events.Count -ge 3 }
    Set-Signal 'done'
    $said = Complete-Child $child
    Check-Success $said
    Check 'the import says nothing' ($said['Words'] -eq '0') $said['Words']
    Check 'the module has its five commands' ($said['Commands'] -eq '5') $said['Commands']
    $passed = $said['Connection'] -ceq "SITE-A $site Verify BasicUser"
    Check 'Connect-Vms gives the connection' $passed $said['Connection']
    Check 'a connection has a view' ($said['View'] -eq 'Name Address Product UserType') $said['View']
    Check 'help: synopsis' ("$($said['Synopsis'])".EndsWith('.')) $said['Synopsis']
    Check 'help: examples' ([int] $said['Examples'] -gt 0) $said['Examples']
    Check 'help: about_VmsTelemetry' ($said['About'] -eq 'True') $said['About']
    $joined = $said['Session'] -and $said['Sessions'] -eq $said['Session']
    Check 'a further import joins the session' $joined "$($said['Session']), then $($said['Sessions'])"
    $names = Get-EventNames
    $passed = $names -ceq 'NewSession NewVmsSession CloseVmsSession'
    Check 'one NewSession, one NewVmsSession and one CloseVmsSession arrive' $passed "$names $($state.Problem)"
    if ($state.Events.Count -ge 3) {
        $envelope = 'ai.application.ver ai.cloud.role ai.cloud.roleInstance ai.internal.nodeName ' +
            'ai.internal.sdkVersion ai.session.id ai.user.authUserId ai.user.id baseData baseType data iKey ' +
            'measurements name name properties tags time uuid ver'
        $documented = @(
            'AssemblyVersion FrameworkDescription OSDescription PrivateBytes ProcessorCount SessionId'
            'AssemblyVersion CameraCount ChildSites EncryptionEnabled HardwareCount InputCount IsOAuthConnection ' +
                'MetadataCount MicrophoneCount OutputCount ProductName ProductVersion Recorders SessionId SiteId ' +
                'SpeakerCount UserType'
            'ConnectionDuration PrivateBytes SessionId SiteId'
        )
        for ($i = 0; $i -lt 3; $i++) {
            $names = Get-Names $state.Events[$i]
            $passed = $names -ceq "$($documented[$i]) $envelope"
            Check "event $($i + 1) has the documented fields and no other" $passed $names
        }
        $new = $state.Events[0]
        $library = [IO.Path]::Combine($Module, 'Vms.Telemetry.PowerShell.dll')
        $files = [IO.Path]::Combine($temp, 'tour', 'local', 'Milestone', 'MilestonePSTools')
        $user = [guid]::new([IO.File]::ReadAllBytes([IO.Path]::Combine($files, 'telemetry.uuid'))).ToString()
        $own = [guid]::new([IO.File]::ReadAllBytes([IO.Path]::Combine($files, "site-$site.uuid"))).ToString()
        $version = [Diagnostics.FileVersionInfo]::GetVersionInfo($library).ProductVersion
        foreach ($expected in @(
            @('iKey', $key), @('uuid', $user), @('ai.user.id', $user), @('ai.user.authUserId', 'na'),
            @('SessionId', $said['Session']), @('ai.session.id', $said['Session']),
            @('AssemblyVersion', $version), @('ai.application.ver', $version),
            @('OSDescription', $said['System']), @('FrameworkDescription', $said['Framework']),
            @('ProcessorCount', $said['Processors']), @('ai.internal.nodeName', 'na'),
            @('ai.cloud.role', 'na'), @('ai.cloud.roleInstance', 'na')
        )) {
            $value = Get-Value $new $expected[0]
            Check "NewSession: $($expected[0])" ($value -ceq $expected[1]) "$value, not $($expected[1])"
        }
        $cameras = Get-Value $state.Events[1] 'CameraCount'
        Check 'NewVmsSession: CameraCount' ($cameras -eq '3') $cameras
        $bytes = Get-Value $new 'PrivateBytes'
        Check 'NewSession: PrivateBytes' ([double] $bytes -gt 1MB) $bytes
        Check 'the site has a random id' ((Get-Value $state.Events[1] 'SiteId') -eq $own -and $own -ne $site) $own
        $all = $state.Events.ToArray() -join ''
        $leaks = $site, [Environment]::MachineName, [Environment]::UserName, $temp |
            Where-Object { $all -match ('(?<!\w)' + [regex]::Escape($_) + '(?!\w)') }
        Check 'no site id, computer, user or path is sent' (-not $leaks) "$leaks"
    }

    'A "no" in the environment'
    $requests = $state.Requests
    $said = Complete-Child (Start-Child 'no' ($begin + @"
Import-Module VmsTelemetry
[void](Connect-Vms $address `$user -BasicUser)
Disconnect-Vms
# What older systems begin with; it is said before any handshake, so over plain HTTP as well.
if (`$PSEdition -ne 'Core') { [Net.ServicePointManager]::SecurityProtocol = 'Ssl3, Tls' }
'Windows=' + (Connect-Vms $address).UserType
Disconnect-Vms
'On=' + (Get-VmsModuleConfig).EnableTelemetry
"@) @{ VMS_ApplicationInsights__Enabled = 'false' })
    Check-Success $said
    Check 'telemetry is off' ($said['On'] -eq 'False') $said['On']
    Check 'a Windows user connects' ($said['Windows'] -eq 'WindowsUser') $said['Windows']
    Check 'nothing is sent' ($state.Requests -eq $requests) $state.Requests
    $folders = 'local', 'shared' | ForEach-Object { [IO.Path]::Combine($temp, 'no', $_, 'Milestone') }
    Check 'there is no file' (-not ($folders | Where-Object { [IO.Directory]::Exists($_) })) "$folders"

    'A service that does not answer'
    $before = $state.Events.Count
    $state.Hold = $true
    $child = Start-Child 'exit' ($begin + "Import-Module VmsTelemetry; Wait-Signal leave; exit 7")
    Wait-For { $state.Held }
    Set-Signal 'leave'
    $said = Complete-Child $child
    $passed = $state.Held -and $said.Ended -and $said.ExitCode -eq 7
    Check 'the process ends in the midst of a request' $passed "$($said.ExitCode): $($said.Errors)"
    $state.Hold = $false
    [void] $state.Release.Set()
    $child = Start-Child 'exit' ($begin + @"
Import-Module VmsTelemetry
Wait-Signal later
Wait-Delivery
Set-VmsModuleConfig -EnableTelemetry `$false
'On=' + (Get-VmsModuleConfig).EnableTelemetry
"@)
    Wait-For { $state.Events.Count -ge $before + 2 }
    Set-Signal 'later'
    $said = Complete-Child $child
    $waited = $state.Events.Count - $before
    Check 'the event that waited goes out with the next session' ($waited -eq 2) "$waited events"
    $passed = $said['On'] -eq 'False' -and -not $said.Errors
    Check 'Set-VmsModuleConfig switches telemetry off' $passed "$($said['On']) $($said.Errors)"
    $child = Start-Child 'exit' "Import-Module VmsTelemetry; 'On=' + (Get-VmsModuleConfig).EnableTelemetry"
    $said = Complete-Child $child
    $passed = $said['On'] -eq 'False' -and $state.Events.Count -eq $before + 2
    Check 'and it stays off in the next session' $passed "$($said['On']) $($said.Errors)"
} catch {
    $checks++
    $failures++
    "  FAIL  $($_.Exception.Message) (line $($_.InvocationInfo.ScriptLineNumber))"
} finally {
    foreach ($child in $children) {
        if (-not $child.HasExited) { $child.Kill() }
        $child.WaitForExit()
    }
    [void] $state.Release.Set()
    $listener.Stop()
    $service.Dispose()
    $runspace.Dispose()
    if ([IO.Directory]::Exists($temp)) { [IO.Directory]::Delete($temp, $true) }
}

if ($failures) {
    "VERDICT: failed: $failures of $checks checks, PowerShell $($PSVersionTable.PSVersion)"
    exit 1
}
"VERDICT: passed: $checks checks, PowerShell $($PSVersionTable.PSVersion)"
exit 0
