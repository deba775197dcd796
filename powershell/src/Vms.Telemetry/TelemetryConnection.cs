using System;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// An open connection to a VMS. <see cref="Close"/> records its end. If the process ends without it, no end is
/// recorded.
/// </summary>
public sealed class TelemetryConnection : IDisposable
{
    private readonly NativeMethods? _native;
    private readonly ulong _number;
    private int _isClosed;

    internal TelemetryConnection(NativeMethods? native, ulong number, bool isReported, string? problem)
    {
        _native = native;
        _number = number;
        IsReported = isReported;
        Problem = problem;
    }

    /// <summary>Gets whether an event was recorded for this connection. False if telemetry is off.</summary>
    public bool IsReported { get; }

    /// <summary>Gets what failed when the connection was opened or closed. Null if nothing failed.</summary>
    public string? Problem { get; private set; }

    /// <summary>Records the end of the connection, once. Does not throw.</summary>
    public void Close()
    {
        if (_native is null || Interlocked.Exchange(ref _isClosed, 1) == 1)
        {
            return;
        }

        var status = _native.OnDisconnect(_number);
        if (NativeMethods.IsError(status) && status != TelemetryStatus.NoConnection)
        {
            Problem = _native.LastError();
        }
    }

    /// <summary>Does the same as <see cref="Close"/>.</summary>
    public void Dispose() => Close();
}
