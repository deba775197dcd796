using System;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>An endpoint that takes connections and never answers, or one that refuses them.</summary>
internal sealed class Silence : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private Socket? _accepted;

    private Silence(bool listens)
    {
        // A socket that is bound and does not listen keeps the port, and the system refuses connections to it.
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        if (listens)
        {
            _socket.Listen();
        }
    }

    internal string Address => $"http://127.0.0.1:{((IPEndPoint)_socket.LocalEndPoint!).Port}/";

    internal static Silence ThatListens() => new(true);

    internal static Silence ThatRefuses() => new(false);

    /// <summary>Waits until a request has begun.</summary>
    internal async Task Request()
    {
        _accepted = await _socket.AcceptAsync(TestContext.Current.CancellationToken);
        var buffer = new byte[1];
        Assert.Equal(1, await _accepted.ReceiveAsync(buffer, TestContext.Current.CancellationToken));
    }

    public void Dispose()
    {
        _accepted?.Dispose();
        _socket.Dispose();
    }
}
