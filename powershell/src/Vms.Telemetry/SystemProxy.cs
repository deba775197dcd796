using System;
using System.Net;
using System.Threading;

namespace Vms.Telemetry;

/// <summary>
/// Hands the proxy of Windows to the native library, once in a process and off the caller's thread: finding it may
/// need the network. Elsewhere the environment is the system's answer, and the native library reads that itself.
/// </summary>
internal static class SystemProxy
{
    /// <summary>The address to find a proxy for, if no connection string names one: any host of the service.</summary>
    private const string UsualEndpoint = "https://dc.services.visualstudio.com/";

    private static int s_asked;
    private static volatile string? s_problem;

    /// <summary>Gets whether the system, not the environment, says which proxy to use.</summary>
    internal static bool IsNeeded => NativeLibraryLoader.IsWindows;

    /// <summary>Gets why the proxy could not be found, so that nothing is sent. Null if nothing failed.</summary>
    internal static string? Problem => s_problem;

    /// <summary>Starts looking for the proxy unless that was done already. Called only if telemetry is on.</summary>
    /// <param name="connectionString">The host's connection string.</param>
    internal static void Announce(string? connectionString)
    {
        if (IsNeeded && Interlocked.Exchange(ref s_asked, 1) == 0)
        {
            ThreadPool.QueueUserWorkItem(_ =>
            {
                if (NativeMethods.Bind(out var _) is { } native)
                {
                    Find(native, connectionString);
                }
            });
        }
    }

    /// <summary>Looks for the proxy now, in the calling thread.</summary>
    internal static void Find(NativeMethods native, string? connectionString)
    {
        if (!IsNeeded)
        {
            return;
        }

        try
        {
            var endpoint = new Uri(Endpoint(connectionString) ?? UsualEndpoint);
            var proxy = WebRequest.DefaultWebProxy;
            var address = proxy is null || proxy.IsBypassed(endpoint) ? null : proxy.GetProxy(endpoint);
            var isDirect = address is null || address == endpoint;
            native.SetConfig(proxy: isDirect ? "" : address!.GetLeftPart(UriPartial.Authority));
        }
        catch (Exception exception)
        {
            s_problem = "the proxy of the system cannot be found, so nothing is sent: " + exception.Message;
        }
    }

    /// <summary>Returns the address in the connection string that applies. The environment takes precedence.</summary>
    private static string? Endpoint(string? connectionString) =>
        // Windows compares the names of variables without case.
        ConnectionString.Endpoint(Environment.GetEnvironmentVariable("VMS_ApplicationInsights__ConnectionString") ?? connectionString);
}
