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
        var path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(Path, out var provider, out _);
        var (problem, advice) =
            provider.Name != "FileSystem" ? (Path + " is no place for files.", "Give the path of a file, such as report.html.")
            : Directory.Exists(path) ? (path + " is a folder.", "Name a file in it.")
            : !Directory.Exists(System.IO.Path.GetDirectoryName(path)) ? ("The folder of " + path + " does not exist.", "Create it first.")
            : File.Exists(path) && !Force ? (path + " is there already.", "Add -Force to replace it.")
            : ("", "");
        if (problem.Length > 0)
        {
            WriteError(NotWritten(new IOException(problem + " " + advice), advice, path));
            return;
        }

        if (!ShouldProcess(path, "Write a report"))
        {
            return;
        }

        try
        {
            File.WriteAllText(path, ModuleSession.Current.GetReport());
        }
        catch (TelemetryException exception)
        {
            WriteError(Unavailable(exception));
            return;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            WriteError(NotWritten(exception, "Name a file where the current user may write.", path));
            return;
        }

        WriteObject(new FileInfo(path));
        if (Show)
        {
            Open(path);
        }
    }

    private void Open(string path)
    {
        try
        {
            Process.Start(new ProcessStartInfo(path) { UseShellExecute = true })?.Dispose();
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or InvalidOperationException)
        {
            WriteWarning("The report is written, but no program opens it here. Open " + path + " in a browser.");
        }
    }

    private static ErrorRecord NotWritten(Exception exception, string advice, string path) =>
        Record(exception, "ReportNotWritten", ErrorCategory.WriteError, path, advice);
}
