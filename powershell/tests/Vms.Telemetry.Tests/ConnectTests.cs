using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause P3: Connect-Vms logs on to a VMS, and P4: what it says where it cannot.</summary>
public sealed class ConnectTests
{
    private const string Import = "Import-Module VmsTelemetry";

    /// <summary>.NET outside Windows has NTLM from a package; Wine has it with a part of Samba that is not there.</summary>
    private static bool HasNtlm { get; } = OperatingSystem.IsWindows()
        ? !Given.IsWine
        : Directory.Exists("/etc/gss/mech.d") && Directory.GetFiles("/etc/gss/mech.d", "*ntlmssp*").Length > 0;

    [Fact]
    public async Task P3_a_server_that_goes_away_is_reported_without_what_is_not_counted()
    {
        Assert.SkipWhen(Given.IsWine, "Wine may keep the sockets of a killed process open.");
        using var sandbox = new Sandbox();
        var fault = DemoVms.Fault("/api/rest/v1/cameras", delay: 80_000);
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });
        using var child = sandbox.StartScript(
            $$"""
            {{Import}}
            $c = {{vms.Connect}}
            while ($c.ItemsCounted -lt 8) { [Threading.Thread]::Sleep(10) }
            'counting'
            {{Child.Wait}}
            {{DemoVms.Counted}}
            Disconnect-Vms
            {{Child.Wait}}
            {{Child.Settle}}
            """);
        Assert.Equal("counting", await child.ReadLine());
        vms.Dispose();
        child.GoOn();
        var events = await sandbox.Received(3);
        child.GoOn();
        (await child.End()).Quiet();

        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], events.Select(sent => sent.Name));
        Assert.DoesNotContain("CameraCount", events[1].Measurements.Keys);
        Assert.All(events[1].Measurements, count => Assert.Equal(vms.Counts[count.Key], count.Value));
    }

    [Theory]
    [InlineData("-BasicUser", "reader")]
    [InlineData("", "DEMO\\operator")]
    public async Task P3_P4_a_certificate_that_nobody_trusts_is_refused_and_taken_on_request(string kind, string user)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox, new { tls = "selfSigned" });
        Assert.StartsWith("https:", vms.Address, StringComparison.Ordinal);
        var connect = $"Connect-Vms {vms.Address} {kind} -Credential {DemoVms.Credential(user)}";

        var refused = await sandbox.Script($"{Import}; {connect}");
        Assert.StartsWith(
            "ERROR: VmsCertificateRefused,Vms.Telemetry.PowerShell.ConnectVmsCommand|SecurityError: ",
            refused.Errors,
            StringComparison.Ordinal);
        Assert.Contains(vms.BareAddress, refused.Errors, StringComparison.Ordinal);

        var result = await sandbox.Script(
            $"{Import}; $c = {connect} -SkipCertificateCheck -SecureOnly; \"$c $($c.EncryptionEnabled)\"");
        Assert.StartsWith("WARNING: The server's certificate is not checked", result.Errors, StringComparison.Ordinal);
        if (kind.Length > 0 || HasNtlm)
        {
            Assert.Equal((0, "DEMO-VMS True"), (result.ExitCode, Assert.Single(result.Lines)));
        }
        else
        {
            Assert.Contains("VmsLogonRefused", result.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task P3_a_redirection_to_HTTPS_on_the_same_host_is_followed()
    {
        using var sandbox = new Sandbox();
        using var secure = await DemoVms.Start(sandbox, new { tls = "selfSigned" });
        var fault = DemoVms.Fault("/api/.well-known/uris", new { redirect = secure.Address + "api/.well-known/uris" });
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });

        var result = await sandbox.Script(
            $"{Import}; $c = {vms.Connect} -SkipCertificateCheck; \"$($c.Address) $($c.EncryptionEnabled)\"");

        Assert.Equal((0, secure.Address + " True"), (result.ExitCode, Assert.Single(result.Lines)));
    }

    [Fact]
    public async Task P3_S4_the_event_of_a_script_that_ends_at_once_is_not_lost()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatRefuses();
        sandbox.SendTo(silence.Address);
        // The end of the process waits for a second, and not for this.
        var faults = new[] { DemoVms.Fault("/api/rest/v1/outputs", delay: 20_000) };
        using var vms = await DemoVms.Start(sandbox, new { faults });

        (await sandbox.Script($"{Import}; $c = {vms.Connect}; while ($c.ItemsCounted -lt 8) {{ }}; exit")).Quiet();

        silence.BecomeCollector();
        sandbox.ForgetFailures();
        var (_, events) = await sandbox.ScriptWithEvents(Import, 3);
        var connected = Assert.Single(events, sent => sent.Name == "NewVmsSession");
        Assert.Equal(vms.Counts.Keys.Except(["OutputCount"]).Order(), connected.Measurements.Keys.Order());
        Assert.DoesNotContain(events, sent => sent.Name == "CloseVmsSession");
    }

    /// <summary>Clause E5: all that a person or a file can see of a day with passwords and tokens, good and bad.</summary>
    [Fact]
    public async Task E5_P4_no_password_and_no_token_is_in_any_stream_or_file()
    {
        const string Wrong = "wrong-and-secret";
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        using var silence = Silence.ThatRefuses();
        sandbox.SendTo(silence.Address);
        // The host prints errors, warnings, verbose and debug messages; the script prints the rest.
        var result = await sandbox.Script(
            $$"""
            $DebugPreference = $VerbosePreference = $InformationPreference = 'Continue'
            {{Import}} -Verbose
            Set-VmsModuleConfig -LogTelemetry $true
            $secrets = @{
                right = {{DemoVms.Secure(DemoVms.Password)}}; wrong = {{DemoVms.Secure(Wrong)}}; token = {{DemoVms.Secure(DemoVms.Token)}}
            }
            $at = '{{vms.Address}}'
            function Try-It([scriptblock] $What) {
                try { & $What *>&1 | ForEach-Object { "$_"; "$($_ | Out-Host)" } }
                catch { "$_"; $_.Exception.ToString(); "$($_.TargetObject)"; $_ | Out-Host }
            }
            Try-It { Connect-Vms $at -AccessToken $secrets.token -Verbose -Debug }
            Try-It { Disconnect-Vms -Verbose -Debug }
            foreach ($password in $secrets.right, $secrets.wrong) {
                $user = [pscredential]::new('reader', $password)
                Try-It { Connect-Vms $at -BasicUser -Credential $user -Verbose -Debug }
                {{DemoVms.Counted}}
                Try-It { Disconnect-Vms -Verbose -Debug }
                Try-It { Connect-Vms $at -Credential ([pscredential]::new('DEMO\operator', $password)) -Verbose -Debug }
                Try-It { Get-VmsConnection -Verbose -Debug }
            }
            Try-It { Connect-Vms $at -AccessToken $secrets.wrong -Verbose -Debug }
            $tactless = "http://reader:{{Wrong}}@127.0.0.1/"
            Try-It { Connect-Vms $tactless -Verbose -Debug }
            $hasty = "reader:{{Wrong}}@http://127.0.0.1/"
            Try-It { Connect-Vms $hasty -Verbose -Debug -WhatIf }
            Try-It { Connect-Vms $hasty -Verbose -Debug }
            Try-It { Get-VmsModuleConfig }
            """);

        Assert.Equal("", string.Join('\n', result.Errors.Split('\n').Where(line => line.StartsWith("ERROR", StringComparison.Ordinal))));
        Assert.Contains("DEMO-VMS", result.Output, StringComparison.Ordinal);
        Assert.Contains("the logon was refused", result.Output, StringComparison.Ordinal);
        var files = Directory.GetFiles(sandbox.Root, "*", SearchOption.AllDirectories)
            .Where(file => Path.GetDirectoryName(file) != sandbox.Root)
            .ToDictionary(file => file, File.ReadAllText);
        Assert.Contains(files, file => file.Key.StartsWith(sandbox.LogRoot, StringComparison.Ordinal));
        Assert.Contains(files, file => file.Value.Contains("NewVmsSession", StringComparison.Ordinal));
        Assert.Contains(files.Keys, file => file == sandbox.SettingsFile);
        files.Add("stdout", result.Output);
        files.Add("stderr", result.Errors);
        Assert.All(files, file => Assert.All(
            new[] { DemoVms.Password, DemoVms.Token, Wrong, "eyJ", Convert.ToBase64String("reader"u8)[..6] },
            secret => Assert.DoesNotContain(secret, file.Value, StringComparison.OrdinalIgnoreCase)));
    }
}
