using System;
using System.Text;

namespace Vms.Telemetry;

/// <summary>
/// The native library's exports as function pointers, and text on its way in and out. Text that goes in is pinned as
/// UTF-8 with a NUL for one call.
/// </summary>
internal sealed unsafe class NativeMethods
{
    internal const uint Unset = 0;
    internal const uint False = 1;
    internal const uint True = 2;

    /// <summary>Enough for every text but the longest paths.</summary>
    private const int UsualText = 512;

    private static readonly object s_gate = new();
    private static NativeMethods? s_loaded;

    private readonly delegate* unmanaged[Cdecl]<NativeSessionInfo*, int> _initSession;
    private readonly delegate* unmanaged[Cdecl]<NativeConnectionInfo*, ulong*, int> _onConnect;
    private readonly delegate* unmanaged[Cdecl]<ulong, int> _onDisconnect;
    private readonly delegate* unmanaged[Cdecl]<NativeConfigChange*, int> _setConfig;
    private readonly delegate* unmanaged[Cdecl]<NativeConfig*, int> _getConfig;
    private readonly delegate* unmanaged[Cdecl]<uint, byte*, UIntPtr, UIntPtr*, int> _getText;
    private readonly delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int> _lastError;

    private NativeMethods(IntPtr library, ref string problem)
    {
        _initSession =
            (delegate* unmanaged[Cdecl]<NativeSessionInfo*, int>)Find(library, "init_session", ref problem);
        _onConnect =
            (delegate* unmanaged[Cdecl]<NativeConnectionInfo*, ulong*, int>)Find(library, "on_connect", ref problem);
        _onDisconnect = (delegate* unmanaged[Cdecl]<ulong, int>)Find(library, "on_disconnect", ref problem);
        _setConfig = (delegate* unmanaged[Cdecl]<NativeConfigChange*, int>)Find(library, "set_config", ref problem);
        _getConfig = (delegate* unmanaged[Cdecl]<NativeConfig*, int>)Find(library, "get_config", ref problem);
        _getText =
            (delegate* unmanaged[Cdecl]<uint, byte*, UIntPtr, UIntPtr*, int>)Find(library, "get_text", ref problem);
        _lastError =
            (delegate* unmanaged[Cdecl]<byte*, UIntPtr, UIntPtr*, int>)Find(library, "last_error", ref problem);
    }

    /// <summary>Loads the library, once in a process.</summary>
    /// <param name="problem">Why there is none.</param>
    internal static NativeMethods? Load(out string problem)
    {
        lock (s_gate)
        {
            problem = "";
            if (s_loaded is null)
            {
                var library = NativeLibraryLoader.Load(out problem);
                if (library != IntPtr.Zero)
                {
                    var methods = new NativeMethods(library, ref problem);
                    s_loaded = problem.Length == 0 ? methods : null;
                }
            }

            return s_loaded;
        }
    }

    /// <summary>Gives a text as UTF-8 with a NUL at its end; null stays null, which `fixed` turns into NULL.</summary>
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

    internal TelemetryStatus InitSession(
        TelemetryOptions options,
        string framework,
        string system,
        string[] environment,
        bool namesProxy)
    {
        // All entries in one block, each with its NUL, and a NULL pointer behind the pointers to them.
        var block = Utf8(string.Join("\0", environment))!;
        var pointers = new byte*[environment.Length + 1];
        fixed (byte* entries = block, version = Utf8(options.AssemblyVersion), frameworkText = Utf8(framework))
        fixed (byte* systemText = Utf8(system), connection = Utf8(options.ConnectionString))
        fixed (byte** first = pointers)
        {
            var entry = entries;
            for (var index = 0; index < environment.Length; index++)
            {
                first[index] = entry;
                while (*entry++ != 0)
                {
                }
            }

            var info = new NativeSessionInfo
            {
                Size = (uint)sizeof(NativeSessionInfo),
                NamesProxy = Truth(namesProxy),
                AssemblyVersion = version,
                FrameworkDescription = frameworkText,
                OSDescription = systemText,
                ConnectionString = connection,
                Environment = first,
            };
            return (TelemetryStatus)_initSession(&info);
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

    internal TelemetryStatus OnDisconnect(ulong connection) => (TelemetryStatus)_onDisconnect(connection);

    internal TelemetryStatus SetConfig(bool? enableTelemetry, bool? logTelemetry, string? proxy)
    {
        fixed (byte* proxyText = Utf8(proxy))
        {
            var change = new NativeConfigChange
            {
                Size = (uint)sizeof(NativeConfigChange),
                EnableTelemetry = Truth(enableTelemetry),
                LogTelemetry = Truth(logTelemetry),
                Proxy = proxyText,
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

    internal string GetText(NativeText which) => Read(which);

    /// <summary>Gives the message of the last call of this thread that returned an error.</summary>
    internal string LastError() => Read(null);

    private static IntPtr Find(IntPtr library, string name, ref string problem)
    {
        var function = NativeLibraryLoader.FindExport(library, name);
        if (function == IntPtr.Zero && problem.Length == 0)
        {
            problem = "the native telemetry library has no function " + name + ": it is of another version";
        }

        return function;
    }

    private string Read(NativeText? which)
    {
        var usual = stackalloc byte[UsualText];
        var status = Read(which, usual, UsualText, out var length);
        // The text may have grown between two calls.
        while (status == TelemetryStatus.BufferTooSmall)
        {
            var larger = new byte[length + 1];
            fixed (byte* buffer = larger)
            {
                status = Read(which, buffer, larger.Length, out length);
                if (status == TelemetryStatus.Ok)
                {
                    return Encoding.UTF8.GetString(buffer, length);
                }
            }
        }

        return status == TelemetryStatus.Ok ? Encoding.UTF8.GetString(usual, length) : "";
    }

    private TelemetryStatus Read(NativeText? which, byte* buffer, int capacity, out int length)
    {
        UIntPtr written;
        var status = which is { } text
            ? _getText((uint)text, buffer, (UIntPtr)capacity, &written)
            : _lastError(buffer, (UIntPtr)capacity, &written);
        length = (int)written;
        return (TelemetryStatus)status;
    }
}
