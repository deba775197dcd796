using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Section 2 of the contract, and the ids: what each event holds, member by member.</summary>
public sealed class EventTests
{
    private const string Import = "Import-Module VmsTelemetry";

    [Fact]
    public async Task E2_E5_I1_I2_the_three_events_hold_the_facts_and_nothing_else()
    {
        using var sandbox = new Sandbox();
        var failure = new { answer = new { status = 500, contentType = "text/plain", body = "" } };
        using var vms = await DemoVms.Start(sandbox, new
        {
            site = DemoVms.Site(Sample.Site.ToUpperInvariant(), "XProtect Corporate 2025 R1 é"),
            faults = new[] { DemoVms.Fault("/api/rest/v1/speakers", failure) },
        });
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Import}}
            $connection = {{vms.ConnectWithToken}}
            "$($connection.UserType) $($connection.Version) $($connection.ConnectedSince.GetType().Name)"
            {{DemoVms.Counted}}
            Disconnect-Vms
            "Session=$((Get-VmsModuleConfig).SessionId)"
            """,
            3);

        Assert.Equal("OAuthUser 25.1.1804.0 DateTimeOffset", result.Quiet().Lines[0]);
        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], events.Select(sent => sent.Name));
        var session = result.Values["Session"];
        var user = Id(sandbox, "telemetry.uuid");
        var site = Id(sandbox, $"site-{Sample.Site}.uuid");
        Assert.NotEqual(Sample.Site, site);
        Assert.All(events, sent => HasTheEnvelope(sent, sandbox, session, user));

        Assert.Equal(
            new Dictionary<string, string>
            {
                ["uuid"] = user,
                ["UserType"] = "OAuthUser",
                ["IsOAuthConnection"] = "True",
                ["EncryptionEnabled"] = "False",
                ["SessionId"] = session,
                ["ProductVersion"] = "25.1.1804.0",
                ["ProductName"] = "XProtect Corporate 2025 R1 é",
                ["AssemblyVersion"] = Product.Version,
                ["SiteId"] = site,
            },
            events[1].Properties);
        Assert.Equal(
            vms.Counts.Where(count => count.Key != "SpeakerCount").OrderBy(count => count.Key),
            events[1].Measurements.OrderBy(count => count.Key));

        Assert.Equal(
            new Dictionary<string, string> { ["uuid"] = user, ["SessionId"] = session, ["SiteId"] = site },
            events[2].Properties);
        Assert.Equal(["ConnectionDuration", "PrivateBytes"], events[2].Measurements.Keys.Order());
        Assert.InRange(events[2].Measurements["ConnectionDuration"], 0, 90);
        Assert.InRange(events[2].Measurements["PrivateBytes"], 1 << 20, 1L << 40);
    }

    [Fact]
    public async Task I2_ids_of_others_are_kept()
    {
        using var sandbox = new Sandbox();
        var (user, site) = (Guid.NewGuid(), Guid.NewGuid());
        Directory.CreateDirectory(sandbox.DataFolder);
        await File.WriteAllBytesAsync(
            Path.Combine(sandbox.DataFolder, "telemetry.uuid"),
            user.ToByteArray(),
            TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(
            Path.Combine(sandbox.DataFolder, $"site-{Sample.Site}.uuid"),
            site.ToByteArray(),
            TestContext.Current.CancellationToken);

        using var vms = await DemoVms.Start(sandbox);
        var (_, events) = await sandbox.ScriptWithEvents($"{Import}; [void]({vms.Connect})", 2);

        Assert.All(events, sent => Assert.Equal(user.ToString(), sent.Properties["uuid"]));
        Assert.Equal(site.ToString(), events[1].Properties["SiteId"]);
    }

    [Theory]
    [InlineData("exit")]
    [InlineData("Remove-Module VmsTelemetry")]
    public async Task E3_a_connection_that_is_not_closed_sends_no_CloseVmsSession(string end)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        using (var child = sandbox.StartScript(
            $"{Import}; [void]({vms.Connect}); {Child.Wait}; {Child.Settle}; {end}"))
        {
            await sandbox.Received(2);
            child.GoOn();
            (await child.End()).Quiet();
        }

        Assert.Empty(sandbox.Spooled);
        Assert.Equal(["NewSession", "NewVmsSession"], (await sandbox.Received(0)).Select(sent => sent.Name));
    }

    [Fact]
    public async Task E4_a_further_connection_closes_the_open_one_first()
    {
        using var sandbox = new Sandbox();
        using var one = await DemoVms.Start(sandbox);
        using var other = await DemoVms.Start(sandbox, new { site = DemoVms.Site(Sample.OtherSite) });
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Import}}
            $first = {{one.Connect}}
            {{DemoVms.Counted}}
            try { Connect-Vms 'two words' } catch { "$($first.IsOpen)" }
            [void]({{other.Connect}})
            "$($first.IsOpen)"
            {{DemoVms.Counted}}
            try { Connect-Vms {{other.Address}} -AccessToken {{DemoVms.Secure("wrong")}} } catch { "$(Get-VmsConnection)" }
            Disconnect-Vms
            Disconnect-Vms
            """,
            5);

        // An address that cannot be used leaves the open connection alone; a logon that fails does not.
        Assert.Equal(["True", "False", ""], result.Output.ReplaceLineEndings("\n").Split('\n')[..3]);
        Assert.Equal(
            ["NewSession", "NewVmsSession", "CloseVmsSession", "NewVmsSession", "CloseVmsSession"],
            events.Select(sent => sent.Name));
        var (first, second) = (Id(sandbox, $"site-{Sample.Site}.uuid"), Id(sandbox, $"site-{Sample.OtherSite}.uuid"));
        Assert.Equal([first, first, second, second], events.Skip(1).Select(sent => sent.Properties["SiteId"]));
    }

    private static string Id(Sandbox sandbox, string file) =>
        new Guid(File.ReadAllBytes(Path.Combine(sandbox.DataFolder, file))).ToString();

    private static void HasTheEnvelope(Received sent, Sandbox sandbox, string session, string user)
    {
        var envelope = sent.Envelope;
        Assert.Equal(["data", "iKey", "name", "tags", "time"], envelope.EnumerateObject().Select(m => m.Name).Order());
        Assert.Equal("AppEvents", envelope.GetProperty("name").GetString());
        Assert.Equal(sandbox.Key, envelope.GetProperty("iKey").GetGuid());
        var age = DateTimeOffset.UtcNow - envelope.GetProperty("time").GetDateTimeOffset();
        Assert.InRange(age, TimeSpan.Zero, TimeSpan.FromMinutes(5));
        Assert.Equal("EventData", envelope.GetProperty("data").GetProperty("baseType").GetString());
        var data = envelope.GetProperty("data").GetProperty("baseData");
        Assert.Equal(["measurements", "name", "properties", "ver"], data.EnumerateObject().Select(m => m.Name).Order());
        Assert.Equal(2, data.GetProperty("ver").GetInt32());
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["ai.application.ver"] = Product.Version,
                ["ai.cloud.role"] = "na",
                ["ai.cloud.roleInstance"] = "na",
                ["ai.session.id"] = session,
                ["ai.user.id"] = user,
                ["ai.user.authUserId"] = "na",
                ["ai.internal.sdkVersion"] = "vms-telemetry:" + Product.Version,
                ["ai.internal.nodeName"] = "na",
            },
            sent.Tags);
    }

    /// <summary>Receipts are files that other programs of the user can write.</summary>
    [Fact]
    public async Task T1_receipts_that_somebody_changed_cost_only_themselves()
    {
        const string Head = """{"time":"2026-11-24T12:00:00Z","destination":"https://a.example/","status":200,"items":["accepted"]}""";
        const string Envelope = """{"time":"2026-11-24T11:00:00Z","data":{"baseData":{"name":"NewSession","properties":{"uuid":"1"}}}}""";
        string[] changed =
        [
            "", "\n", "{", "null", "[]", "\u0000\u0001", "\uFEFF" + Head + "\n" + Envelope, Head, Head + "\nnull",
            Head + "\n" + Envelope[..^3], Head.Replace("200", "\"abc\"") + "\n" + Envelope, Head.Replace("200", "99999999999") + "\n" + Envelope,
            Head.Replace("200", "{\"a\":[1e999]}") + "\n" + Envelope, Head.Replace("2026", "0000") + "\n" + Envelope,
            Head.Replace("[\"accepted\"]", "{\"a b:c<\":\"\\u0000\\ud800\"}") + "\n" + Envelope,
            Head.Replace("\"accepted\"", new string('[', 100_000)) + "\n" + Envelope,
            new string('[', 200_000), new string('x', 300_000),
            Head + "\n" + Envelope.Replace("\"NewSession\"", new string('[', 100_000) + new string(']', 100_000)),
            Head + "\n" + Envelope.Replace("\"properties\"", "\"__type\":\"x:#y\",\"properties\""),
        ];
        using var sandbox = new Sandbox();
        foreach (var (text, number) in changed.Append($"{Head}\n{Envelope}").Select((text, number) => (text, number)))
        {
            var bytes = System.Text.Encoding.UTF8.GetByteCount(text);
            var microseconds = (DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() * 1_000) + number;
            var name = $"{microseconds:d18}-{number:x32}-{bytes}.v1.json";
            sandbox.WriteFile(Path.Combine(sandbox.DataFolder, "sent", name), text);
        }

        var report = Path.Combine(sandbox.Root, "report.html");
        var result = await sandbox.Script(
            $"""
            Import-Module VmsTelemetry
            $events = Get-VmsTelemetryEvent
            @($events | Where-Object Name -EQ NewSession | Where-Object Destination -EQ https://a.example/).Count -ge 1
            $null = $events | Out-String
            $null = Export-VmsTelemetryReport '{report}'
            """);

        result.Quiet();
        Assert.Equal("True", Assert.Single(result.Lines));
    }
}
