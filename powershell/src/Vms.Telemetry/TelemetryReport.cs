using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Xml.Linq;

namespace Vms.Telemetry;

/// <summary>
/// A page for a person who decides about telemetry and knows nothing of Application Insights. It is one file without scripts and
/// without anything from elsewhere.
/// </summary>
internal static class TelemetryReport
{
    /// <summary>Events that are listed at most, the newest: a choice. With all of them, the page could have some megabytes.</summary>
    private const int EventLimit = 500;

    private const string Style = """
        :root { color-scheme: light dark; --text: #1b1b1b; --back: #ffffff; --quiet: #595959; --line: #c8c8c8; --mark: #0b57d0; }
        @media (prefers-color-scheme: dark) {
          :root { --text: #ececec; --back: #161616; --quiet: #b4b4b4; --line: #4a4a4a; --mark: #8ab4f8; }
        }
        body { overflow-wrap: anywhere; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto; padding: 1rem; max-width: 60rem; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; }
        a { color: var(--mark); }
        p.quiet, td.quiet { color: var(--quiet); }
        p.answer { font-size: 1.15rem; border-left: .3rem solid var(--mark); padding-left: .8rem; }
        table { border-collapse: collapse; width: 100%; table-layout: fixed; }
        th:first-child { width: 32%; }
        th, td { text-align: left; vertical-align: top; padding: .3rem .5rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
        code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
        summary { cursor: pointer; }
        @media (max-width: 40rem) { body { font-size: 15px; padding: .7rem; } }
        @media print { body { max-width: none; font-size: 11px; } details code { display: block; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
        """;

    /// <summary>Writes the page.</summary>
    internal static string Html(TelemetryConfig config, IReadOnlyList<TelemetryEvent> events, string version)
    {
        var pending = Newest(events, found => found.State == TelemetryEventState.Pending);
        var answered = Newest(events, found => found.State != TelemetryEventState.Pending);
        var host = ConnectionString.Host(config.ConnectionString);
        var body = new XElement(
            "body",
            new XElement("h1", "Telemetry of VmsTelemetry"),
            Quiet("Made on " + Text(DateTimeOffset.Now) + " by version " + version + ", for the current user of this computer. Nothing was sent to make this page."),
            Heading("Is telemetry on?"),
            new XElement(
                "p",
                new XAttribute("class", "answer"),
                (config.TelemetryEnabled ? "Yes: " : "No: ") + config.TelemetryReason + "."),
            new XElement("p", "Any opt-out wins. This is what each of those who can decide says:"),
            Table(["who", "says"], config.Layers.Select(layer => layer.Split(['='], 2)).Select(pair => Row([Who(pair[0]), pair[1]]))),
            Heading("What is collected, and why?"),
            new XElement(
                "p",
                "Three events show how often the module is used, on which systems, and with video management systems of which size. They have"
                    + " versions, counts and random numbers. They have no names of people, computers, companies or sites, and no addresses. The list is"
                    + " closed: the module cannot store or send anything else."),
            FieldMeanings.Events.Select(Described),
            Heading("Where does it go?"),
            new XElement(
                "p",
                "To ",
                new XElement("code", host.Length > 0 ? host : "no host, as there is no usable connection string"),
                config.ConnectionString.Contains("=https:") ? ", over an encrypted connection." : ", which is this computer itself.",
                !host.EndsWith(".applicationinsights.azure.com", StringComparison.OrdinalIgnoreCase) ? ""
                    : " This is the service Azure Application Insights of Microsoft. Milestone receives the events there. The"
                    + " service looks up city and country from the address that a request comes from, and then discards the address. How long the events are"
                    + " kept, and who can read them, is for Milestone to say."),
            Heading("Which numbers stand for you?"),
            Table(
                ["number", "value"],
                [
                    Row(["for you, on this computer", config.UserId == Guid.Empty ? "none yet" : config.UserId.ToString()]),
                    Row(["for this session", config.SessionId.ToString()]),
                ]),
            new XElement("p", "They are random, and not computed from anything. A site has a random number as well. To ask for the deletion of what was sent, name the first one."),
            Heading("What waits to be sent?"),
            Listed(pending, "Nothing waits."),
            Heading("What was sent?"),
            Listed(answered, "Nothing was sent, or the receipts were deleted. They are kept for 90 days at most."),
            Heading("How is it stopped, and how is it deleted?"),
            Table(
                ["to", "run in PowerShell"],
                [
                    Row(["turn telemetry off for you", new XElement("code", "Set-VmsModuleConfig -EnableTelemetry $false")]),
                    Row(["delete all that is kept here, and get new numbers", new XElement("code", "Clear-VmsTelemetryData -All")]),
                    Row(["see every byte that was sent", new XElement("code", "Get-VmsTelemetryEvent -Raw")]),
                    Row(["read more", new XElement("code", "Get-Help about_VmsTelemetry")]),
                ]),
            Quiet("All is kept in " + config.DataFolder + "."));
        var page = new XElement(
            "html",
            new XAttribute("lang", "en"),
            new XElement(
                "head",
                new XElement("meta", new XAttribute("charset", "utf-8")),
                new XElement("meta", new XAttribute("name", "viewport"), new XAttribute("content", "width=device-width, initial-scale=1")),
                new XElement("title", "Telemetry of VmsTelemetry"),
                new XElement("style", Style)),
            body);
        return "<!doctype html>\n" + page.ToString(SaveOptions.DisableFormatting) + "\n";
    }

    private static string Who(string layer) => layer switch
    {
        "MachinePolicy" => "the administrator of this computer, by a policy",
        "Process" => "the user, for this session",
        "Environment" => "an environment variable of the module",
        "DO_NOT_TRACK" => "the environment variable DO_NOT_TRACK",
        "VmsPolicy" => "a video management system that the user connected to",
        "SettingsFile" => "the user, for all sessions",
        "Default" => "the module, by default",
        _ => layer,
    };

    private static TelemetryEvent[] Newest(IEnumerable<TelemetryEvent> events, Func<TelemetryEvent, bool> are) =>
        events.Where(are).OrderByDescending(found => found.Time).Take(EventLimit).ToArray();

    private static XElement[] Described((string Name, string When, string[] Fields) what) =>
    [
        new XElement("h3", new XElement("code", what.Name)),
        new XElement("p", what.When),
        Table(["field", "what it says"], what.Fields.Select(field => Row([new XElement("code", field), FieldMeanings.Of(field)]))),
    ];

    private static XElement[] Listed(TelemetryEvent[] events, string none)
    {
        if (events.Length == 0)
        {
            return [new XElement("p", none)];
        }

        var table = Table(["time", "event", "answer"], events.Select(found => Row(
        [
            Text(found.Time),
            new XElement(
                "details",
                new XElement("summary", found.Name),
                new XElement("code", string.Join(", ", found.Fields))),
            found.Answered is { } answered
                ? (found.State == TelemetryEventState.Refused ? "refused" : "accepted") + " with HTTP " + found.Status + " on " + Text(answered)
                : "waits",
        ])));
        return events.Length < EventLimit ? [table] : [new XElement("p", "The newest " + EventLimit + ":"), table];
    }

    private static XElement Heading(string text) => new("h2", text);

    private static XElement Quiet(string text) => new("p", new XAttribute("class", "quiet"), text);

    private static XElement Table(string[] head, IEnumerable<XElement> rows) => new(
        "table",
        new XElement("thead", new XElement("tr", head.Select(title => new XElement("th", title)))),
        new XElement("tbody", rows));

    // An element without content would be read as its beginning alone.
    private static XElement Row(object[] cells) => new("tr", cells.Select(cell => new XElement("td", "", cell)));

    private static string Text(DateTimeOffset moment) => moment.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
}
