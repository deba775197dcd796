using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>The envelope beside the one that Microsoft's own SDK 2.22 sends for the same event.</summary>
public sealed class PeerTests
{
    private static readonly string[] s_ids = ["ai.session.id", "ai.user.id", "uuid", "SessionId"];

    [Fact]
    public async Task S1_E2_E5_NewSession_has_the_envelope_of_Microsofts_SDK()
    {
        using var peers = new Sandbox();
        peers.Environment["VMS_PEER_VERSION"] = Product.Version;
        var result = await peers.Script(
            $$"""
            Import-Module '{{Given.Peer}}'
            [PeerModule.PeerImport]::Version
            [PeerModule.PeerImport]::Flush()
            """);
        Assert.StartsWith("2.22.", Assert.Single(result.Quiet().Lines), StringComparison.Ordinal);
        var peer = Assert.Single(await peers.Received(1)).Envelope;
        using var sandbox = new Sandbox();
        var (_, events) = await sandbox.ScriptWithEvents("Import-Module VmsTelemetry", 1);
        var own = Assert.Single(events).Envelope;

        Assert.Equal(Names(peer), Names(own));
        Assert.Equal(Text(peer, "name"), Text(own, "name"));
        Assert.Equal((peers.Key.ToString(), sandbox.Key.ToString()), (Text(peer, "iKey"), Text(own, "iKey")));
        Assert.Equal(Form(Text(peer, "time")), Form(Text(own, "time")));

        // The service takes the place from the source address where no item names one, as the peer does.
        Assert.Equal("0.0.0.0", Text(peer.GetProperty("tags"), "ai.location.ip"));
        Assert.Equal(Names(peer.GetProperty("tags")).Except(["ai.location.ip"]), Names(own.GetProperty("tags")));
        HasTheValues(peer.GetProperty("tags"), own.GetProperty("tags"), [.. s_ids, "ai.internal.sdkVersion"]);

        (peer, own) = (peer.GetProperty("data"), own.GetProperty("data"));
        Assert.Equal(Names(peer), Names(own));
        Assert.Equal(Text(peer, "baseType"), Text(own, "baseType"));

        (peer, own) = (peer.GetProperty("baseData"), own.GetProperty("baseData"));
        Assert.Equal(Names(peer), Names(own));
        Assert.Equal(peer.GetProperty("ver").GetRawText(), own.GetProperty("ver").GetRawText());
        Assert.Equal(Text(peer, "name"), Text(own, "name"));

        // The SDK keeps these in a hash table: they have no order.
        foreach (var group in new[] { "properties", "measurements" })
        {
            Assert.Equal(Names(peer.GetProperty(group)).Order(), Names(own.GetProperty(group)).Order());
            HasTheValues(peer.GetProperty(group), own.GetProperty(group), [.. s_ids, "PrivateBytes"]);
        }
    }

    /// <summary>Insists on the peer's values in the same JSON types; of some only the type and the form count.</summary>
    private static void HasTheValues(JsonElement peer, JsonElement own, string[] formOnly)
    {
        foreach (var member in own.EnumerateObject())
        {
            var (expected, actual) = (peer.GetProperty(member.Name), member.Value);
            Assert.Equal((member.Name, expected.ValueKind), (member.Name, actual.ValueKind));
            if (s_ids.Contains(member.Name))
            {
                Assert.Equal(expected.GetGuid().ToString().Length, actual.GetString()!.Length);
                Assert.Equal(actual.GetGuid().ToString(), actual.GetString());
            }
            else if (!formOnly.Contains(member.Name))
            {
                Assert.Equal((member.Name, expected.ToString()), (member.Name, actual.ToString()));
            }
        }
    }

    private static IEnumerable<string> Names(JsonElement members) =>
        members.EnumerateObject().Select(member => member.Name);

    private static string Text(JsonElement members, string name) => members.GetProperty(name).GetString()!;

    private static string Form(string time) => Regex.Replace(time, "[0-9]", "0");
}
