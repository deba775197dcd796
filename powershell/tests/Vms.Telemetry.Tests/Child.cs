using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Vms.Telemetry.Tests;

/// <summary>
/// A child process. The session is one per process, so each scenario has a process of its own. A child that waits
/// reads a line from its standard input.
/// </summary>
internal sealed class Child : IDisposable
{
    /// <summary>The script waits here until the test lets it go on.</summary>
    internal const string Wait = "[void][Console]::In.ReadLine()";

    /// <summary>
    /// The script goes on when the answer of the service is worked off: ended before that, a process leaves events
    /// behind that are sent once more.
    /// </summary>
    internal const string Settle = "while ((Get-VmsModuleConfig).PendingEvents) { [Threading.Thread]::Sleep(10) }";

    /// <summary>No child takes this long; one that does is stuck, and is ended.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);

    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly CancellationTokenSource _limit = new(s_limit);
    private bool _isDisposed;

    internal Child(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment)
        {
            if (value is null)
            {
                start.Environment.Remove(name);
            }
            else
            {
                start.Environment[name] = value;
            }
        }

        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync(_limit.Token);
    }

    /// <summary>Waits for a line of output; null: there is no more.</summary>
    internal async Task<string?> ReadLine() => await _process.StandardOutput.ReadLineAsync(_limit.Token);

    /// <summary>Lets a child that waits go on, once; or answers its question, with the number of a choice.</summary>
    internal void GoOn(string line = "")
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    /// <summary>Waits for the end; output that was read before is not in it.</summary>
    internal async Task<ChildResult> End()
    {
        var output = await _process.StandardOutput.ReadToEndAsync(_limit.Token);
        var errors = await _errors;
        await _process.WaitForExitAsync(_limit.Token);
        return new ChildResult(_process.ExitCode, output, errors);
    }

    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
        _limit.Dispose();
    }
}
