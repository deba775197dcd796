using System;
using System.Collections.Generic;
using System.Linq;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes <c>$true</c> and <c>$false</c>.</summary>
public sealed class BooleanCompleter : Completer
{
    private static readonly string[] s_values = ["$true", "$false"];

    /// <inheritdoc/>
    protected override IEnumerable<string> Offers(string word) =>
        s_values.Where(value => value.StartsWith(word, StringComparison.OrdinalIgnoreCase));
}
