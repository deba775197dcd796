namespace Vms.Telemetry;

/// <summary>Says how far a connection to a VMS is.</summary>
public enum VmsConnectionStage
{
    /// <summary>The connection was closed.</summary>
    Closed = 0,

    /// <summary>The server is sought.</summary>
    Finding = 1,

    /// <summary>A Windows user is being logged on.</summary>
    TokenNeeded = 2,

    /// <summary>A basic user is being logged on.</summary>
    LoggingOn = 3,

    /// <summary>Logged on; site, product and child sites are read.</summary>
    Reading = 4,

    /// <summary>The connection stands; privacy option and counts are read in the background.</summary>
    Counting = 5,

    /// <summary>The connection stands, and nothing goes on any more.</summary>
    Connected = 6,

    /// <summary>There is no connection.</summary>
    Failed = 7,
}
