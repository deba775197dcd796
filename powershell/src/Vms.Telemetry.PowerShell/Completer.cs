using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes what it offers and nothing else: PowerShell offers the names of files only where nobody completes.</summary>
public abstract class Completer : IArgumentCompleter
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName,
        string parameterName,
        string wordToComplete,
        CommandAst commandAst,
        IDictionary fakeBoundParameters) => Offers(wordToComplete).Select(text => new CompletionResult(text));

    /// <summary>Returns what fits the beginning of a word.</summary>
    /// <param name="word">What was typed so far.</param>
    /// <returns>Whole words.</returns>
    protected abstract IEnumerable<string> Offers(string word);
}
