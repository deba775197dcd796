using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes the addresses that this process has connected to.</summary>
public sealed class AddressCompleter : IArgumentCompleter
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName,
        string parameterName,
        string wordToComplete,
        CommandAst commandAst,
        IDictionary fakeBoundParameters)
    {
        var word = wordToComplete.Trim('\'', '"');
        return ModuleSession.Addresses
            .Where(address => address.IndexOf(word, StringComparison.OrdinalIgnoreCase) >= 0)
            .Select(address => new CompletionResult(address));
    }
}
