using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// The telemetry session of this process. A process has one: starting another one joins it.
/// </summary>
/// <remarks>
/// <see cref="Start"/>, <see cref="Connect"/>, <see cref="HoldSending"/> and <see cref="TelemetryConnection.Close"/> never throw because of
/// telemetry and never wait for the network; <see cref="Problem"/> says what failed. <see cref="LogOn"/>,
/// <see cref="Configure"/> and <see cref="GetConfig"/> throw <see cref="TelemetryException"/>. All members may be used from any thread.
/// </remarks>
public sealed class TelemetrySession : IDisposable
{
    /// <summary>.NET's configuration, and so MilestonePSTools, takes both for one name.</summary>
    private static readonly string[] s_ownVariables = ["VMS_ApplicationInsights__", "VMS_ApplicationInsights:"];

    private static readonly string[] s_commonVariables =
    [
        "DO_NOT_TRACK", "HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY", "HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
    ];

    private readonly NativeMethods? _native;
    private readonly string? _connectionString;
    private readonly string? _problem;
    private volatile bool _isDisposed;

    private TelemetrySession(NativeMethods? native, string? connectionString, string? problem, bool startedOn = false)
    {
        _native = native;
        _connectionString = connectionString;
        _problem = problem;
        StartedOn = startedOn;
    }

    /// <summary>Gets why the session does nothing, or sends nothing; null: nothing failed.</summary>
    public string? Problem => _problem ?? SystemProxy.Problem;

    /// <summary>Gets whether NewSession was recorded, or the running session joined, with telemetry on.</summary>
    internal bool StartedOn { get; }

    /// <summary>Gets whether telemetry may have a problem to show: it did not start as on, or something failed.</summary>
    internal bool HasProblem =>
        _native is null || !StartedOn || _native.HasText(NativeText.LastFailure) || _native.HasText(NativeText.DeliveryFailure);

    /// <summary>
    /// Starts the session of this process, or joins it, and records <c>NewSession</c> unless somebody opted out.
    /// </summary>
    /// <param name="options">Who the host is.</param>
    /// <returns>A session; one that does nothing where it cannot work.</returns>
    public static TelemetrySession Start(TelemetryOptions options)
    {
        if (options is null)
        {
            throw new ArgumentNullException(nameof(options));
        }

        try
        {
            var native = NativeMethods.Load(out var problem);
            if (native is null)
            {
                return new TelemetrySession(null, null, problem);
            }

            var isWindows = RuntimeInformation.IsOSPlatform(OSPlatform.Windows);
            var status = native.InitSession(
                options,
                RuntimeInformation.FrameworkDescription,
                RuntimeInformation.OSDescription,
                isWindows ? null : Variables(),
                isWindows);
            if (NativeMethods.IsError(status))
            {
                return new TelemetrySession(null, null, "the session cannot start: " + native.LastError());
            }

            var session = new TelemetrySession(native, options.ConnectionString, null, status == TelemetryStatus.Ok);
            if (isWindows)
            {
                session.AnnounceProxy(native);
            }

            return session;
        }
        catch (Exception exception)
        {
            return new TelemetrySession(null, null, "the session cannot start: " + exception.Message);
        }
    }

    /// <summary>Records that the host itself connected to a VMS, unless somebody opted out.</summary>
    /// <param name="facts">What is known of the connection.</param>
    /// <returns>The connection, to be closed when the host disconnects gracefully.</returns>
    public TelemetryConnection Connect(VmsConnectionFacts facts)
    {
        if (facts is null)
        {
            throw new ArgumentNullException(nameof(facts));
        }

        ThrowIfDisposed();
        if (_native is null)
        {
            return new TelemetryConnection(null, 0, false, _problem);
        }

        var status = _native.OnConnect(facts, out var number);
        if (NativeMethods.IsError(status))
        {
            return new TelemetryConnection(null, 0, false, _native.LastError());
        }

        AnnounceProxy(_native);
        return new TelemetryConnection(_native, number, status == TelemetryStatus.Ok, null);
    }

    /// <summary>Logs on to a VMS. The calling thread waits for that; what follows goes on in the background.</summary>
    /// <param name="logon">Where and as whom.</param>
    /// <param name="cancellation">Ends the attempt at once.</param>
    /// <returns>The connection. Unless telemetry is off, NewVmsSession is recorded as soon as the VMS is counted.</returns>
    /// <exception cref="TelemetryException">There is no connection; the message says what to do.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended.</exception>
    public VmsConnection LogOn(VmsLogon logon, CancellationToken cancellation = default)
    {
        if (logon is null)
        {
            throw new ArgumentNullException(nameof(logon));
        }

        var native = Native();
        AnnounceProxy(native);
        return VmsConnection.Open(native, logon, cancellation);
    }

    /// <summary>
    /// Changes the configuration, for this session and all later ones of the user. In effect when this returns.
    /// </summary>
    /// <param name="enableTelemetry">Whether events are recorded and sent; null: as it is.</param>
    /// <param name="logTelemetry">Whether events are written to the telemetry log; null: as it is.</param>
    /// <returns>
    /// A warning, for example that an environment variable still opts out; null: there is none.
    /// </returns>
    /// <exception cref="TelemetryException">
    /// The choice could not be stored, or a policy of this computer's administrator forbids it. An opt-out is in effect in
    /// this session even then, and the message says for how long.
    /// </exception>
    public string? Configure(bool? enableTelemetry, bool? logTelemetry)
    {
        var native = Native();
        var status = native.SetConfig(enableTelemetry, logTelemetry);
        Check(native, status);
        var warning = status == TelemetryStatus.Warning ? native.LastError() : null;
        AnnounceProxy(native);
        return warning;
    }

    /// <summary>
    /// Keeps requests from beginning, for example while a person is asked whether to opt out: what is recorded meanwhile
    /// waits. A request under way may finish. Holds nest: sending goes on when each of them is disposed.
    /// </summary>
    /// <returns>The hold, to be disposed on whatever thread. Without a native library it does nothing.</returns>
    public IDisposable HoldSending()
    {
        ThrowIfDisposed();
        return new SendingHold(_native);
    }

    /// <summary>Reads the configuration that is in effect now.</summary>
    /// <returns>The configuration.</returns>
    /// <exception cref="TelemetryException">There is no session, for example because the native library is missing.</exception>
    public TelemetryConfig GetConfig()
    {
        var native = Native();
        Check(native, native.GetConfig(out var config));
        return new TelemetryConfig
        {
            TelemetryEnabled = config.TelemetryEnabled == NativeMethods.True,
            TelemetryLayer = (TelemetryLayer)config.TelemetryLayer,
            TelemetryReason = native.GetText(NativeText.TelemetryReason),
            ConnectionReason = native.GetText(NativeText.ConnectionReason),
            LogTelemetry = config.LogTelemetry == NativeMethods.True,
            LogLayer = (TelemetryLayer)config.LogLayer,
            LogReason = native.GetText(NativeText.LogReason),
            SettingsFile = native.GetText(NativeText.SettingsFile),
            DataFolder = native.GetText(NativeText.DataFolder),
            LogFolder = native.GetText(NativeText.LogFolder),
            SessionId = Guid.TryParse(native.GetText(NativeText.SessionId), out var id) ? id : Guid.Empty,
            PendingEvents = config.PendingEvents,
            LastSent = Moment(native.GetText(NativeText.LastSent)),
            LastDeliveryFailure = native.GetText(NativeText.DeliveryFailure),
            LastFailure = native.GetText(NativeText.LastFailure),
        };
    }

    /// <summary>
    /// Makes this object unusable; the session itself ends with the process. Sends nothing and never waits.
    /// </summary>
    public void Dispose() => _isDisposed = true;

    private static void Check(NativeMethods native, TelemetryStatus status)
    {
        if (NativeMethods.IsError(status))
        {
            throw new TelemetryException(status, native.LastError());
        }
    }

    private static DateTimeOffset? Moment(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var moment)
            ? moment
            : null;

    /// <summary>
    /// Returns the variables that the native library reads. Outside Windows .NET has an environment of its own: native code
    /// does not see what a program sets there. On Windows the native library reads them itself.
    /// </summary>
    private static string[] Variables()
    {
        var variables = new List<string>();
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            var name = (string)variable.Key;
            if (Array.Exists(s_ownVariables, own => name.StartsWith(own, StringComparison.OrdinalIgnoreCase))
                || Array.Exists(s_commonVariables, common => common.Equals(name, StringComparison.OrdinalIgnoreCase)))
            {
                variables.Add(name + "=" + (string?)variable.Value);
            }
        }

        return variables.ToArray();
    }

    /// <summary>Has the system's proxy found. Where telemetry is off, the system is not asked for it.</summary>
    private void AnnounceProxy(NativeMethods native)
    {
        if (SystemProxy.IsNeeded && native.GetConfig(out var config) == TelemetryStatus.Ok
            && config.TelemetryEnabled == NativeMethods.True)
        {
            SystemProxy.Announce(native, _connectionString);
        }
    }

    private NativeMethods Native()
    {
        ThrowIfDisposed();
        return _native ?? throw new TelemetryException(TelemetryStatus.Unavailable, _problem ?? "");
    }

    private void ThrowIfDisposed()
    {
        if (_isDisposed)
        {
            throw new ObjectDisposedException(nameof(TelemetrySession));
        }
    }
}
