using System;
using System.IO;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace VmsHost;

/// <summary>
/// One run of a script in a runspace of its own. Output goes to stdout, an object a line; all other streams go to
/// stderr, with prefixes that tell them apart.
/// </summary>
internal static class ScriptRun
{
    /// <summary>Runs a script.</summary>
    /// <returns>What it passed to <c>exit</c>; else 0, or 1 where it had errors.</returns>
    internal static int Execute(string script)
    {
        var state = InitialSessionState.CreateDefault2();
        if (OperatingSystem.IsWindows())
        {
            state.ExecutionPolicy = Microsoft.PowerShell.ExecutionPolicy.Bypass;
        }

        var host = new ScriptHost();
        using var runspace = RunspaceFactory.CreateRunspace(host, state);
        runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
        runspace.Open();
        using var shell = PowerShell.Create(runspace);
        Tell(shell.Streams.Verbose, record => "VERBOSE: " + record.Message);
        Tell(shell.Streams.Warning, record => "WARNING: " + record.Message);
        Tell(shell.Streams.Debug, record => "DEBUG: " + record.Message);
        Tell(shell.Streams.Information, record => "INFORMATION: " + record.MessageData);
        Tell(shell.Streams.Error, Words);
        using var output = new PSDataCollection<PSObject?>();
        Print(output, Console.Out, item => item?.ToString() ?? "");
        try
        {
            shell.AddScript(script).Invoke(null, output);
        }
        catch (RuntimeException exception)
        {
            Console.Error.WriteLine(Words(exception.ErrorRecord));
            return host.ExitCode ?? 1;
        }

        return host.ExitCode ?? (shell.HadErrors ? 1 : 0);
    }

    private static string Words(ErrorRecord record) =>
        $"ERROR: {record.FullyQualifiedErrorId}|{record.CategoryInfo.Category}: {record.Exception.Message}";

    private static void Tell<T>(PSDataCollection<T> stream, Func<T, string> words) =>
        Print(stream, Console.Error, words);

    private static void Print<T>(PSDataCollection<T> stream, TextWriter writer, Func<T, string> words) =>
        stream.DataAdded += (_, added) => writer.WriteLine(words(stream[added.Index]));
}
