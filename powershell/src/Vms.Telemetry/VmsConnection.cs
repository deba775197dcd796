using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// A connection to a VMS that <see cref="TelemetrySession.LogOn"/> made. If telemetry is on, the usage data option and the
/// devices of the VMS are read in the background, and then NewVmsSession is recorded. The end of the process waits at
/// most 1 second for that, and records the counts that are known.
/// </summary>
public sealed class VmsConnection : IDisposable
{
    /// <summary>Longest wait at the end of the process.</summary>
    private const uint ExitMilliseconds = 1_000;

    private readonly NativeMethods _native;
    private readonly TelemetryConnection _telemetry;
    private readonly object _gate = new();
    private NativeConnectionState _state;

    private VmsConnection(NativeMethods native, ulong number, VmsUserType userType, VmsServer server)
    {
        _native = native;
        _telemetry = new TelemetryConnection(native, number, false, null);
        Number = number;
        UserType = userType;
        Name = server.SiteName;
        Id = server.SiteId;
        Address = server.Address;
        Version = server.ProductVersion;
        Product = server.ProductName;
        EncryptionEnabled = server.EncryptionEnabled;
        ChildSites = native.ChildSites(number, server.ChildSites);
        AppDomain.CurrentDomain.ProcessExit += Settle;
    }

    /// <summary>Gets the name of the site.</summary>
    public string Name { get; }

    /// <summary>Gets the actual id of the site. It is not sent.</summary>
    public Guid Id { get; }

    /// <summary>Gets the address in use.</summary>
    public string Address { get; }

    /// <summary>Gets the version of the VMS. Empty if it is not known.</summary>
    public string Version { get; }

    /// <summary>Gets the product name of the VMS. Empty if it is not known.</summary>
    public string Product { get; }

    /// <summary>Gets the kind of user.</summary>
    public VmsUserType UserType { get; }

    /// <summary>Gets whether the connection uses HTTPS.</summary>
    public bool EncryptionEnabled { get; }

    /// <summary>Gets when the connection was opened.</summary>
    public DateTimeOffset ConnectedSince { get; } = DateTimeOffset.Now;

    /// <summary>Gets the child sites. Empty if they were not requested.</summary>
    public IReadOnlyList<VmsChildSite> ChildSites { get; }

    /// <summary>Gets whether the connection is open.</summary>
    public bool IsOpen => TryRead(out _);

    /// <summary>Gets whether the usage data option or the devices of the VMS are being read in the background.</summary>
    public bool IsCounting => TryRead(out var state) && state.Counting == NativeMethods.True;

    /// <summary>Gets the number of items counted so far. For a closed connection, the last known number.</summary>
    public long ItemsCounted => State().ItemsCounted;

    /// <summary>
    /// Gets the value of the usage data option. Unknown until it was read. When telemetry is off, it is not read.
    /// </summary>
    public UsageDataPolicy UsageDataPolicy => State().UsageDataPolicy;

    /// <summary>
    /// Gets whether NewVmsSession was recorded. False if no event of this connection is sent, null if not decided yet.
    /// </summary>
    public bool? IsReported => State().Reported switch
    {
        NativeMethods.Unset => null,
        var reported => reported == NativeMethods.True,
    };

    /// <summary>Gets what failed when the connection was closed. Empty if nothing failed.</summary>
    public string Problem => _telemetry.Problem ?? "";

    internal ulong Number { get; }

    /// <summary>
    /// Closes the connection and records CloseVmsSession, once. If devices are still being counted, waits at most 1 second.
    /// Does not throw.
    /// </summary>
    public void Close()
    {
        TryRead(out _);
        AppDomain.CurrentDomain.ProcessExit -= Settle;
        _telemetry.Close();
    }

    /// <summary>Does the same as <see cref="Close"/>.</summary>
    public void Dispose() => Close();

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Finds the server and logs on. Blocks the calling thread for both.</summary>
    internal static VmsConnection Open(NativeMethods native, VmsLogon logon, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var status = native.ReserveConnection(out var number);
        if (status != TelemetryStatus.Ok)
        {
            throw new VmsConnectionException(status, native.LastError());
        }

        try
        {
            VmsServer server;
            // This ends the call under way.
            using (cancellation.Register(() => native.OnDisconnect(number)))
            {
                server = logon.UserType == VmsUserType.WindowsUser
                    ? ConnectWindowsUser(native, number, logon, cancellation)
                    : Connect(native, number, logon, cancellation);
            }

            cancellation.ThrowIfCancellationRequested();
            return new VmsConnection(native, number, logon.UserType, server);
        }
        catch
        {
            native.OnDisconnect(number);
            throw;
        }
    }

    private static VmsServer Connect(NativeMethods native, ulong number, VmsLogon logon, CancellationToken cancellation)
    {
        logon.Replaces?.TryRead(out _);
        logon.Tell?.Invoke("Looking for the server at " + logon.PlainAddress + ".");
        var clock = Stopwatch.StartNew();
        var status = native.ConnectVms(number, logon, out var server);
        Check(native, logon, status, cancellation);
        TellFound(logon, server);
        TellConnected(logon, server, clock);
        return server;
    }

    private static void TellFound(VmsLogon logon, VmsServer server)
    {
        var tls = !server.EncryptionEnabled ? "not encrypted" : server.TlsVersion.Length > 0 ? server.TlsVersion : "HTTPS";
        logon.Tell?.Invoke("Connected to " + server.Address + " (" + tls + "), API Gateway " + server.Gateway + ".");
    }

    private static void TellConnected(VmsLogon logon, VmsServer server, Stopwatch clock) => logon.Tell?.Invoke(
        "Logged on to " + server.SiteName + " as " + As(logon.UserType) + " after " + clock.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)
            + " s" + (logon.IncludeChildSites ? ", " + server.ChildSites + " child sites." : "."));

    private static VmsServer ConnectWindowsUser(
        NativeMethods native,
        ulong number,
        VmsLogon logon,
        CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        logon.Replaces?.TryRead(out _);
        logon.Tell?.Invoke("Looking for the server at " + logon.PlainAddress + ".");
        var status = native.FindVms(number, logon, out var found);
        Check(native, logon, status, cancellation);
        TellFound(logon, found);

        var endpoint = new Uri(found.TokenEndpoint);
        logon.Tell?.Invoke("Asking for a token at " + endpoint + ", with Negotiate (Kerberos or NTLM).");
        TimeSpan Left() => logon.HasTimeout ? logon.Timeout - clock.Elapsed : logon.Timeout;
        using var token = WindowsLogon.GetToken(endpoint, logon, Left(), cancellation);
        status = native.ConnectVms(number, logon, found.Address, token, Left(), out var server);
        if (status == TelemetryStatus.InvalidArgument)
        {
            // Everything except the token was accepted in the first call.
            throw WindowsLogon.Failure(TelemetryStatus.AnswerInvalid, endpoint, "the token that it gave cannot be used");
        }

        Check(native, logon, status, cancellation);
        TellConnected(logon, server, clock);
        return server;
    }

    private static string As(VmsUserType user) => user switch
    {
        VmsUserType.BasicUser => "a basic user",
        VmsUserType.WindowsUser => "a Windows user",
        _ => "the user of the access token",
    };

    /// <summary>Throws if a call failed. Once a logon was tried, what it replaces is closed, whether or not it succeeded.</summary>
    private static void Check(
        NativeMethods native,
        VmsLogon logon,
        TelemetryStatus status,
        CancellationToken cancellation)
    {
        // Before a further call of this thread can leave another message.
        var message = NativeMethods.IsError(status) ? native.LastError() : null;
        var advice = native.LastAdvice();
        if (message is null || status >= TelemetryStatus.Unreachable)
        {
            logon.Replaces?.Close();
        }

        if (message is not null)
        {
            cancellation.ThrowIfCancellationRequested();
            throw new VmsConnectionException(status, message, advice);
        }
    }

    /// <summary>Reads the state. Of a closed connection there is none, and what was known stays.</summary>
    private bool TryRead(out NativeConnectionState state)
    {
        lock (_gate)
        {
            var isOpen = _native.GetConnection(Number, out state) == TelemetryStatus.Ok;
            if (isOpen)
            {
                _state = state;
            }

            return isOpen;
        }
    }

    private NativeConnectionState State()
    {
        TryRead(out _);
        return _state;
    }

    private void Settle(object sender, EventArgs arguments) => _native.SettleConnection(Number, ExitMilliseconds);
}
