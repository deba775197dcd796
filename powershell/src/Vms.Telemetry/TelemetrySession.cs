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
/// <see cref="Start"/>, <see cref="Connect"/> and <see cref="TelemetryConnection.Close"/> never throw because of
/// telemetry and never wait for the network; <see cref="Problem"/> says what failed. <see cref="LogOn"/>,
/// <see cref="Configure"/> and <see cref="GetConfig"/> throw <see cref="TelemetryException"/>. All members may be used from any thread.
/// </remarks>
public sealed class TelemetrySession : IDisposable
{
    private const string OwnVariables = "VMS_ApplicationInsights__";

    private static readonly string[] s_commonVariables =
        ["DO_NOT_TRACK", "HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY"];

    private readonly NativeMethods? _native;
    private readonly string? _connectionString;
    private readonly string? _problem;
    private readonly bool _beganOff;
    private volatile bool _isDisposed;

    private TelemetrySession(NativeMethods? native, string? connectionString, string? problem, bool beganOff = false)
    {
        _native = native;
        _connectionString = connectionString;
        _problem = problem;
        _beganOff = beganOff;
    }

    /// <summary>Gets why the session does nothing, or sends nothing; null: nothing failed.</summary>
    public string? Problem => _problem ?? SystemProxy.Problem;

    /// <summary>Gets whether there may be something to say of telemetry: it is off, or something failed.</summary>
    internal bool HasTrouble =>
        _native is null || _beganOff || _native.HasText(NativeText.LastFailure) || _native.HasText(NativeText.DeliveryFailure);

    /// <summary>
    /// Starts the session of this process, or joins it, and records <c>NewSession</c> unless somebody said no.
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
            if (status > TelemetryStatus.Off)
            {
                return new TelemetrySession(null, null, "the session cannot start: " + native.LastError());
            }

            var session = new TelemetrySession(native, options.ConnectionString, null, status == TelemetryStatus.Off);
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

    /// <summary>Records that the host itself connected to a VMS, unless somebody said no.</summary>
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
        if (status > TelemetryStatus.Off)
        {
            return new TelemetryConnection(null, 0, false, _native.LastError());
        }

        AnnounceProxy(_native);
        return new TelemetryConnection(_native, number, status == TelemetryStatus.Ok, null);
    }

    /// <summary>Logs on to a VMS, and waits until the connection stands; what follows goes on in the background.</summary>
    /// <param name="logon">Where and as whom.</param>
    /// <param name="progress">Is told each stage, on the caller's thread.</param>
    /// <param name="cancellation">Ends the attempt at once.</param>
    /// <returns>The connection. Unless somebody said no, it is reported as soon as the VMS is counted.</returns>
    /// <exception cref="TelemetryException">There is no connection; the message says what to do.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended.</exception>
    public VmsConnection LogOn(
        VmsLogon logon,
        Action<VmsConnectionStage>? progress = null,
        CancellationToken cancellation = default)
    {
        if (logon is null)
        {
            throw new ArgumentNullException(nameof(logon));
        }

        var native = Native();
        AnnounceProxy(native);
        return VmsConnection.Open(native, logon, progress, cancellation);
    }

    /// <summary>Changes the configuration, for this session and all later ones of the user. Holds on return.</summary>
    /// <param name="enableTelemetry">Whether events are recorded and sent; null: as it is.</param>
    /// <param name="logTelemetry">Whether events are written to the raw log; null: as it is.</param>
    /// <exception cref="TelemetryException">The choice could not be stored; all is as it was.</exception>
    public void Configure(bool? enableTelemetry, bool? logTelemetry)
    {
        var native = Native();
        Check(native, native.SetConfig(enableTelemetry, logTelemetry, null));
        AnnounceProxy(native);
    }

    /// <summary>Reads the configuration that holds at this moment.</summary>
    /// <returns>The configuration.</returns>
    /// <exception cref="TelemetryException">There is no session, as where the native library is missing.</exception>
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
        if (status > TelemetryStatus.Off)
        {
            throw new TelemetryException(status, native.LastError());
        }
    }

    private static DateTimeOffset? Moment(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var moment)
            ? moment
            : null;

    /// <summary>
    /// Gives the variables that the native library reads. .NET keeps an environment of its own outside Windows: what
    /// a program sets there is not to be seen from native code. On Windows that reads them itself.
    /// </summary>
    private static string[] Variables()
    {
        var variables = new List<string>();
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            var name = (string)variable.Key;
            if (name.StartsWith(OwnVariables, StringComparison.OrdinalIgnoreCase) || IsCommon(name))
            {
                variables.Add(name + "=" + (string?)variable.Value);
            }
        }

        return variables.ToArray();
    }

    private static bool IsCommon(string name)
    {
        foreach (var known in s_commonVariables)
        {
            if (known.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
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
