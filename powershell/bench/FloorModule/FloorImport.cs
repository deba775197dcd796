using System;
using System.Diagnostics;
using System.Management.Automation;
using System.Runtime.InteropServices;
using System.Text;

namespace FloorModule;

/// <summary>Records NewSession, and nothing else.</summary>
public sealed unsafe class FloorImport : IModuleAssemblyInitializer
{
    /// <summary>The head of VmsSessionInfo; the rest stays NULL.</summary>
    private struct SessionInfo
    {
        internal ulong Size;
        internal byte* AssemblyVersion;
        internal fixed ulong Rest[5];
    }

    /// <summary>Gets what opening the library, finding its export and the session took, in milliseconds.</summary>
    public static double[] Parts { get; private set; } = [];

    /// <inheritdoc/>
    public void OnImport()
    {
        fixed (byte* path = Text(Environment.GetEnvironmentVariable("VMS_BENCH_LIBRARY")!))
        fixed (byte* name = Text("init_session"), version = Text("1.0.0"))
        {
            var info = new SessionInfo { Size = (ulong)sizeof(SessionInfo), AssemblyVersion = version };
            var start = Stopwatch.GetTimestamp();
            var library = LibcOpen(path, 2);
            var opened = Stopwatch.GetTimestamp();
            var initSession = (delegate* unmanaged[Cdecl]<SessionInfo*, int>)LibcSym(library, name);
            var found = Stopwatch.GetTimestamp();
            initSession(&info);
            Parts = [Milliseconds(opened - start), Milliseconds(found - opened), Milliseconds(Stopwatch.GetTimestamp() - found)];
        }
    }

    private static double Milliseconds(long ticks) => ticks * 1000.0 / Stopwatch.Frequency;

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + "\0");

    [DllImport("libc.so.6", EntryPoint = "dlopen", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcOpen(byte* path, int flags);

    [DllImport("libc.so.6", EntryPoint = "dlsym", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcSym(IntPtr library, byte* name);
}
