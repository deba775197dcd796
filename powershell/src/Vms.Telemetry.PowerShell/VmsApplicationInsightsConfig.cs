namespace Vms.Telemetry.PowerShell;

/// <summary>The part of the configuration that MilestonePSTools names so. Set-VmsModuleConfig takes it with its changes.</summary>
public sealed class VmsApplicationInsightsConfig
{
    internal VmsApplicationInsightsConfig(bool enabled, bool includeInLogs, string connectionString)
    {
        Enabled = enabled;
        IncludeInLogs = includeInLogs;
        ConnectionString = connectionString;
    }

    /// <summary>Gets or sets whether events are recorded and sent.</summary>
    public bool Enabled { get; set; }

    /// <summary>Gets or sets whether events are written to the telemetry log.</summary>
    public bool IncludeInLogs { get; set; }

    /// <summary>Gets or sets the connection string. Another one cannot be stored here.</summary>
    public string ConnectionString { get; set; }

    /// <inheritdoc/>
    public override string ToString() => "Enabled=" + Enabled + ", IncludeInLogs=" + IncludeInLogs;
}
