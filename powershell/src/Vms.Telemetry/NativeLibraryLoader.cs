using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.IO;
using System.Runtime.InteropServices;

namespace Vms.Telemetry;

/// <summary>
/// Finds the native library near this assembly and loads it by its full path, for good: it is never unloaded.
/// </summary>
/// <remarks>
/// Looking the exports up by hand works on .NET, .NET Framework and Mono alike; an import by the library's name does
/// not, as each of them probes other folders.
/// </remarks>
internal static unsafe class NativeLibraryLoader
{
    /// <summary>LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS.</summary>
    private const uint SearchFlags = 0x100 | 0x1000;

    /// <summary>RTLD_NOW: a library that lacks something fails here, not in the middle of a call.</summary>
    private const int RtldNow = 2;

    /// <summary>GET_MODULE_HANDLE_EX_FLAG_PIN.</summary>
    private const uint PinModule = 1;

    private const string WindowsFile = "vms_telemetry.dll";
    private const string LinuxFile = "libvms_telemetry.so";

    /// <summary>Whether libc has another name than in glibc, which .NET finds.</summary>
    private static bool s_hasOtherLibc;

    /// <summary>Gets whether this is Windows, also where the framework is Mono.</summary>
    internal static bool IsWindows => Path.DirectorySeparatorChar == '\\';

    /// <summary>
    /// Finds a copy of the library that the process has already, for example because two modules ship it: they share one
    /// session. Outside Windows, looking for a file by its bare name would search the folders of the system, so whoever loads a
    /// copy says so to the others.
    /// </summary>
    /// <returns>A handle for <see cref="FindExport"/>, or zero.</returns>
    internal static IntPtr FindLoaded()
    {
        if (!IsWindows)
        {
            return AppDomain.CurrentDomain.GetData(LinuxFile) is IntPtr loaded ? loaded : IntPtr.Zero;
        }

        fixed (char* name = WindowsFile)
        {
            return GetModuleHandleExW(PinModule, name, out var module) ? module : IntPtr.Zero;
        }
    }

    /// <summary>Loads the library.</summary>
    /// <param name="problem">Why it could not be loaded: the files that were tried, the system's reasons, and what to do.</param>
    /// <returns>A handle for <see cref="FindExport"/>, or zero.</returns>
    internal static IntPtr Load(out string problem)
    {
        // An import takes this path, so it has few methods: each is compiled in each process.
        var location = typeof(NativeLibraryLoader).Assembly.Location;
        var folder = location.Length > 0 ? Path.GetDirectoryName(location)! : AppContext.BaseDirectory;
        var usual = Path.Combine(folder, IsWindows ? "win-x64" : "linux-x64", IsWindows ? WindowsFile : LinuxFile);
        var library = RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64 && File.Exists(usual)
            ? Open(usual, out _)
            : IntPtr.Zero;
        problem = "";
        if (library == IntPtr.Zero)
        {
            library = Search(folder, location.Length > 0, out problem);
        }

        if (library != IntPtr.Zero)
        {
            AppDomain.CurrentDomain.SetData(LinuxFile, library);
        }

        return library;
    }

    /// <summary>Tries all places.</summary>
    private static IntPtr Search(string folder, bool isInFile, out string problem)
    {
        var (system, file) = IsWindows ? ("win", WindowsFile)
            : RuntimeInformation.IsOSPlatform(OSPlatform.OSX) ? ("osx", "libvms_telemetry.dylib")
            : ("linux", LinuxFile);
        var rid = system + "-" + Architecture();
        List<string> candidates =
        [
            Path.Combine(folder, rid, file),
            Path.Combine(folder, "runtimes", rid, "native", file),
            Path.Combine(folder, file),
        ];
        if (!isInFile)
        {
            candidates.AddRange(Extracted(file));
        }

        var reasons = "";
        foreach (var candidate in candidates)
        {
            if (!File.Exists(candidate))
            {
                reasons += "; no file " + candidate;
                continue;
            }

            var library = Open(candidate, out var error);
            if (library != IntPtr.Zero)
            {
                problem = "";
                return library;
            }

            reasons += "; " + candidate + ": " + error;
        }

        problem = "the native telemetry library cannot be loaded"
            + (isInFile ? "" : " (the assembly was loaded from memory, so the library is searched for beside the program)")
            + reasons + Advice(reasons);
        return IntPtr.Zero;
    }

    /// <summary>Finds an exported function.</summary>
    /// <param name="library">A handle that <see cref="Load"/> gave.</param>
    /// <param name="name">The function's name.</param>
    /// <returns>Its address, or zero.</returns>
    internal static IntPtr FindExport(IntPtr library, string name)
    {
        fixed (byte* text = NativeMethods.Utf8(name))
        {
            return IsWindows ? GetProcAddress(library, text)
                : s_hasOtherLibc ? LibcSym(library, text)
                : GlibcSym(library, text);
        }
    }

    /// <summary>Returns where a program in a single file extracts its native libraries to when it starts.</summary>
    private static IEnumerable<string> Extracted(string file)
    {
        var folders = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        foreach (var folder in folders.Split([Path.PathSeparator], StringSplitOptions.RemoveEmptyEntries))
        {
            yield return Path.Combine(folder, file);
        }
    }

    /// <summary>Returns what to do about the reasons, as a sentence without its full stop.</summary>
    private static string Advice(string reasons) =>
        // What the dynamic linkers of glibc and musl say if a page of the file may not be executed.
        Has(reasons, "failed to map segment") || Has(reasons, "Operation not permitted")
            ? ". Its file system may be mounted with the option noexec: move it to one that is not, or have the option removed"
        : Has(reasons, "GLIBC_") ? ". Linux with glibc 2.34 or later is needed"
        : ". Install the module again, or publish the program again";

    private static bool Has(string text, string part) => text.IndexOf(part, StringComparison.Ordinal) >= 0;

    private static string Architecture() => RuntimeInformation.ProcessArchitecture switch
    {
        System.Runtime.InteropServices.Architecture.X64 => "x64",
        System.Runtime.InteropServices.Architecture.X86 => "x86",
        System.Runtime.InteropServices.Architecture.Arm64 => "arm64",
        System.Runtime.InteropServices.Architecture.Arm => "arm",
        var other => other.ToString(),
    };

    private static IntPtr Open(string path, out string error)
    {
        error = "";
        IntPtr library;
        if (IsWindows)
        {
            fixed (char* text = path)
            {
                library = LoadLibraryExW(text, IntPtr.Zero, SearchFlags);
            }

            if (library == IntPtr.Zero)
            {
                var code = Marshal.GetLastWin32Error();
                error = new Win32Exception(code).Message + " (" + code + ")";
            }

            return library;
        }

        library = OpenShared(path);
        if (library == IntPtr.Zero)
        {
            // At its first call, .NET looks dlerror up in a way that clears the reason. So the file is opened once more.
            LinkerError();
            library = OpenShared(path);
            error = Marshal.PtrToStringAnsi(LinkerError()) ?? "no reason given";
        }

        return library;
    }

    private static IntPtr OpenShared(string path)
    {
        fixed (byte* text = NativeMethods.Utf8(path))
        {
            try
            {
                return s_hasOtherLibc ? LibcOpen(text, RtldNow) : GlibcOpen(text, RtldNow);
            }
            catch (DllNotFoundException) when (!s_hasOtherLibc)
            {
                s_hasOtherLibc = true;
                return LibcOpen(text, RtldNow);
            }
        }
    }

    private static IntPtr LinkerError() => s_hasOtherLibc ? LibcError() : GlibcError();

    [DllImport("kernel32", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static extern bool GetModuleHandleExW(uint flags, char* name, out IntPtr module);

    [DllImport("kernel32", ExactSpelling = true, SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern IntPtr LoadLibraryExW(char* path, IntPtr reserved, uint flags);

    [DllImport("kernel32", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern IntPtr GetProcAddress(IntPtr library, byte* name);

    [DllImport("libc.so.6", EntryPoint = "dlopen", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr GlibcOpen(byte* path, int flags);

    [DllImport("libc.so.6", EntryPoint = "dlsym", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr GlibcSym(IntPtr library, byte* name);

    [DllImport("libc.so.6", EntryPoint = "dlerror", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr GlibcError();

    [DllImport("libc", EntryPoint = "dlopen", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcOpen(byte* path, int flags);

    [DllImport("libc", EntryPoint = "dlsym", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcSym(IntPtr library, byte* name);

    [DllImport("libc", EntryPoint = "dlerror", ExactSpelling = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern IntPtr LibcError();
}
