using System;

namespace Vms.Telemetry;

/// <summary>The configuration could not be read or changed, or a logon failed.</summary>
public sealed class TelemetryException : Exception
{
    /// <summary>Creates an exception without a message.</summary>
    public TelemetryException()
    {
    }

    /// <summary>Creates an exception with a message.</summary>
    /// <param name="message">What happened.</param>
    public TelemetryException(string message)
        : base(message)
    {
    }

    /// <summary>Creates an exception with a message and a cause.</summary>
    /// <param name="message">What happened.</param>
    /// <param name="innerException">The cause.</param>
    public TelemetryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    internal TelemetryException(TelemetryStatus status, string message)
        : base(message)
    {
        Status = status;
    }

    /// <summary>Gets the outcome of the call that failed.</summary>
    public TelemetryStatus Status { get; } = TelemetryStatus.Internal;
}
