using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Tasks;

namespace Vms.Telemetry.Tests;

/// <summary>A running demo VMS, for one test. It has a user of each kind; their password is <see cref="Password"/>.</summary>
internal sealed class DemoVms : IDisposable
{
    internal const string Password = "not-a-secret";
    internal const string Token = "token-of-a-visitor";

    /// <summary>The script goes on when the VMS is counted.</summary>
    internal const string Counted =
        "while ((Get-VmsConnection).IsCounting) { [Threading.Thread]::Sleep(10) }";

    private static readonly string[] s_sites = ["sites"];

    private readonly Child _program;

    private DemoVms(Child program, JsonNode said)
    {
        _program = program;
        Address = said["url"]!.GetValue<string>();
        Counts = said["counts"].Deserialize<Dictionary<string, double>>()!;
    }

    /// <summary>Its address, as <c>http://127.0.0.1:4711/</c>.</summary>
    internal string Address { get; }

    /// <summary>The address without its scheme.</summary>
    internal string BareAddress => new Uri(Address).Authority;

    /// <summary>What a client should count, by the fields of the event.</summary>
    internal Dictionary<string, double> Counts { get; }

    /// <summary>Connects as a basic user.</summary>
    internal string Connect => $"Connect-Vms {Address} -BasicUser -Credential {Credential("reader")}";

    /// <summary>Connects with a token.</summary>
    internal string ConnectWithToken => $"Connect-Vms {Address} -AccessToken {Secure(Token)}";

    /// <summary>A credential in a script.</summary>
    internal static string Credential(string user, string password = Password) =>
        $"([pscredential]::new('{user}', {Secure(password)}))";

    /// <summary>A secure string in a script.</summary>
    internal static string Secure(string secret) => $"([Net.NetworkCredential]::new('', '{secret}').SecurePassword)";

    /// <summary>Starts a VMS.</summary>
    /// <param name="sandbox">The world of the test.</param>
    /// <param name="changes">Members that the configuration has instead of the usual ones.</param>
    internal static async Task<DemoVms> Start(Sandbox sandbox, object? changes = null)
    {
        var config = JsonSerializer.SerializeToNode(new
        {
            port = 0,
            site = Site(Sample.Site),
            users = new object[]
            {
                new { name = "reader", password = Password },
                new { name = "guard", password = Password, forbidden = s_sites },
                new { name = "locked", password = Password, state = "locked" },
                new { name = "novice", password = Password, state = "mustChangePassword" },
                new { kind = "windows", domain = "DEMO", name = "operator", password = Password },
                new { kind = "external", name = "visitor@example.test" },
            },
            accessTokens = new object[]
            {
                new { token = Token, user = "visitor@example.test" },
                new { token = "old-" + Token, user = "visitor@example.test", seconds = 0 },
            },
        })!.AsObject();
        if (changes is not null)
        {
            foreach (var (name, value) in JsonSerializer.SerializeToNode(changes)!.AsObject().ToList())
            {
                config[name] = value?.DeepClone();
            }
        }

        var file = sandbox.WriteFile($"vms-{Guid.NewGuid():N}.json", config.ToJsonString());
        var program = new Child(Given.DemoVms, [file], sandbox.Environment);
        var first = await program.ReadLine();
        if (first is null)
        {
            using (program)
            {
                throw new InvalidOperationException((await program.End()).Errors);
            }
        }

        return new DemoVms(program, JsonNode.Parse(first)!);
    }

    /// <summary>A small site with that id.</summary>
    internal static JsonNode Site(string id, string product = "XProtect Corporate 2025 R1") => JsonSerializer.SerializeToNode(new
    {
        seed = 7,
        id,
        name = "DEMO-VMS",
        version = "25.1.1804.0",
        product,
        childSites = 2,
        grandchildSites = 1,
        recordingServers = 3,
        hardware = 20,
        cameras = 2,
        microphones = 1,
        speakers = 1,
        metadata = 1,
        inputs = 2,
        outputs = 1,
        disabled = new { hardware = 10, devices = 10 },
    })!;

    /// <summary>What goes wrong at a path: `slow`, `close`, `redirect`, `repeat`, `answer`, ….</summary>
    internal static object Fault(string path, object? effect = null, int delay = 0, int skip = 0) =>
        effect is null ? new { path, delayMs = delay, skip } : new { path, delayMs = delay, skip, effect };

    /// <summary>The VMS is gone.</summary>
    public void Dispose() => _program.Dispose();
}
