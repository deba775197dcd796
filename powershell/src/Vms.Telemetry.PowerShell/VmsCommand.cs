using System;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>A command of this module. The first one of a process shows the notice, and ends the wait that begins with the import.</summary>
public abstract class VmsCommand : PSCmdlet
{
    /// <summary>The id of the module's progress records. Scripts use small numbers, above all 0, for their own.</summary>
    private protected const int ProgressId = 0x564D53;

    /// <summary>What to do where the native library is missing or does not fit.</summary>
    private protected const string InstallAgain = "Install the module for this system again.";

    /// <summary>PowerShell 7 shows what is recommended below a message, Windows PowerShell does not.</summary>
    private static readonly bool s_showsRecommendations = typeof(PSObject).Assembly.GetName().Version.Major >= 7;

    /// <inheritdoc/>
    protected override void BeginProcessing() => EndImportHold();

    /// <summary>Shows the notice if it is owed, and lets requests begin.</summary>
    private protected void EndImportHold()
    {
        Notice.Show(this);
        ModuleSession.EndImportHold();
    }

    /// <summary>Makes an error whose message ends with what to do.</summary>
    private protected static ErrorRecord Record(
        Exception exception,
        string id,
        ErrorCategory category,
        object? target,
        string advice)
    {
        var message = exception.Message;
        if (s_showsRecommendations && advice.Length > 0 && message.EndsWith(advice, StringComparison.Ordinal))
        {
            message = message.Substring(0, message.Length - advice.Length).TrimEnd();
        }

        return new(exception, id, category, target) { ErrorDetails = new ErrorDetails(message) { RecommendedAction = advice } };
    }

    /// <summary>Makes the error of a call that failed.</summary>
    private protected static ErrorRecord Failed(TelemetryException exception, string id, ErrorCategory category, string advice) =>
        Record(new TelemetryException(exception.Status, Sentence(exception.Message) + " " + advice), id, category, null, advice);

    /// <summary>Makes the error of a command that needs a session, and has none.</summary>
    private protected static ErrorRecord Unavailable(TelemetryException exception) =>
        Failed(exception, "TelemetryUnavailable", ErrorCategory.ResourceUnavailable, InstallAgain);

    /// <summary>Returns a message of the native library with a capital and a full stop.</summary>
    private protected static string Sentence(string message) =>
        message.Length == 0 ? "" : char.ToUpperInvariant(message[0]) + message.Substring(1).TrimEnd('.') + ".";
}
