using System;
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

    /// <inheritdoc/>
    public void OnImport()
    {
        fixed (byte* path = Text(Environment.GetEnvironmentVariable("VMS_BENCH_LIBRARY")!))
        fixed (byte* name = Text("init_session"), version = Text("1.0.0"))
        {
            var info = new SessionInfo { Size = (ulong)sizeof(SessionInfo), AssemblyVersion = version };
            ((delegate* unmanaged[Cdecl]<SessionInfo*, int>)LibcSym(LibcOpen(path, 2), name))(&info);
        }
    }

    private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + "\0");

    [DllImport("libc", EntryPoint = "dlopen", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcOpen(byte* path, int flags);

    [DllImport("libc", EntryPoint = "dlsym", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcSym(IntPtr library, byte* name);
}
