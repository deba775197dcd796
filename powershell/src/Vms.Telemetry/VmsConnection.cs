using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// A connection to a VMS that <see cref="TelemetrySession.LogOn"/> made. What the VMS has is counted in the background and
/// reported then, unless somebody said no; at the end of the process, what is known within a second is reported.
/// </summary>
public sealed class VmsConnection : IDisposable
{
    /// <summary>Longest wait for the next stage before the caller's wish to stop is looked at again.</summary>
    private const uint StageMilliseconds = 60_000;

    /// <summary>Longest delay of the process's end.</summary>
    private const uint ExitMilliseconds = 1_000;

    private readonly NativeMethods _native;
    private readonly TelemetryConnection _telemetry;
    private readonly object _gate = new();
    private NativeConnectionState _state;

    private VmsConnection(NativeMethods native, ulong number, VmsUserType userType)
    {
        _native = native;
        _telemetry = new TelemetryConnection(native, number, false, null);
        Number = number;
        UserType = userType;
        Name = native.GetConnectionText(number, NativeConnectionText.SiteName);
        Id = Guid.TryParse(native.GetConnectionText(number, NativeConnectionText.SiteId), out var id) ? id : Guid.Empty;
        Address = native.GetConnectionText(number, NativeConnectionText.Address);
        Version = native.GetConnectionText(number, NativeConnectionText.ProductVersion);
        Product = native.GetConnectionText(number, NativeConnectionText.ProductName);
        EncryptionEnabled = State().EncryptionEnabled == NativeMethods.True;
        ChildSites = Sites(native.GetConnectionText(number, NativeConnectionText.ChildSites));
        AppDomain.CurrentDomain.ProcessExit += Settle;
    }

    /// <summary>Gets the name of the site.</summary>
    public string Name { get; }

    /// <summary>Gets the actual id of the site; it is never sent.</summary>
    public Guid Id { get; }

    /// <summary>Gets the address that is really used.</summary>
    public string Address { get; }

    /// <summary>Gets the version of the VMS; empty: it is not known.</summary>
    public string Version { get; }

    /// <summary>Gets the product name of the VMS; empty: it is not known.</summary>
    public string Product { get; }

    /// <summary>Gets the kind of user.</summary>
    public VmsUserType UserType { get; }

    /// <summary>Gets whether the connection uses HTTPS.</summary>
    public bool EncryptionEnabled { get; }

    /// <summary>Gets when the connection was opened.</summary>
    public DateTimeOffset ConnectedSince { get; } = DateTimeOffset.Now;

    /// <summary>Gets the child sites; empty where they were not asked for.</summary>
    public IReadOnlyList<VmsChildSite> ChildSites { get; }

    /// <summary>Gets how far the connection is at this moment.</summary>
    public VmsConnectionStage Stage => State().Stage;

    /// <summary>Gets the number of items that were counted so far.</summary>
    public long ItemsCounted => State().ItemsCounted;

    /// <summary>Gets what the VMS says about usage data; unknown until it was read.</summary>
    public UsageDataPolicy UsageDataPolicy => State().UsageDataPolicy;

    /// <summary>Gets whether the connection was reported; null: that is not decided yet.</summary>
    public bool? IsReported => State().Reported switch
    {
        NativeMethods.Unset => null,
        var reported => reported == NativeMethods.True,
    };

    /// <summary>Gets what telemetry failed at when the connection was closed; null: at nothing.</summary>
    public string? Problem => _telemetry.Problem;

    internal ulong Number { get; }

    /// <summary>
    /// Closes the connection and reports that, once. Where the VMS is being counted, waits for that for a second at most.
    /// Never throws.
    /// </summary>
    public void Close()
    {
        AppDomain.CurrentDomain.ProcessExit -= Settle;
        _telemetry.Close();
    }

    /// <summary>As <see cref="Close"/>.</summary>
    public void Dispose() => Close();

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Logs on, and waits until the connection stands.</summary>
    internal static VmsConnection Open(
        NativeMethods native,
        VmsLogon logon,
        Action<VmsConnectionStage>? progress,
        CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var clock = Stopwatch.StartNew();
        if (native.ConnectVms(logon, out var number) is not TelemetryStatus.Ok and var status)
        {
            throw new TelemetryException(status, native.LastError());
        }

        logon.Replaces?.Close();
        try
        {
            // Whoever waits below is woken up by this.
            using (cancellation.Register(() => native.OnDisconnect(number)))
            {
                Await(native, number, logon, clock, progress, cancellation);
            }

            cancellation.ThrowIfCancellationRequested();
            return new VmsConnection(native, number, logon.UserType);
        }
        catch
        {
            native.OnDisconnect(number);
            throw;
        }
    }

    private static void Await(
        NativeMethods native,
        ulong number,
        VmsLogon logon,
        Stopwatch clock,
        Action<VmsConnectionStage>? progress,
        CancellationToken cancellation)
    {
        for (var stage = VmsConnectionStage.Finding; stage < VmsConnectionStage.Counting;)
        {
            progress?.Invoke(stage);
            if (stage == VmsConnectionStage.TokenNeeded)
            {
                var endpoint = new Uri(native.GetConnectionText(number, NativeConnectionText.TokenEndpoint));
                using var token = WindowsLogon.GetToken(endpoint, logon, logon.Timeout - clock.Elapsed, cancellation);
                if (native.GiveToken(number, token) != TelemetryStatus.Ok && !cancellation.IsCancellationRequested)
                {
                    throw WindowsLogon.Failure(
                        TelemetryStatus.AnswerInvalid,
                        endpoint,
                        "the token that it gave cannot be used");
                }
            }

            NativeConnectionState state;
            do
            {
                native.GetConnection(number, stage, StageMilliseconds, out state);
                cancellation.ThrowIfCancellationRequested();
            }
            while (state.Stage == stage);

            stage = state.Stage;
            if (stage is VmsConnectionStage.Failed)
            {
                throw new TelemetryException(
                    state.Failure,
                    native.GetConnectionText(number, NativeConnectionText.Failure));
            }
        }
    }

    /// <summary>Reads the lines of child sites, each as id, version and name with tabs between them.</summary>
    private static List<VmsChildSite> Sites(string lines)
    {
        var sites = new List<VmsChildSite>();
        foreach (var line in lines.Split('\n'))
        {
            var parts = line.Split('\t');
            if (parts.Length == 3 && Guid.TryParse(parts[0], out var id))
            {
                sites.Add(new VmsChildSite(id, parts[2], parts[1]));
            }
        }

        return sites;
    }

    /// <summary>Gives what holds; of a closed connection, what held when it was last looked at.</summary>
    private NativeConnectionState State()
    {
        lock (_gate)
        {
            if (_native.GetConnection(Number, VmsConnectionStage.Closed, 0, out var state) == TelemetryStatus.Ok)
            {
                _state = state;
            }
            else
            {
                _state.Stage = VmsConnectionStage.Closed;
            }

            return _state;
        }
    }

    private void Settle(object sender, EventArgs arguments) => _native.SettleConnection(Number, ExitMilliseconds);
}
