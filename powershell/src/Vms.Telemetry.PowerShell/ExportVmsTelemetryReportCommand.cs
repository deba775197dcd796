using System;
using System.Diagnostics;
using System.IO;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Writes a page about telemetry on this computer, for a person who decides about it.</summary>
[Cmdlet(VerbsData.Export, "VmsTelemetryReport", SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportVmsTelemetryReportCommand : VmsCommand
{
    /// <summary>Gets or sets the path of the HTML file.</summary>
    [Parameter(Mandatory = true, Position = 0, HelpMessage = "The path of the HTML file, such as report.html")]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>Gets or sets whether a file that is there is replaced.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>Gets or sets whether the page is opened.</summary>
    [Parameter]
    public SwitchParameter Show { get; set; }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        var path = GetUnresolvedProviderPathFromPSPath(Path);
        try
        {
            if (File.Exists(path) && !Force)
            {
                throw new IOException(path + " is there already. Add -Force to replace it.");
            }

            if (!ShouldProcess(path, "Write a report"))
            {
                return;
            }

            File.WriteAllText(path, ModuleSession.Current.GetReport());
            WriteObject(new FileInfo(path));
            if (Show)
            {
                Process.Start(new ProcessStartInfo(path) { UseShellExecute = true })?.Dispose();
            }
        }
        catch (TelemetryException exception)
        {
            WriteError(new ErrorRecord(exception, "TelemetryUnavailable", ErrorCategory.ResourceUnavailable, path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            WriteError(new ErrorRecord(exception, "ReportNotWritten", ErrorCategory.WriteError, path));
        }
    }
}
