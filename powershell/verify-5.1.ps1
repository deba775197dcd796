# Runs the Pester files in the PowerShell that it is started with, which may be Windows PowerShell 5.1. Nothing leaves the
# computer, and nothing of the user's is read or changed. Each file has a process of its own, as a session has.
#
#     powershell -NoProfile -ExecutionPolicy Bypass -File verify-5.1.ps1 -Programs <folder with vms-collector and vms-demo>
#         [-Module <folder of the module, as VmsTelemetry\0.1.0>] [-Pester <folder of Pester 6>]
#
# The exit code is the number of tests that failed, or 1 if there was none.
[CmdletBinding()]
param(
    [string] $Module,
    [string] $Programs = [IO.Path]::Combine($PSScriptRoot, '..', 'target', 'debug'),
    [string] $Pester = [IO.Path]::Combine($PSScriptRoot, '..', 'target', 'powershell', 'shell', 'Modules', 'Pester'),
    # One file, in this process; its results go into a file of JUnit's form.
    [string] $Path,
    [string] $Results
)

$ErrorActionPreference = 'Stop'
if (-not $Module) {
    $Module = (Get-Item ([IO.Path]::Combine($PSScriptRoot, '..', 'dist', 'module', 'VmsTelemetry', '*'))).FullName
}
if (-not $Path) {
    $shell = [Diagnostics.Process]::GetCurrentProcess().MainModule.FileName
    $arguments = @('-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-File', $PSCommandPath, '-Module', $Module,
        '-Programs', $Programs, '-Pester', $Pester)
    if ([IO.Path]::GetFileNameWithoutExtension($shell) -eq 'dotnet') { $arguments = @(Join-Path $PSHOME 'pwsh.dll') + $arguments }
    $failed = 0
    foreach ($file in Get-ChildItem (Join-Path $PSScriptRoot 'tests') -Filter *.Tests.ps1) {
        & $shell @arguments -Path $file.FullName
        $failed += $LASTEXITCODE
    }
    exit $failed
}

$env:VMS_TEST_MODULE = [IO.Path]::GetFullPath($Module)
$env:VMS_TEST_PROGRAMS = [IO.Path]::GetFullPath($Programs)
Import-Module $(if (Test-Path $Pester) { [IO.Path]::GetFullPath($Pester) } else { 'Pester' })
$configuration = New-PesterConfiguration
$configuration.Run.Path = $Path
$configuration.Run.PassThru = $true
$configuration.Output.Verbosity = 'Detailed'
$configuration.Output.RenderMode = 'Plaintext'
$run = Invoke-Pester -Configuration $configuration
if ($Results) {
    # Pester's own reports ask Windows' management service about the computer, which Wine does not have.
    $writer = [Xml.XmlWriter]::Create($Results)
    $writer.WriteStartElement('testsuite')
    foreach ($test in $run.Tests) {
        $writer.WriteStartElement('testcase')
        $writer.WriteAttributeString('name', $test.ExpandedPath)
        if ($test.Result -ne 'Passed') {
            $writer.WriteStartElement($(if ($test.Result -eq 'Skipped') { 'skipped' } else { 'failure' }))
            $writer.WriteAttributeString('message', ("$($test.ErrorRecord)" -replace '[^\x20-\x7e]', ' '))
            $writer.WriteEndElement()
        }
        $writer.WriteEndElement()
    }
    $writer.WriteEndElement()
    $writer.Close()
}
# A file that cannot be read, or whose preparation fails, has no test that failed.
if ($run.Result -eq 'Passed') { exit 0 } else { exit [Math]::Max(1, $run.FailedCount) }
