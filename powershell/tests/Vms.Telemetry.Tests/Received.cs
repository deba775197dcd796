using System.Collections.Generic;
using System.Linq;
using System.Text.Json;

namespace Vms.Telemetry.Tests;

/// <summary>An event as the collector took it off the wire.</summary>
internal sealed class Received
{
    internal Received(string line)
    {
        using var document = JsonDocument.Parse(line);
        var root = document.RootElement.Clone();
        Accepted = root.GetProperty("accepted").GetBoolean();
        Envelope = root.GetProperty("envelope");
    }

    internal bool Accepted { get; }

    internal JsonElement Envelope { get; }

    internal string Name => Data.GetProperty("name").GetString()!;

    internal Dictionary<string, string> Tags => Texts(Envelope.GetProperty("tags"));

    internal Dictionary<string, string> Properties => Texts(Data.GetProperty("properties"));

    internal Dictionary<string, double> Measurements => Data.TryGetProperty("measurements", out var measurements)
        ? measurements.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.GetDouble())
        : [];

    private JsonElement Data => Envelope.GetProperty("data").GetProperty("baseData");

    private static Dictionary<string, string> Texts(JsonElement members) =>
        members.EnumerateObject().ToDictionary(member => member.Name, member => member.Value.GetString()!);
}
