using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>
/// Clause E5: 500 words that occur nowhere else, planted in every place where a computer keeps names, addresses, paths and secrets.
/// Then every command runs, with all its messages. What leaves, and what is stored, has none of them.
/// </summary>
public sealed class CanaryTests
{
    /// <summary>A planted word begins so, and nothing else does.</summary>
    private const string Prefix = "qz7canary";

    private const int Words = 500;

    private static readonly string[] s_variables =
    [
        "COMPUTERNAME", "HOSTNAME", "USER", "USERNAME", "LOGNAME", "USERDOMAIN", "USERDNSDOMAIN", "LOGONSERVER", "CLIENTNAME",
        "SSH_CLIENT", "SSH_CONNECTION", "SESSIONNAME", "MAIL", "OneDrive", "AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET",
        "VMS_Password", "VMS_ManagementServer__Address", "VMS_ManagementServer__Token", "VMS_ApplicationInsights__Comment",
    ];

    private readonly List<string> _planted = [];

    [Fact]
    public async Task E5_five_hundred_planted_words_are_found_nowhere()
    {
        using var sandbox = new Sandbox();
        // The environment, as far as a process starts with it.
        foreach (var name in s_variables.Concat(Numbered(130, "COMPANY_VARIABLE_")))
        {
            sandbox.Environment[name] = Plant();
        }

        // A proxy that nobody uses, as the collector is on this computer.
        sandbox.Environment["HTTPS_PROXY"] = $"http://{Plant()}:{Plant()}@{Plant()}.example:3128";
        sandbox.Environment["NO_PROXY"] = $"{Plant()}.example";
        // What others keep in the user's folders, in the settings file, and in names of files and folders.
        foreach (var name in Numbered(60, ".company/file"))
        {
            sandbox.WriteFile(Path.Combine("home", name + Plant()), $"{Plant()} = {Plant()}");
        }

        var foreign = Numbered(60, "Company").Select(name => $"\"{name}\": \"{Plant()}\"");
        var settings = $$"""{ "ApplicationInsights": { "IncludeInLogs": true }, {{string.Join(", ", foreign)}} }""";
        sandbox.WriteSettings(settings);
        var folder = sandbox.Folder($"projects of {Plant()}");
        // The VMS: its name, its users, their secrets; and wrong ones.
        var (user, password, token) = (Plant(), Plant(), Plant());
        var (nobody, wrong) = (Plant(), Plant());
        var site = DemoVms.Site(Guid.NewGuid().ToString());
        site["name"] = Plant();
        using var vms = await DemoVms.Start(sandbox, new
        {
            site,
            users = new object[] { new { name = user, password }, new { kind = "external", name = Plant() } },
            accessTokens = new object[] { new { token, user = _planted[^1] } },
        });
        // What a script has at hand: its variables, its functions, its comments.
        var variables = Numbered(Words - _planted.Count - 2, "company").Select(name => $"${name} = '{Plant()}'");
        var connect = $"Connect-Vms {vms.Address} -BasicUser -Credential";
        var report = Path.Combine(folder, "report.html");

        var (result, _) = await sandbox.ScriptWithEvents(
            $$"""
            # {{Plant()}}
            {{string.Join("\n", variables)}}
            function Get-{{Plant()}} { $company1 }
            Set-Location '{{folder}}'
            $VerbosePreference = $DebugPreference = $InformationPreference = 'Continue'
            $ErrorActionPreference = 'Continue'
            Import-Module VmsTelemetry
            try { {{connect}} {{DemoVms.Credential(user, wrong)}} } catch { $_ }
            try { {{connect}} {{DemoVms.Credential(nobody, password)}} } catch { $_ }
            $null = {{connect}} {{DemoVms.Credential(user, password)}} -Verbose
            {{DemoVms.Counted}}
            $null = Get-VmsConnection
            try { Connect-Vms {{vms.Address}} -AccessToken {{DemoVms.Secure(wrong)}} } catch { $_ }
            $null = Connect-Vms {{vms.Address}} -AccessToken {{DemoVms.Secure(token)}}
            {{DemoVms.Counted}}
            Disconnect-Vms
            Set-VmsModuleConfig -LogTelemetry $true
            Get-VmsModuleConfig | Out-Null
            Test-VmsTelemetryEndpoint | Out-String
            Get-VmsTelemetryEvent -Preview | ConvertTo-Json -Depth 9
            {{Child.Wait}}
            {{Child.Settle}}
            Get-VmsTelemetryEvent | ConvertTo-Json -Depth 9
            Get-VmsTelemetryEvent -Raw
            $null = Export-VmsTelemetryReport '{{report}}'
            Clear-VmsTelemetryData -Pending -WhatIf
            """,
            5,
            waits: 2);

        Assert.Equal(Words, _planted.Count);
        // Three logons failed.
        Assert.Equal(3, result.Errors.Split("ERROR: ").Length - 1);
        Assert.Contains("NewVmsSession", result.Output, StringComparison.Ordinal);
        Assert.Contains("VmsLogonRefused", result.Errors, StringComparison.Ordinal);
        using var http = new HttpClient();
        var address = new Uri(Given.Collector, $"received?ikey={sandbox.Key}");
        Clean("wire", await http.GetStringAsync(address, TestContext.Current.CancellationToken));
        Clean("output", result.Output);
        // The user is told which user was refused; never a password or a token.
        Clean("messages", result.Errors, [password, token, wrong]);
        Clean("report", await File.ReadAllTextAsync(report, TestContext.Current.CancellationToken));
        var kept = Directory.GetFiles(sandbox.DataFolder, "*", SearchOption.AllDirectories)
            .Concat(Directory.GetFiles(sandbox.LogRoot, "*", SearchOption.AllDirectories))
            .ToList();
        Assert.Contains(kept, file => file.Contains("sent", StringComparison.Ordinal));
        Assert.Contains(kept, file => file.EndsWith(".log", StringComparison.Ordinal));
        foreach (var file in kept)
        {
            Clean("the name " + file, Path.GetRelativePath(sandbox.Root, file));
            var content = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
            if (file == sandbox.SettingsFile)
            {
                // What others wrote stays, and nothing comes to it.
                Assert.Equal(60, Encoding.UTF8.GetString(content).Split(Prefix).Length - 1);
                continue;
            }

            Clean(file, Encoding.Latin1.GetString(content));
            Clean(file, Encoding.Unicode.GetString(content));
        }
    }

    private static IEnumerable<string> Numbered(int count, string name) =>
        Enumerable.Range(1, count).Select(number => $"{name}{number}");

    private string Plant()
    {
        _planted.Add($"{Prefix}{_planted.Count:d3}x");
        return _planted[^1];
    }

    /// <summary>Fails where one of the words stands in a text, as it is or in base64.</summary>
    private void Clean(string place, string text, IEnumerable<string>? words = null)
    {
        foreach (var word in words ?? _planted)
        {
            Assert.False(text.Contains(word, StringComparison.OrdinalIgnoreCase), $"{word} in {place}: {text}");
            var encoded = Convert.ToBase64String(Encoding.UTF8.GetBytes(word));
            Assert.False(text.Contains(encoded, StringComparison.Ordinal), $"{word} in base64 in {place}");
        }
    }
}
