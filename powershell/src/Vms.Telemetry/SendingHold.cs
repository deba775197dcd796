using System;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>Keeps requests from beginning until it is disposed. Holds nest in the native library.</summary>
internal sealed class SendingHold : IDisposable
{
    private NativeMethods? _native;

    internal SendingHold(NativeMethods? native)
    {
        if (native is not null && !NativeMethods.IsError(native.SetConfig(holdSending: true)))
        {
            _native = native;
        }
    }

    /// <summary>Ends the hold, once, on any thread.</summary>
    public void Dispose() => Interlocked.Exchange(ref _native, null)?.SetConfig(holdSending: false);
}
