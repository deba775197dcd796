namespace Vms.Telemetry;

/// <summary>A field of an event.</summary>
public sealed class TelemetryField
{
    internal TelemetryField(string name, string value)
    {
        Name = name;
        Value = value;
        Meaning = FieldMeanings.Of(name);
    }

    /// <summary>Gets the name on the wire.</summary>
    public string Name { get; }

    /// <summary>Gets the value.</summary>
    public string Value { get; }

    /// <summary>Gets what the field says.</summary>
    public string Meaning { get; }

    /// <inheritdoc/>
    public override string ToString() => Name + "=" + Value;
}
