using System.Runtime.InteropServices;

namespace Vms.Telemetry;

// The structs of include/vms_telemetry.h, member for member. All is blittable: integers, pointers and fixed buffers.

/// <summary>VmsSessionInfo.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeSessionInfo
{
    internal uint Size;
    internal uint NamesProxy;
    internal byte* AssemblyVersion;
    internal byte* FrameworkDescription;
    internal byte* OSDescription;
    internal byte* ConnectionString;
    internal byte** Environment;
    internal uint HoldSeconds;
}

/// <summary>VmsCount.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeCount
{
    internal uint Known;
    internal uint Value;

    public static implicit operator NativeCount(uint? count) =>
        new() { Known = count is null ? NativeMethods.Unset : NativeMethods.True, Value = count.GetValueOrDefault() };
}

/// <summary>VmsConnectionInfo.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeConnectionInfo
{
    internal uint Size;
    internal uint UserType;
    internal uint IsOAuthConnection;
    internal uint EncryptionEnabled;
    internal uint UsageDataPolicy;
    internal uint Reserved;
    internal byte* SiteId;
    internal byte* ProductVersion;
    internal byte* ProductName;
    internal NativeCount ChildSites;
    internal NativeCount Recorders;
    internal NativeCount HardwareCount;
    internal NativeCount CameraCount;
    internal NativeCount MicrophoneCount;
    internal NativeCount SpeakerCount;
    internal NativeCount MetadataCount;
    internal NativeCount InputCount;
    internal NativeCount OutputCount;
}

/// <summary>VmsConfigChange.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeConfigChange
{
    internal uint Size;
    internal TelemetryChoice EnableTelemetry;
    internal TelemetryChoice LogTelemetry;
    internal uint HoldSending;
    internal byte* Proxy;
    internal uint ThisSessionOnly;
}

/// <summary>VmsConfig.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeConfig
{
    internal uint Size;
    internal uint TelemetryEnabled;
    internal uint TelemetryLayer;
    internal uint LogTelemetry;
    internal uint LogLayer;
    internal uint PendingEvents;
}

/// <summary>VmsLogon.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeLogon
{
    internal uint Size;
    internal uint UserType;
    internal uint SecureOnly;
    internal uint SkipCertificateCheck;
    internal uint IncludeChildSites;
    internal uint TimeoutSeconds;
    internal byte* ServerAddress;
    internal byte* UserName;
    internal byte* Password;
    internal byte* AccessToken;
    internal ulong Replaces;
}

/// <summary>VmsSite.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeSite
{
    internal uint Size;
    internal uint Reserved;
    internal fixed byte Id[40];
    internal fixed byte Version[136];
    internal fixed byte Name[1032];
}

/// <summary>VmsServer.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeServer
{
    internal uint Size;
    internal uint EncryptionEnabled;
    internal uint ChildSites;
    internal uint Reserved;
    internal fixed byte Address[280];
    internal fixed byte TokenEndpoint[1032];
    internal fixed byte ProductName[1032];
    internal fixed byte SiteId[40];
    internal fixed byte SiteName[1032];
    internal fixed byte ProductVersion[136];
    internal fixed byte Gateway[280];
    internal fixed byte TlsVersion[16];
}

/// <summary>VmsConnectionState.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeConnectionState
{
    internal uint Size;
    internal uint Counting;
    internal UsageDataPolicy UsageDataPolicy;
    internal uint Reported;
    internal uint ItemsCounted;
}
