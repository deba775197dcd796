using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace Vms.Telemetry;

/// <summary>An event as it is sent: pending, sent, refused, or as a preview.</summary>
public sealed class TelemetryEvent
{
    private TelemetryEvent(string json, TelemetryEventState state, string destination, DateTimeOffset? answered, int? status)
    {
        Json = json;
        State = state;
        Destination = destination;
        Answered = answered;
        Status = status;
        var envelope = Parse(json);
        Time = Moment(envelope.Element("time")?.Value) ?? DateTimeOffset.MinValue;
        var data = envelope.Element("data")?.Element("baseData");
        Name = data?.Element("name")?.Value ?? "";
        var fields = data?.Element("properties")?.Elements() ?? [];
        Fields = fields.Concat(data?.Element("measurements")?.Elements() ?? [])
            .Select(field => new TelemetryField(field.Name.LocalName, field.Value))
            .ToArray();
    }

    /// <summary>Gets the name of the event.</summary>
    public string Name { get; }

    /// <summary>Gets when it was recorded. Of an event that waited for 47 hours or more: when it was sent.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>Gets what became of it.</summary>
    public TelemetryEventState State { get; }

    /// <summary>Gets the URL that it was sent to, or will be.</summary>
    public string Destination { get; }

    /// <summary>Gets when the service answered. Null if it was not sent.</summary>
    public DateTimeOffset? Answered { get; }

    /// <summary>Gets the HTTP status of the request. Null if it was not sent.</summary>
    public int? Status { get; }

    /// <summary>Gets the fields that say something. <see cref="Json"/> has the rest of the envelope as well.</summary>
    public IReadOnlyList<TelemetryField> Fields { get; }

    /// <summary>Gets the exact JSON of the wire.</summary>
    public string Json { get; }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Reads all: those of the session's destination that are pending, and those of all receipts.</summary>
    internal static IEnumerable<TelemetryEvent> All(NativeMethods native) =>
        Envelopes(native, TelemetryEventState.Pending).Concat(Receipts(native));

    internal static IEnumerable<TelemetryEvent> Preview(NativeMethods native) =>
        Envelopes(native, TelemetryEventState.Preview);

    private static IEnumerable<TelemetryEvent> Envelopes(NativeMethods native, TelemetryEventState state)
    {
        const uint PendingEvent = 1;
        const uint PreviewEvent = 3;
        var destination = ConnectionString.Endpoint(native.GetText(NativeText.ConnectionString)) + "v2.1/track";
        foreach (var json in Texts(native, state == TelemetryEventState.Preview ? PreviewEvent : PendingEvent))
        {
            yield return new TelemetryEvent(json, state, destination, null, null);
        }
    }

    /// <summary>Reads all of a kind. One whose file cannot be read is empty, and left out.</summary>
    private static IEnumerable<string> Texts(NativeMethods native, uint which)
    {
        for (uint index = 0; native.GetEvent(which, index) is { } text; index++)
        {
            if (text.Length > 0)
            {
                yield return text;
            }
        }
    }

    private static IEnumerable<TelemetryEvent> Receipts(NativeMethods native)
    {
        const uint Receipt = 2;
        foreach (var receipt in Texts(native, Receipt))
        {
            var lines = receipt.Split('\n');
            var head = Parse(lines[0]);
            var answered = Moment(head.Element("time")?.Value);
            int? status = int.TryParse(head.Element("status")?.Value, out var number) ? number : null;
            var destination = head.Element("destination")?.Value ?? "";
            foreach (var (item, json) in (head.Element("items")?.Elements() ?? []).Zip(lines.Skip(1), (item, json) => (item.Value, json)))
            {
                // One that is sent again is pending.
                if (item != "retry")
                {
                    var state = item == "accepted" ? TelemetryEventState.Sent : TelemetryEventState.Refused;
                    yield return new TelemetryEvent(json, state, destination, answered, status);
                }
            }
        }
    }

    private static XElement Parse(string json)
    {
        // An event has four levels. The time that reading takes grows with the square of the depth.
        var quotas = new XmlDictionaryReaderQuotas();
        XmlDictionaryReaderQuotas.Max.CopyTo(quotas);
        quotas.MaxDepth = 16;
        using var reader = JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(json), quotas);
        try
        {
            return XElement.Load(reader);
        }
        catch (Exception exception) when (exception is XmlException or FormatException or IOException or InvalidOperationException)
        {
            // A file that somebody changed.
            return new XElement("root");
        }
    }

    private static DateTimeOffset? Moment(string? text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
            ? moment.ToLocalTime()
            : null;
}
