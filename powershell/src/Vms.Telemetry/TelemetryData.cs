using System;

namespace Vms.Telemetry;

/// <summary>What telemetry keeps on this computer, for <see cref="TelemetrySession.Clear"/>.</summary>
[Flags]
public enum TelemetryData
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>
    /// The random ids of the user and of the sites. They are new from then on, in every process of the user. Includes all that
    /// has the old ones in it: pending events, receipts and the log.
    /// </summary>
    Ids = 1,

    /// <summary>Events that are not sent yet.</summary>
    Pending = 2,

    /// <summary>Receipts of what was sent.</summary>
    Sent = 4,

    /// <summary>The telemetry log.</summary>
    Log = 8,

    /// <summary>All of it.</summary>
    All = Ids | Pending | Sent | Log,
}
