using System;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>
/// An endpoint that takes connections and never answers, or one that refuses them; on request it becomes the collector
/// later on. Events go to the destination that they were recorded for and to no other.
/// </summary>
internal sealed class Silence : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly bool _listens;
    private Socket? _accepted;

    private Silence(bool listens)
    {
        _listens = listens;
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

    /// <summary>Whether a connection was begun that nobody has accepted yet.</summary>
    internal bool IsAsked => _socket.Poll(0, SelectMode.SelectRead);

    /// <summary>Waits until a request has begun.</summary>
    internal async Task Request()
    {
        _accepted = await _socket.AcceptAsync(TestContext.Current.CancellationToken);
        var buffer = new byte[1];
        Assert.Equal(1, await _accepted.ReceiveAsync(buffer, TestContext.Current.CancellationToken));
    }

    /// <summary>Ends the silence: from now on every connection is one to the collector.</summary>
    internal void BecomeCollector()
    {
        _accepted?.Dispose();
        if (!_listens)
        {
            _socket.Listen();
        }

        _ = Forward();
    }

    public void Dispose()
    {
        _accepted?.Dispose();
        _socket.Dispose();
    }

    private static async Task Forward(Socket client)
    {
        using var collector = new TcpClient();
        await collector.ConnectAsync(Given.Collector.Host, Given.Collector.Port);
        await using var there = collector.GetStream();
        await using var here = new NetworkStream(client, ownsSocket: true);
        // The end of either side is the end of both.
        await Task.WhenAny(here.CopyToAsync(there), there.CopyToAsync(here));
    }

    private async Task Forward()
    {
        try
        {
            while (true)
            {
                _ = Forward(await _socket.AcceptAsync());
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
