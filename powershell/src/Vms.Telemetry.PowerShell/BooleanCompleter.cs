using System;
using System.Collections;
using System.Collections.Generic;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes <c>$true</c> and <c>$false</c>.</summary>
public sealed class BooleanCompleter : IArgumentCompleter
{
    private static readonly string[] s_values = ["$true", "$false"];

    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName,
        string parameterName,
        string wordToComplete,
        CommandAst commandAst,
        IDictionary fakeBoundParameters)
    {
        foreach (var value in s_values)
        {
            if (value.StartsWith(wordToComplete, StringComparison.OrdinalIgnoreCase))
            {
                yield return new CompletionResult(value);
            }
        }
    }
}
