using System;

namespace Vms.Telemetry;

/// <summary>A step on the way to Application Insights, from <see cref="TelemetrySession.TestEndpoint"/>.</summary>
public sealed class TelemetryEndpointStep
{
    internal TelemetryEndpointStep(string line)
    {
        var parts = line.Split('\t');
        Step = parts[0];
        Ok = parts[1] switch { "ok" => true, "failed" => false, _ => null };
        Duration = TimeSpan.FromMilliseconds(int.TryParse(parts[2], out var milliseconds) ? milliseconds : 0);
        Detail = parts[3];
        Advice = parts[4];
    }

    /// <summary>Gets the name of the step: Name, Proxy, Connection, Certificate or Answer.</summary>
    public string Step { get; }

    /// <summary>Gets whether it succeeded. Null if it was not tried, as an earlier step failed.</summary>
    public bool? Ok { get; }

    /// <summary>Gets how long it took. The certificate is checked as part of the answer.</summary>
    public TimeSpan Duration { get; }

    /// <summary>Gets what happened.</summary>
    public string Detail { get; }

    /// <summary>Gets what to do. Empty if all is well.</summary>
    public string Advice { get; }

    /// <inheritdoc/>
    public override string ToString() => Step + ": " + Detail;
}
