using System;
using System.Collections.Generic;
using System.Linq;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>What a child process left behind.</summary>
internal sealed record ChildResult(int ExitCode, string Output, string Errors)
{
    /// <summary>The lines of the output.</summary>
    internal string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>The lines of the form name=value.</summary>
    internal Dictionary<string, string> Values => Lines
        .Select(line => line.Split('=', 2))
        .Where(pair => pair.Length == 2)
        .ToDictionary(pair => pair[0], pair => pair[1]);

    /// <summary>Insists on success, and on silence beside the output.</summary>
    internal ChildResult Quiet()
    {
        Assert.Equal("", Errors);
        Assert.Equal(0, ExitCode);
        return this;
    }
}
