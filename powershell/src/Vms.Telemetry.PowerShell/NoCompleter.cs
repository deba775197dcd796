using System.Collections.Generic;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes nothing.</summary>
public sealed class NoCompleter : Completer
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Offers(string word) => [];
}
