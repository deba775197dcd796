# Runs a script for the tests in a real PowerShell: its output goes to stdout, an object a line, and every other stream to
# stderr, with a prefix that tells them apart. The exit code is the script's own; else 1 if it had errors.
param([string] $Source)

$state = @{ ExitCode = 0 }
function Write-Record($Record) {
    $line = switch ($Record) {
        { $_ -is [Management.Automation.ErrorRecord] } {
            $state.ExitCode = 1
            "ERROR: $($_.FullyQualifiedErrorId)|$($_.CategoryInfo.Category): $($_.Exception.Message)"
        }
        { $_ -is [Management.Automation.WarningRecord] } { "WARNING: $($_.Message)" }
        { $_ -is [Management.Automation.VerboseRecord] } { "VERBOSE: $($_.Message)" }
        { $_ -is [Management.Automation.DebugRecord] } { "DEBUG: $($_.Message)" }
        { $_ -is [Management.Automation.InformationRecord] } { "INFORMATION: $($_.MessageData)" }
    }
    if ($line) { [Console]::Error.WriteLine($line) } else { [Console]::Out.WriteLine("$Record") }
}

try {
    & ([scriptblock]::Create($Source)) *>&1 | ForEach-Object { Write-Record $_ }
} catch {
    Write-Record $_
}
exit $state.ExitCode
