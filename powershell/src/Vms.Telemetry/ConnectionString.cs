using System;

namespace Vms.Telemetry;

/// <summary>Reads a connection string of Application Insights. The native library decides whether it can be used.</summary>
internal static class ConnectionString
{
    /// <summary>Returns the endpoint that a connection string names. Null if it names none.</summary>
    internal static string? Endpoint(string? connectionString)
    {
        const string Name = "IngestionEndpoint=";
        foreach (var part in (connectionString ?? "").Split(';'))
        {
            var pair = part.Trim();
            if (pair.StartsWith(Name, StringComparison.OrdinalIgnoreCase))
            {
                return pair.Substring(Name.Length);
            }
        }

        return null;
    }

    /// <summary>Returns the host of that endpoint, with a port that is not the usual one. Empty if there is none.</summary>
    internal static string Host(string connectionString) =>
        Uri.TryCreate(Endpoint(connectionString), UriKind.Absolute, out var address) ? address.Authority : "";
}
