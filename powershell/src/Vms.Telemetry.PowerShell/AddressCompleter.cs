using System;
using System.Collections.Generic;
using System.Linq;

namespace Vms.Telemetry.PowerShell;

/// <summary>Completes the addresses that this process has connected to.</summary>
public sealed class AddressCompleter : Completer
{
    /// <inheritdoc/>
    protected override IEnumerable<string> Offers(string word) => ModuleConnections.Addresses
        .Where(address => address.IndexOf(word.Trim('\'', '"'), StringComparison.OrdinalIgnoreCase) >= 0);
}
