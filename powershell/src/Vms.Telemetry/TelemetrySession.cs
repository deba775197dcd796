using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// The telemetry session of this process. A process has one session, and starting it again joins it.
/// </summary>
/// <remarks>
/// <see cref="Start"/>, <see cref="Connect"/>, <see cref="HoldSending"/> and <see cref="TelemetryConnection.Close"/> do not
/// throw if telemetry fails, and do not wait for the network. <see cref="Problem"/> says what failed.
/// <see cref="Configure(bool?, bool?)"/>, <see cref="Reset"/> and <see cref="GetConfig"/> throw <see cref="TelemetryException"/>, and
/// <see cref="LogOn"/> throws <see cref="VmsConnectionException"/>. You can use all members from any thread.
/// </remarks>
public sealed class TelemetrySession : IDisposable
{
    private const string CommonVariables =
        " DO_NOT_TRACK HTTPS_PROXY ALL_PROXY HTTP_PROXY NO_PROXY HOME XDG_DATA_HOME XDG_STATE_HOME ";

    private readonly string? _connectionString;
    private volatile string? _problem;
    private volatile bool _isDisposed;

    private TelemetrySession(string? connectionString, string? problem, bool startedOn)
    {
        _connectionString = connectionString;
        _problem = problem;
        StartedOn = startedOn;
    }

    /// <summary>Gets why the session does nothing, or sends nothing. Null if nothing failed.</summary>
    public string? Problem => _problem ?? SystemProxy.Problem;

    /// <summary>Gets whether NewSession was recorded, or the running session joined, with telemetry on.</summary>
    internal bool StartedOn { get; }

    /// <summary>Gets whether telemetry may have a problem to show: it did not start as on, or something failed.</summary>
    internal bool HasProblem => Functions is not { } native
        || !StartedOn || native.HasText(NativeText.LastFailure) || native.HasText(NativeText.DeliveryFailure);

    /// <summary>Gets the functions of the native library, which are looked up at first use. Null if there is no session.</summary>
    private NativeMethods? Functions
    {
        get
        {
            if (_problem is not null)
            {
                return null;
            }

            var native = NativeMethods.Bind(out var problem);
            _problem = native is null ? problem : null;
            return native;
        }
    }

    /// <summary>
    /// Starts the session of this process, or joins it. Records <c>NewSession</c> if telemetry is on.
    /// </summary>
    /// <param name="options">The host program.</param>
    /// <returns>A session. If telemetry cannot work, the session does nothing.</returns>
    public static TelemetrySession Start(TelemetryOptions options)
    {
        if (options is null)
        {
            throw new ArgumentNullException(nameof(options));
        }

        return StartHeld(options.AssemblyVersion, options.ConnectionString, 0);
    }

    /// <summary>The same. An import takes this path, so it has few methods: each is compiled in each process.</summary>
    /// <param name="version">See <see cref="TelemetryOptions.AssemblyVersion"/>.</param>
    /// <param name="connectionString">See <see cref="TelemetryOptions.ConnectionString"/>.</param>
    /// <param name="holdSeconds">
    /// For how long no request begins, unless <see cref="EndHold"/> ends it. See hold_seconds of the native library.
    /// </param>
    internal static TelemetrySession StartHeld(string version, string? connectionString, uint holdSeconds)
    {
        try
        {
            var library = NativeMethods.Open(out var problem);
            if (library == IntPtr.Zero)
            {
                return new TelemetrySession(null, problem, false);
            }

            var isWindows = NativeLibraryLoader.IsWindows;
            var environment = isWindows ? null : Variables();
            var status = NativeMethods.InitSession(library, version, connectionString, environment, holdSeconds);
            if (status >= TelemetryStatus.InvalidArgument)
            {
                problem = "the session cannot start: " + (NativeMethods.Bind(out problem)?.LastError() ?? problem);
                return new TelemetrySession(null, problem, false);
            }

            if (status == TelemetryStatus.Ok && isWindows)
            {
                SystemProxy.Announce(connectionString);
            }

            return new TelemetrySession(connectionString, null, status == TelemetryStatus.Ok);
        }
        catch (Exception exception)
        {
            return new TelemetrySession(null, "the session cannot start: " + exception.Message, false);
        }
    }

    /// <summary>Records that the host program connected to a VMS, if telemetry is on.</summary>
    /// <param name="facts">What is known of the connection.</param>
    /// <returns>The connection. Close it when the user disconnects.</returns>
    public TelemetryConnection Connect(VmsConnectionFacts facts)
    {
        if (facts is null)
        {
            throw new ArgumentNullException(nameof(facts));
        }

        ThrowIfDisposed();
        if (Functions is not { } native)
        {
            return new TelemetryConnection(null, 0, false, _problem);
        }

        var status = native.OnConnect(facts, out var number);
        if (NativeMethods.IsError(status))
        {
            return new TelemetryConnection(null, 0, false, native.LastError());
        }

        AnnounceProxy(native);
        return new TelemetryConnection(native, number, status == TelemetryStatus.Ok, null);
    }

    /// <summary>Logs on to a VMS. Blocks the calling thread for the logon. Devices are counted in the background.</summary>
    /// <param name="logon">The server and the user.</param>
    /// <param name="cancellation">Cancels the attempt at once.</param>
    /// <returns>The connection. If telemetry is on, NewVmsSession is recorded when the devices are counted.</returns>
    /// <exception cref="VmsConnectionException">The logon failed. The message says what to do.</exception>
    /// <exception cref="OperationCanceledException">The attempt was cancelled.</exception>
    public VmsConnection LogOn(VmsLogon logon, CancellationToken cancellation = default)
    {
        if (logon is null)
        {
            throw new ArgumentNullException(nameof(logon));
        }

        ThrowIfDisposed();
        if (Functions is not { } native)
        {
            throw new VmsConnectionException(TelemetryStatus.Unavailable, _problem ?? "");
        }

        AnnounceProxy(native);
        return VmsConnection.Open(native, logon, cancellation);
    }

    /// <summary>
    /// Changes the configuration, for this session and all later ones of the user. It is in effect when this returns.
    /// </summary>
    /// <param name="enableTelemetry">Whether events are recorded and sent. Null for no change.</param>
    /// <param name="logTelemetry">Whether events are written to the telemetry log. Null for no change.</param>
    /// <returns>
    /// A warning, for example that an environment variable still opts out. Null if there is none.
    /// </returns>
    /// <exception cref="TelemetryException">
    /// The setting could not be stored, or a policy of the administrator forbids it. An opt-out is still in effect in this
    /// session, and the message says so.
    /// </exception>
    public string? Configure(bool? enableTelemetry, bool? logTelemetry) =>
        Configure((TelemetryChoice)NativeMethods.Truth(enableTelemetry), (TelemetryChoice)NativeMethods.Truth(logTelemetry));

    /// <summary>
    /// Opts out until this process ends, or takes that back. Nothing is stored. Pending events of this session are deleted.
    /// Other opt-outs stay in effect.
    /// </summary>
    /// <param name="enableTelemetry">False to opt out.</param>
    /// <returns>A warning, for example that another opt-out is in effect. Null if there is none.</returns>
    /// <exception cref="TelemetryException">There is no session, or a pending event could not be deleted.</exception>
    public string? ConfigureThisProcess(bool enableTelemetry) =>
        Configure((TelemetryChoice)NativeMethods.Truth(enableTelemetry), TelemetryChoice.Keep, true);

    /// <summary>Takes back what the user chose, so that the default is in effect again. An opt-out by a VMS stays.</summary>
    /// <returns>A warning. Null if there is none.</returns>
    /// <exception cref="TelemetryException">As for <see cref="Configure(bool?, bool?)"/>.</exception>
    public string? Reset() => Configure(TelemetryChoice.Reset, TelemetryChoice.Reset);

    /// <summary>
    /// Keeps requests from beginning, for example while the user is asked whether to opt out. Events are still recorded. A
    /// request that is being sent can complete. Holds nest: requests begin again when all of them are disposed.
    /// </summary>
    /// <returns>The hold. Dispose it on any thread. Without a native library it does nothing.</returns>
    public IDisposable HoldSending()
    {
        ThrowIfDisposed();
        return new SendingHold(Functions);
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
            ConnectionString = native.GetText(NativeText.ConnectionString),
            UserId = Guid.TryParse(native.GetText(NativeText.UserId), out var user) ? user : Guid.Empty,
            Layers = native.GetText(NativeText.Layers).Split(['\n'], StringSplitOptions.RemoveEmptyEntries),
            LastSent = Moment(native.GetText(NativeText.LastSent)),
            LastDeliveryFailure = native.GetText(NativeText.DeliveryFailure),
            LastFailure = native.GetText(NativeText.LastFailure),
        };
    }

    /// <summary>
    /// Reads the events that are pending, were sent or were refused, whether or not telemetry is on. Those of the same state are
    /// in no certain order.
    /// </summary>
    /// <returns>The events. They are read one after the other.</returns>
    /// <exception cref="TelemetryException">There is no session.</exception>
    public IEnumerable<TelemetryEvent> GetEvents() => TelemetryEvent.All(Native());

    /// <summary>
    /// Makes the events that this session would record now, whether or not telemetry is on. Touches neither disk nor network, so ids
    /// that the session has not read yet are zero.
    /// </summary>
    /// <returns>The events.</returns>
    /// <exception cref="TelemetryException">There is no session.</exception>
    public IEnumerable<TelemetryEvent> PreviewEvents() => TelemetryEvent.Preview(Native());

    /// <summary>
    /// Makes a page of HTML for a person who decides about telemetry: whether it is on and who decided, what is collected, where it
    /// goes, the ids, what waits, what was sent, how to stop it and how to delete it. One file, without scripts.
    /// </summary>
    /// <returns>The page.</returns>
    /// <exception cref="TelemetryException">There is no session.</exception>
    public string GetReport() =>
        TelemetryReport.Html(GetConfig(), [.. GetEvents()], Native().GetText(NativeText.LibraryVersion));

    /// <summary>
    /// Tries the way to Application Insights step by step: name, proxy, connection, certificate, answer. Blocks the calling thread,
    /// 20 seconds at most. Works whether or not telemetry is on. Sends no event.
    /// </summary>
    /// <returns>The steps. Those behind a step that failed were not tried.</returns>
    /// <exception cref="TelemetryException">There is no session.</exception>
    public IReadOnlyList<TelemetryEndpointStep> TestEndpoint()
    {
        var native = Native();
        SystemProxy.Find(native, _connectionString);
        Check(native, native.TestEndpoint());
        var lines = native.GetText(NativeText.EndpointTest).Split(['\n'], StringSplitOptions.RemoveEmptyEntries);
        return Array.ConvertAll(lines, line => new TelemetryEndpointStep(line));
    }

    /// <summary>Deletes what telemetry keeps on this computer, for all processes of the user. The choices stay.</summary>
    /// <param name="what">What to delete.</param>
    /// <exception cref="TelemetryException">There is no session, or a file could not be deleted. The rest was deleted.</exception>
    public void Clear(TelemetryData what)
    {
        var native = Native();
        Check(native, native.ClearData(what));
    }

    /// <summary>
    /// Makes this object unusable. The session itself ends with the process. Sends nothing and does not wait.
    /// </summary>
    public void Dispose() => _isDisposed = true;

    /// <summary>Ends the hold that the session began with.</summary>
    internal void EndHold() => Functions?.SetConfig(holdSending: false);

    internal string? Configure(TelemetryChoice enable, TelemetryChoice log, bool thisSessionOnly = false)
    {
        var native = Native();
        var status = native.SetConfig(enable, log, thisSessionOnly: thisSessionOnly);
        Check(native, status);
        var warning = status == TelemetryStatus.Warning ? native.LastError() : null;
        AnnounceProxy(native);
        return warning;
    }

    private static void Check(NativeMethods native, TelemetryStatus status)
    {
        if (NativeMethods.IsError(status))
        {
            throw new TelemetryException(status, native.LastError());
        }
    }

    private static DateTimeOffset? Moment(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var moment)
            ? moment.ToLocalTime()
            : null;

    /// <summary>
    /// Returns the variables that the native library reads, each with a NUL behind it. Outside Windows, .NET has its own
    /// environment, and native code does not see what a program sets there. On Windows the native library reads them itself.
    /// </summary>
    private static string Variables()
    {
        var variables = "";
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            var name = (string)variable.Key;
            // .NET's configuration, and so MilestonePSTools, treats two underscores and a colon as one.
            if (name.StartsWith("VMS_ApplicationInsights__", StringComparison.OrdinalIgnoreCase)
                || name.StartsWith("VMS_ApplicationInsights:", StringComparison.OrdinalIgnoreCase)
                || CommonVariables.IndexOf(" " + name + " ", StringComparison.OrdinalIgnoreCase) >= 0)
            {
                variables += name + "=" + (string?)variable.Value + "\0";
            }
        }

        return variables;
    }

    /// <summary>Starts looking for the system's proxy. If telemetry is off, the system is not asked.</summary>
    private void AnnounceProxy(NativeMethods native)
    {
        if (SystemProxy.IsNeeded && native.GetConfig(out var config) == TelemetryStatus.Ok
            && config.TelemetryEnabled == NativeMethods.True)
        {
            SystemProxy.Announce(_connectionString);
        }
    }

    private NativeMethods Native()
    {
        ThrowIfDisposed();
        return Functions ?? throw new TelemetryException(TelemetryStatus.Unavailable, _problem ?? "");
    }

    private void ThrowIfDisposed()
    {
        if (_isDisposed)
        {
            throw new ObjectDisposedException(nameof(TelemetrySession));
        }
    }
}
