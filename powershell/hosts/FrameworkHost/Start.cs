using System;
using System.Reflection;

namespace LibraryHost;

/// <summary>Starts the program of LibraryHost.</summary>
internal static class Start
{
    /// <summary>An assembly whose only types Mono has in mscorlib; it takes no file of that name.</summary>
    private const string InMscorlib = "System.Runtime.InteropServices.RuntimeInformation";

    private static int Main(string[] arguments)
    {
        AppDomain.CurrentDomain.AssemblyResolve += (_, wanted) =>
            new AssemblyName(wanted.Name).Name == InMscorlib ? typeof(object).Assembly : null;
        return Program.Main(arguments);
    }
}
