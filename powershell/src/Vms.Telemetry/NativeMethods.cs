using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Security;
using System.Text;

namespace Vms.Telemetry;

/// <summary>
/// The native library's exports as function pointers, and strings on their way in and out. A string that goes in is pinned
/// as UTF-8 with a NUL for one call.
/// </summary>
internal sealed unsafe class NativeMethods
{
    internal const uint Unset = 0;
    internal const uint False = 1;
    internal const uint True = 2;

    /// <summary>VMS_NO_TIMEOUT.</summary>
    internal const uint NoTimeout = uint.MaxValue;

    /// <summary>Enough for every text except the longest paths.</summary>
    private const int UsualText = 512;

    private static readonly object s_gate = new();
    private static IntPtr s_library;
    private static NativeMethods? s_bound;

    private readonly delegate* unmanaged[Cdecl]<NativeConnectionInfo*, ulong*, int> _onConnect;
    private readonly delegate* unmanaged[Cdecl]<ulong*, int> _reserveConnection;
    private readonly delegate* unmanaged[Cdecl]<ulong, NativeLogon*, NativeServer*, int> _findVms;
    private readonly delegate* unmanaged[Cdecl]<ulong, NativeLogon*, NativeServer*, int> _connectVms;
    private readonly delegate* unmanaged[Cdecl]<ulong, uint, NativeSite*, int> _getChildSite;
    private readonly delegate* unmanaged[Cdecl]<ulong, NativeConnectionState*, int> _getConnection;
    private readonly delegate* unmanaged[Cdecl]<ulong, uint, int> _settleConnection;
    private readonly delegate* unmanaged[Cdecl]<ulong, int> _onDisconnect;
    private readonly delegate* unmanaged[Cdecl]<NativeConfigChange*, int> _setConfig;
    private readonly delegate* unmanaged[Cdecl]<NativeConfig*, int> _getConfig;
    private readonly delegate* unmanaged[Cdecl]<uint, byte*, UIntPtr, UIntPtr*, int> _getText;
    private readonly delegate* unmanaged[Cdecl]<uint, uint, byte*, UIntPtr, UIntPtr*, int> _getEvent;
    private readonly delegate* unmanaged[Cdecl]<uint, int> _clearData;
    private readonly delegate* unmanaged[Cdecl]<int> _testEndpoint;
    private readonly delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int> _lastError;
    private readonly delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int> _lastAdvice;

    private NativeMethods(IntPtr library, ref string problem)
    {
        _onConnect =
            (delegate* unmanaged[Cdecl]<NativeConnectionInfo*, ulong*, int>)Find(library, "on_connect", ref problem);
        _reserveConnection =
            (delegate* unmanaged[Cdecl]<ulong*, int>)Find(library, "reserve_connection", ref problem);
        _findVms = (delegate* unmanaged[Cdecl]<ulong, NativeLogon*, NativeServer*, int>)
            Find(library, "find_vms", ref problem);
        _connectVms = (delegate* unmanaged[Cdecl]<ulong, NativeLogon*, NativeServer*, int>)
            Find(library, "connect_vms", ref problem);
        _getChildSite = (delegate* unmanaged[Cdecl]<ulong, uint, NativeSite*, int>)
            Find(library, "get_child_site", ref problem);
        _getConnection = (delegate* unmanaged[Cdecl]<ulong, NativeConnectionState*, int>)
            Find(library, "get_connection", ref problem);
        _settleConnection =
            (delegate* unmanaged[Cdecl]<ulong, uint, int>)Find(library, "settle_connection", ref problem);
        _onDisconnect = (delegate* unmanaged[Cdecl]<ulong, int>)Find(library, "on_disconnect", ref problem);
        _setConfig = (delegate* unmanaged[Cdecl]<NativeConfigChange*, int>)Find(library, "set_config", ref problem);
        _getConfig = (delegate* unmanaged[Cdecl]<NativeConfig*, int>)Find(library, "get_config", ref problem);
        _getText =
            (delegate* unmanaged[Cdecl]<uint, byte*, UIntPtr, UIntPtr*, int>)Find(library, "get_text", ref problem);
        _getEvent = (delegate* unmanaged[Cdecl]<uint, uint, byte*, UIntPtr, UIntPtr*, int>)
            Find(library, "get_event", ref problem);
        _testEndpoint = (delegate* unmanaged[Cdecl]<int>)Find(library, "test_endpoint", ref problem);
        _clearData = (delegate* unmanaged[Cdecl]<uint, int>)Find(library, "clear_data", ref problem);
        _lastError =
            (delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int>)Find(library, "last_error", ref problem);
        _lastAdvice =
            (delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int>)Find(library, "last_advice", ref problem);
    }

    /// <summary>Opens the library, once in a process. Looks nothing up, as an import needs one function alone.</summary>
    /// <param name="problem">Why there is none.</param>
    /// <returns>A handle for <see cref="InitSession"/>, or zero.</returns>
    internal static IntPtr Open(out string problem)
    {
        lock (s_gate)
        {
            problem = "";
            if (s_library == IntPtr.Zero)
            {
                // Use another module's copy if it has all functions that are called: a process has one session.
                var loaded = NativeLibraryLoader.FindLoaded();
                var unfit = "";
                s_bound = loaded == IntPtr.Zero ? null : Bind(loaded, ref unfit);
                s_library = s_bound is null ? NativeLibraryLoader.Load(out problem) : loaded;
            }

            return s_library;
        }
    }

    /// <summary>Looks all functions up, once in a process.</summary>
    /// <param name="problem">Why that failed.</param>
    internal static NativeMethods? Bind(out string problem)
    {
        lock (s_gate)
        {
            problem = "";
            return s_bound ??= Bind(s_library, ref problem);
        }
    }

    private static NativeMethods? Bind(IntPtr library, ref string problem)
    {
        var methods = new NativeMethods(library, ref problem);
        return problem.Length == 0 ? methods : null;
    }

    /// <summary>Returns whether a status is that of a failed call. Off, unsure and a warning are none.</summary>
    internal static bool IsError(TelemetryStatus status) => status >= TelemetryStatus.InvalidArgument;

    /// <summary>Returns a string as UTF-8 with a NUL at its end; null stays null, which `fixed` turns into NULL.</summary>
    internal static byte[]? Utf8(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, 0, text.Length, bytes, 0);
        return bytes;
    }

    internal static uint Truth(bool? value) => value switch { null => Unset, false => False, true => True };

    /// <summary>Starts the session.</summary>
    /// <param name="library">What <see cref="Open"/> gave.</param>
    /// <param name="version">The version of the host program.</param>
    /// <param name="connectionString">Null for the built-in one.</param>
    /// <param name="environment">The variables, each with a NUL behind it. Null: the native library reads those of the system.</param>
    /// <param name="holdSeconds">For how long no request begins.</param>
    /// <exception cref="TelemetryException">The library has no such function.</exception>
    internal static TelemetryStatus InitSession(
        IntPtr library,
        string version,
        string? connectionString,
        string? environment,
        uint holdSeconds)
    {
        var problem = "";
        var initSession = (delegate* unmanaged[Cdecl]<NativeSessionInfo*, int>)Find(library, "init_session", ref problem);
        if (initSession == null)
        {
            throw new TelemetryException(TelemetryStatus.Unavailable, problem);
        }

        // All entries in one block, and a NULL pointer behind the pointers to them.
        var block = Utf8(environment);
        var pointers = environment is null ? null : new byte*[environment.Length / 2 + 1];
        fixed (byte* entries = block, versionText = Utf8(version), framework = Utf8(RuntimeInformation.FrameworkDescription))
        fixed (byte* system = Utf8(RuntimeInformation.OSDescription), connection = Utf8(connectionString))
        fixed (byte** first = pointers)
        {
            var count = 0;
            // The block ends with a NUL of its own.
            for (var index = 0; entries != null && entries[index] != 0; index++)
            {
                first[count++] = entries + index;
                while (entries[index] != 0)
                {
                    index++;
                }
            }

            var info = new NativeSessionInfo
            {
                Size = (uint)sizeof(NativeSessionInfo),
                NamesProxy = environment is null ? True : False,
                AssemblyVersion = versionText,
                FrameworkDescription = framework,
                OSDescription = system,
                ConnectionString = connection,
                Environment = first,
                HoldSeconds = holdSeconds,
            };
            return (TelemetryStatus)initSession(&info);
        }
    }

    internal TelemetryStatus OnConnect(VmsConnectionFacts facts, out ulong connection)
    {
        fixed (byte* site = Utf8(facts.SiteId.ToString("D")))
        fixed (byte* version = Utf8(facts.ProductVersion), name = Utf8(facts.ProductName))
        {
            var info = new NativeConnectionInfo
            {
                Size = (uint)sizeof(NativeConnectionInfo),
                UserType = (uint)facts.UserType,
                IsOAuthConnection = Truth(facts.IsOAuthConnection),
                EncryptionEnabled = Truth(facts.EncryptionEnabled),
                UsageDataPolicy = (uint)facts.UsageDataPolicy,
                SiteId = site,
                ProductVersion = version,
                ProductName = name,
                ChildSites = facts.ChildSites,
                Recorders = facts.Recorders,
                HardwareCount = facts.HardwareCount,
                CameraCount = facts.CameraCount,
                MicrophoneCount = facts.MicrophoneCount,
                SpeakerCount = facts.SpeakerCount,
                MetadataCount = facts.MetadataCount,
                InputCount = facts.InputCount,
                OutputCount = facts.OutputCount,
            };
            ulong number = 0;
            var status = (TelemetryStatus)_onConnect(&info, &number);
            connection = number;
            return status;
        }
    }

    internal TelemetryStatus ReserveConnection(out ulong connection)
    {
        ulong number = 0;
        var status = (TelemetryStatus)_reserveConnection(&number);
        connection = number;
        return status;
    }

    /// <summary>Finds the address and the token endpoint. Closes the connection that the logon replaces.</summary>
    internal TelemetryStatus FindVms(ulong connection, VmsLogon logon, out VmsServer server)
    {
        var info = LogonInfo(logon, logon.Timeout);
        info.Replaces = logon.Replaces?.Number ?? 0;
        return Call(_findVms, connection, ref info, logon.ServerAddress, out server);
    }

    /// <summary>Logs on a basic user, or with a token of an external user. Closes what the logon replaces.</summary>
    internal TelemetryStatus ConnectVms(ulong connection, VmsLogon logon, out VmsServer server)
    {
        using var secret = new NativeSecret(logon.Secret);
        fixed (byte* user = Utf8(logon.UserName))
        {
            var isBasic = logon.UserType == VmsUserType.BasicUser;
            var info = LogonInfo(logon, logon.Timeout);
            info.UserName = user;
            info.Password = isBasic ? secret.Text : null;
            info.AccessToken = isBasic ? null : secret.Text;
            info.Replaces = logon.Replaces?.Number ?? 0;
            return Call(_connectVms, connection, ref info, logon.ServerAddress, out server);
        }
    }

    /// <summary>Logs on a Windows user with the token that the host got. The user's password stays here.</summary>
    internal TelemetryStatus ConnectVms(
        ulong connection,
        VmsLogon logon,
        string address,
        SecureString token,
        TimeSpan timeout,
        out VmsServer server)
    {
        using var secret = new NativeSecret(token);
        var info = LogonInfo(logon, timeout);
        info.AccessToken = secret.Text;
        return Call(_connectVms, connection, ref info, address, out server);
    }

    /// <summary>Reads the child sites of a connection.</summary>
    internal List<VmsChildSite> ChildSites(ulong connection, uint count)
    {
        var sites = new List<VmsChildSite>();
        for (uint index = 0; index < count; index++)
        {
            var site = new NativeSite { Size = (uint)sizeof(NativeSite) };
            if ((TelemetryStatus)_getChildSite(connection, index, &site) == TelemetryStatus.Ok)
            {
                sites.Add(new VmsChildSite(Id(Text(site.Id)), Text(site.Name), Text(site.Version)));
            }
        }

        return sites;
    }

    internal TelemetryStatus GetConnection(ulong connection, out NativeConnectionState state)
    {
        var answer = new NativeConnectionState { Size = (uint)sizeof(NativeConnectionState) };
        var status = (TelemetryStatus)_getConnection(connection, &answer);
        state = answer;
        return status;
    }

    internal TelemetryStatus SettleConnection(ulong connection, uint milliseconds) =>
        (TelemetryStatus)_settleConnection(connection, milliseconds);

    internal TelemetryStatus OnDisconnect(ulong connection) => (TelemetryStatus)_onDisconnect(connection);

    internal TelemetryStatus SetConfig(
        TelemetryChoice enableTelemetry = TelemetryChoice.Keep,
        TelemetryChoice logTelemetry = TelemetryChoice.Keep,
        bool? holdSending = null,
        string? proxy = null,
        bool thisSessionOnly = false)
    {
        fixed (byte* proxyText = Utf8(proxy))
        {
            var change = new NativeConfigChange
            {
                Size = (uint)sizeof(NativeConfigChange),
                EnableTelemetry = enableTelemetry,
                LogTelemetry = logTelemetry,
                HoldSending = Truth(holdSending),
                Proxy = proxyText,
                ThisSessionOnly = Truth(thisSessionOnly),
            };
            return (TelemetryStatus)_setConfig(&change);
        }
    }

    internal TelemetryStatus GetConfig(out NativeConfig config)
    {
        var answer = new NativeConfig { Size = (uint)sizeof(NativeConfig) };
        var status = (TelemetryStatus)_getConfig(&answer);
        config = answer;
        return status;
    }

    internal bool HasText(NativeText which)
    {
        UIntPtr length;
        return (TelemetryStatus)_getText((uint)which, null, UIntPtr.Zero, &length) == TelemetryStatus.BufferTooSmall
            && length != UIntPtr.Zero;
    }

    internal string GetText(NativeText which) =>
        Read((buffer, capacity, length) => _getText((uint)which, (byte*)buffer, capacity, (UIntPtr*)length));

    /// <summary>Returns an event of VMS_EVENT_*. Null: there are fewer, or it cannot be read.</summary>
    internal string? GetEvent(uint which, uint index)
    {
        var status = TelemetryStatus.Ok;
        var text = Read((buffer, capacity, length) =>
        {
            var outcome = _getEvent(which, index, (byte*)buffer, capacity, (UIntPtr*)length);
            status = (TelemetryStatus)outcome;
            return outcome;
        });
        return status == TelemetryStatus.Ok ? text : null;
    }

    internal TelemetryStatus TestEndpoint() => (TelemetryStatus)_testEndpoint();

    internal TelemetryStatus ClearData(TelemetryData what) => (TelemetryStatus)_clearData((uint)what);

    /// <summary>Returns the message of the last call of this thread that returned an error or a warning.</summary>
    internal string LastError() =>
        Read((buffer, capacity, length) => _lastError((byte*)buffer, capacity, (UIntPtr*)length));

    /// <summary>Returns what the user can do about it: the end of that message. Empty if it has no such end.</summary>
    internal string LastAdvice() =>
        Read((buffer, capacity, length) => _lastAdvice((byte*)buffer, capacity, (UIntPtr*)length));

    private static IntPtr Find(IntPtr library, string name, ref string problem)
    {
        var function = NativeLibraryLoader.FindExport(library, name);
        if (function == IntPtr.Zero && problem.Length == 0)
        {
            problem = "the native telemetry library has no function " + name + ": it is of another version";
        }

        return function;
    }

    private static NativeLogon LogonInfo(VmsLogon logon, TimeSpan timeout) => new()
    {
        Size = (uint)sizeof(NativeLogon),
        UserType = (uint)logon.UserType,
        SecureOnly = Truth(logon.SecureOnly),
        SkipCertificateCheck = Truth(logon.SkipCertificateCheck),
        IncludeChildSites = Truth(logon.IncludeChildSites),
        // Zero would be the library's own default.
        TimeoutSeconds = logon.HasTimeout ? (uint)Math.Max(1, Math.Ceiling(timeout.TotalSeconds)) : NoTimeout,
    };

    private static TelemetryStatus Call(
        delegate* unmanaged[Cdecl]<ulong, NativeLogon*, NativeServer*, int> function,
        ulong connection,
        ref NativeLogon logon,
        string address,
        out VmsServer server)
    {
        fixed (byte* addressText = Utf8(address))
        fixed (NativeLogon* info = &logon)
        {
            info->ServerAddress = addressText;
            var answer = new NativeServer { Size = (uint)sizeof(NativeServer) };
            var status = (TelemetryStatus)function(connection, info, &answer);
            server = new VmsServer(
                Text(answer.Address),
                answer.EncryptionEnabled == True,
                Text(answer.TokenEndpoint),
                Id(Text(answer.SiteId)),
                Text(answer.SiteName),
                Text(answer.ProductName),
                Text(answer.ProductVersion),
                answer.ChildSites,
                Text(answer.Gateway),
                Text(answer.TlsVersion));
            return status;
        }
    }

    /// <summary>Reads a buffer of a struct; the native library ends each with a NUL.</summary>
    private static string Text(byte* buffer)
    {
        var length = 0;
        while (buffer[length] != 0)
        {
            length++;
        }

        return Encoding.UTF8.GetString(buffer, length);
    }

    private static Guid Id(string text) => Guid.TryParse(text, out var id) ? id : Guid.Empty;

    private static string Read(Func<IntPtr, UIntPtr, IntPtr, int> read)
    {
        var usual = stackalloc byte[UsualText];
        var status = Read(read, usual, UsualText, out var length);
        // The text may have grown between two calls.
        while (status == TelemetryStatus.BufferTooSmall)
        {
            var larger = new byte[length + 1];
            fixed (byte* buffer = larger)
            {
                status = Read(read, buffer, larger.Length, out length);
                if (status == TelemetryStatus.Ok)
                {
                    return Encoding.UTF8.GetString(buffer, length);
                }
            }
        }

        return status == TelemetryStatus.Ok ? Encoding.UTF8.GetString(usual, length) : "";
    }

    private static TelemetryStatus Read(
        Func<IntPtr, UIntPtr, IntPtr, int> read,
        byte* buffer,
        int capacity,
        out int length)
    {
        UIntPtr written;
        var status = read((IntPtr)buffer, (UIntPtr)capacity, (IntPtr)(&written));
        length = (int)written;
        return (TelemetryStatus)status;
    }
}
