using System;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// Stands for an open connection to a VMS. <see cref="Close"/> reports its graceful end; a connection that just ends
/// with its process is not reported.
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

    /// <summary>Gets whether an event was recorded for this connection; not so where telemetry is off.</summary>
    public bool IsReported { get; }

    /// <summary>Gets what failed when the connection was opened or closed; null: nothing did.</summary>
    public string? Problem { get; private set; }

    /// <summary>Reports the graceful end of the connection, once. Never throws and never waits for the network.</summary>
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

    /// <summary>As <see cref="Close"/>.</summary>
    public void Dispose() => Close();
}
