using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>
/// The world of one test: folders of a user of its own, an instrumentation key of its own, and the environment that
/// child processes get. Nothing of the tester's own environment says anything about telemetry.
/// </summary>
internal sealed class Sandbox : IDisposable
{
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(90) };

    private readonly string _root = Directory.CreateTempSubdirectory("vms-test-").FullName;

    internal Sandbox()
    {
        Environment = [];
        foreach (DictionaryEntry variable in System.Environment.GetEnvironmentVariables())
        {
            var name = ((string)variable.Key).ToUpperInvariant();
            if (name is "DO_NOT_TRACK" || name.EndsWith("_PROXY", StringComparison.Ordinal)
                || name.StartsWith("VMS_", StringComparison.Ordinal))
            {
                Environment[(string)variable.Key] = null;
            }
        }

        Environment["HOME"] = Folder("home");
        Environment["USERPROFILE"] = Folder("home");
        Environment["XDG_DATA_HOME"] = LocalData;
        Environment["LOCALAPPDATA"] = LocalData;
        Environment["XDG_STATE_HOME"] = LogRoot;
        Environment["ProgramData"] = LogRoot;
        Environment["XDG_CACHE_HOME"] = Folder("cache");
        Environment["XDG_CONFIG_HOME"] = Folder("config");
        // Neither the engine nor the runtime shall open sockets of their own, or send anything.
        Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";
        Environment["POWERSHELL_DIAGNOSTICS_OPTOUT"] = "1";
        Environment["POWERSHELL_UPDATECHECK"] = "Off";
        Environment["NO_COLOR"] = "1";
        Environment["DOTNET_EnableDiagnostics"] = "0";
        UseModules(Given.Modules);
        SendTo(Given.Collector.ToString());
    }

    /// <summary>The folder that all of it is in.</summary>
    internal string Root => _root;

    /// <summary>Mono, which runs programs for .NET Framework outside Windows; null: there is none.</summary>
    internal static string? Mono { get; } = OperatingSystem.IsWindows()
        ? null
        : (System.Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, "mono"))
            .FirstOrDefault(File.Exists);

    /// <summary>What differs from the tester's own environment; null: the variable is removed.</summary>
    internal Dictionary<string, string?> Environment { get; }

    /// <summary>The key that tells this test's events apart.</summary>
    internal Guid Key { get; } = Guid.NewGuid();

    /// <summary>Local application data; not created before something needs it.</summary>
    internal string LocalData => Path.Combine(_root, "local");

    /// <summary>The folder above that of the raw log; not created before something needs it.</summary>
    internal string LogRoot => Path.Combine(_root, "state");

    internal string DataFolder => Path.Combine(LocalData, "Milestone", "MilestonePSTools");

    internal string SettingsFile => Path.Combine(DataFolder, "appsettings.user.json");

    /// <summary>The pending events, of all destinations.</summary>
    internal string[] Spooled => InSpool("*.v1.json");

    /// <summary>Ends the back-off after a failed attempt: the next process tries again at once.</summary>
    internal void ForgetFailures()
    {
        foreach (var file in InSpool("retry.json"))
        {
            File.Delete(file);
        }
    }

    /// <summary>Makes a folder of the sandbox.</summary>
    internal string Folder(string name) => Directory.CreateDirectory(Path.Combine(_root, name)).FullName;

    /// <summary>Makes a file of the sandbox, and the folders above it.</summary>
    internal string WriteFile(string name, string content)
    {
        var path = Path.Combine(_root, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        return path;
    }

    internal void WriteSettings(string content)
    {
        Directory.CreateDirectory(DataFolder);
        File.WriteAllText(SettingsFile, content);
    }

    internal void SendTo(string endpoint) => Environment["VMS_ApplicationInsights__ConnectionString"] =
        $"InstrumentationKey={Key};IngestionEndpoint={endpoint}";

    internal void UseModules(string folder) => Environment["PSModulePath"] = folder;

    /// <summary>Starts a script in PowerShell.</summary>
    internal Child StartScript(string script) => new(Given.Shell[0], [.. Given.Shell[1..], script], Environment);

    /// <summary>Runs a script to its end.</summary>
    internal async Task<ChildResult> Script(string script)
    {
        using var child = StartScript(script);
        return await child.End();
    }

    /// <summary>Runs a script in a process that has mounts of its own, which end with it. The test needs that somebody may mount.</summary>
    /// <param name="mount">Commands of the shell.</param>
    /// <param name="script">The script.</param>
    internal async Task<ChildResult> ScriptWithMount(string mount, string script)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Only Linux has such mounts.");
        const string Run = " && exec \"$0\" \"$@\"";
        using var child = new Child(
            "unshare",
            ["--map-root-user", "--mount", "sh", "-c", mount + Run, .. Given.Shell, script],
            Environment);
        var result = await child.End();
        var isRefused = result.Errors.Contains("unshare: ", StringComparison.Ordinal)
            || result.Errors.Contains("mount: ", StringComparison.Ordinal);
        Given.Needs(!isRefused, "This computer does not allow mounts: " + result.Errors);
        return result;
    }

    /// <summary>
    /// Runs a script, and lets it go on from its waits only when the collector has that many events: from those in
    /// the script and from one at its end.
    /// </summary>
    internal async Task<(ChildResult Result, List<Received> Events)> ScriptWithEvents(
        string script,
        int count,
        int waits = 1)
    {
        using var child = StartScript($"{script}\n{Child.Wait}\n{Child.Settle}");
        await Received(count);
        for (var wait = 0; wait < waits; wait++)
        {
            child.GoOn();
        }

        var result = await child.End();
        return (result, await Received(0));
    }

    /// <summary>Runs the program that uses the library.</summary>
    internal async Task<ChildResult> Library(string task)
    {
        using var child = new Child(Given.LibraryHost, [task], Environment);
        return await child.End();
    }

    /// <summary>Runs the same program on .NET Framework, or on Mono.</summary>
    internal async Task<ChildResult> FrameworkLibrary(string task)
    {
        using var child = Mono is { } mono
            ? new Child(mono, [Given.FrameworkHost, task], Environment)
            : new Child(Given.FrameworkHost, [task], Environment);
        return await child.End();
    }

    /// <summary>Waits until the event of the import is on disk; on Windows a question of a command goes to the console.</summary>
    internal async Task HasImported()
    {
        while (Spooled.Length == 0)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Waits until the collector has that many events of this test, and gives all that it has.</summary>
    internal async Task<List<Received>> Received(int count)
    {
        var address = new Uri(Given.Collector, $"received?ikey={Key}&count={count}&timeout=60");
        var lines = await s_http.GetStringAsync(address, TestContext.Current.CancellationToken);
        var received = lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => new Received(line)).ToList();
        Assert.All(received, item => Assert.True(item.Accepted));
        return received;
    }

    public void Dispose() => Directory.Delete(_root, true);

    private string[] InSpool(string pattern)
    {
        var spool = Path.Combine(DataFolder, "spool");
        return Directory.Exists(spool) ? Directory.GetFiles(spool, pattern, SearchOption.AllDirectories) : [];
    }
}
