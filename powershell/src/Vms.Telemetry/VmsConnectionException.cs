using System;

namespace Vms.Telemetry;

/// <summary>There is no connection to a VMS. The message says why, and what to do.</summary>
public sealed class VmsConnectionException : Exception
{
    /// <summary>Creates an exception without a message.</summary>
    public VmsConnectionException()
    {
    }

    /// <summary>Creates an exception with a message.</summary>
    /// <param name="message">What happened.</param>
    public VmsConnectionException(string message)
        : base(message)
    {
    }

    /// <summary>Creates an exception with a message and a cause.</summary>
    /// <param name="message">What happened.</param>
    /// <param name="innerException">The cause.</param>
    public VmsConnectionException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates an exception.</summary>
    /// <param name="status">The outcome of the call that failed.</param>
    /// <param name="message">What happened, and what to do.</param>
    /// <param name="advice">What to do: the end of the message.</param>
    internal VmsConnectionException(TelemetryStatus status, string message, string advice = "")
        : base(message)
    {
        Status = status;
        Advice = advice;
    }

    /// <summary>Gets why there is no connection.</summary>
    public TelemetryStatus Status { get; } = TelemetryStatus.Internal;

    /// <summary>Gets what the user can do. The message ends with it. Empty if it does not.</summary>
    public string Advice { get; } = "";
}
