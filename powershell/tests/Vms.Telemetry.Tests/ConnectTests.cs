using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause P3: Connect-Vms logs on to a VMS, and P4: what it says where it cannot.</summary>
public sealed class ConnectTests
{
    private const string Import = "Import-Module VmsTelemetry";
    private const string TokenEndpoint = "/idp/connect/token";
    private const string Discovery = "/api/.well-known/uris";
    private const string Sites = "/api/rest/v1/sites";

    /// <summary>.NET outside Windows has NTLM from a package; Wine has it with a part of Samba that is not there.</summary>
    private static bool HasNtlm { get; } = OperatingSystem.IsWindows()
        ? !Given.IsWine
        : Directory.Exists("/etc/gss/mech.d") && Directory.GetFiles("/etc/gss/mech.d", "*ntlmssp*").Length > 0;

    /// <summary>Gives what Connect-Vms needs for a user.</summary>
    private static string User(string user) => user switch
    {
        "basic" => "-BasicUser -Credential " + DemoVms.Credential("reader"),
        "windows" => "-Credential " + DemoVms.Credential("DEMO\\operator"),
        "token" => "-AccessToken " + DemoVms.Secure(DemoVms.Token),
        "current" => "",
        _ => throw new ArgumentOutOfRangeException(nameof(user)),
    };

    [Theory]
    [InlineData("basic", "BasicUser")]
    [InlineData("windows", "WindowsUser")]
    [InlineData("token", "OAuthUser")]
    public async Task P3_each_kind_of_user_connects_and_the_counts_are_those_of_the_VMS(string user, string type)
    {
        Assert.SkipWhen(user == "windows" && !HasNtlm, "NTLM is missing: Wine has none here; elsewhere apt-get install gss-ntlmssp.");
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Import}}
            "none: $(Get-VmsConnection)"
            $c = Connect-Vms {{vms.Address}} {{User(user)}} -IncludeChildSites
            "$($c.Name)|$($c.Id)|$($c.Address)|$($c.Version)|$($c.Product)|$($c.UserType)|$($c.EncryptionEnabled)"
            "$($c.ChildSites.Count) $($c.ChildSites[0].Version) $($c.ChildSites.Name)"
            {{DemoVms.Counted}}
            "$($c.IsCounting) $($c.ItemsCounted -gt 0) $($c.UsageDataPolicy) $($c.IsReported)"
            "same: $([object]::ReferenceEquals($c, (Get-VmsConnection)))"
            Disconnect-Vms
            "none: $(Get-VmsConnection)"
            """,
            3);

        Assert.Equal(
            [
                "none:",
                $"DEMO-VMS|{Sample.Site}|{vms.Address}|25.1.1804.0|XProtect Corporate 2025 R1|{type}|False",
                "4 25.1.1804.0 Child site 1 Child site 2 Child site 3 Child site 4",
                "False True On True",
                "same: True",
                "none:",
            ],
            result.Quiet().Lines);
        Assert.Equal(["NewSession", "NewVmsSession", "CloseVmsSession"], events.Select(sent => sent.Name));
        Assert.Equal(type, events[1].Properties["UserType"]);
        Assert.Equal(vms.Counts.OrderBy(count => count.Key), events[1].Measurements.OrderBy(count => count.Key));
    }

    /// <summary>Nobody who runs tests is a user of the demo VMS.</summary>
    [Fact]
    public async Task P3_P4_the_current_Windows_user_is_the_usual_one()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        await Fails(sandbox, vms.Address, "", "VmsLogonRefused", "AuthenticationError");
    }

    [Theory]
    [InlineData("reader", "wrong", true, "VmsLogonRefused", "AuthenticationError")]
    [InlineData("nobody", DemoVms.Password, true, "VmsLogonRefused", "AuthenticationError")]
    [InlineData("locked", DemoVms.Password, true, "VmsUserLocked", "AuthenticationError")]
    [InlineData("novice", DemoVms.Password, true, "VmsPasswordExpired", "AuthenticationError")]
    [InlineData("guard", DemoVms.Password, true, "VmsAccessDenied", "PermissionDenied")]
    [InlineData("DEMO\\operator", "wrong", false, "VmsLogonRefused", "AuthenticationError")]
    [InlineData("operator@demo.example", DemoVms.Password, false, "VmsLogonRefused", "AuthenticationError")]
    [InlineData("reader", DemoVms.Password, false, "VmsLogonRefused", "AuthenticationError")]
    public async Task P3_P4_a_user_who_cannot_log_on(string user, string password, bool isBasic, string id, string category)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        var with = (isBasic ? "-BasicUser " : "") + "-Credential " + DemoVms.Credential(user, password);
        await Fails(sandbox, vms.Address, with, id, category);
    }

    /// <summary>Functions pass switches on as values: a basic user's password is not taken for one then.</summary>
    [Fact]
    public async Task P3_P4_a_switch_that_says_no_is_as_none()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        var with = "-BasicUser:$false -Credential " + DemoVms.Credential("reader");
        await Fails(sandbox, vms.Address, with, "VmsLogonRefused", "AuthenticationError");
    }

    [Theory]
    [InlineData("wrong", "VmsLogonRefused", "AuthenticationError")]
    [InlineData("old-" + DemoVms.Token, "VmsLogonRefused", "AuthenticationError")]
    [InlineData("", "VmsCredentialInvalid", "InvalidArgument")]
    public async Task P3_P4_a_token_that_is_not_taken(string token, string id, string category)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        await Fails(sandbox, vms.Address, "-AccessToken " + DemoVms.Secure(token), id, category);
    }

    /// <summary>What a basic user meets, the native library judges; what a Windows user meets at the token endpoint, .NET.</summary>
    [Theory]
    [InlineData("basic", Discovery, "redirect https://vms.example/api/.well-known/uris", "VmsRedirected", "ProtocolError")]
    [InlineData("basic", Discovery, "repeat 1073741824", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("basic", Discovery, "404 <p>nothing</p>", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("basic", Discovery, "502 <p>nobody</p>", "VmsServerError", "ResourceUnavailable")]
    [InlineData("basic", Discovery, "close 10", "VmsUnreachable", "ConnectionError")]
    [InlineData("basic", TokenEndpoint, "redirect http://127.0.0.2:1/", "VmsRedirected", "ProtocolError")]
    [InlineData("basic", TokenEndpoint, "500 ", "VmsServerError", "ResourceUnavailable")]
    [InlineData("basic", TokenEndpoint, "200 {\"access_token\":7}", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("basic", Sites, "repeat 1073741824", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("basic", Sites, "200 {\"array\":{}}", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("basic", Sites, "close 100", "VmsUnreachable", "ConnectionError")]
    [InlineData("windows", TokenEndpoint, "redirect http://127.0.0.2:1/", "VmsRedirected", "ProtocolError")]
    [InlineData("windows", TokenEndpoint, "repeat 1073741824", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "repeat 60000", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "header 10000000", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "close 10", "VmsUnreachable", "ConnectionError")]
    [InlineData("windows", TokenEndpoint, "500 ", "VmsServerError", "ResourceUnavailable")]
    [InlineData("windows", TokenEndpoint, "404 ", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "200 ", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "200 {\"access_token\":7}", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "200 {\"access_token\":\"x", "VmsAnswerInvalid", "InvalidResult")]
    [InlineData("windows", TokenEndpoint, "200 {\"access_token\":\"x\"}", "VmsLogonRefused", "AuthenticationError")]
    public async Task P3_P4_a_server_that_does_not_do_as_it_should(
        string user,
        string path,
        string effect,
        string id,
        string category)
    {
        using var sandbox = new Sandbox();
        var fault = DemoVms.Fault(path, Effect(effect));
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });

        await Fails(sandbox, vms.Address, User(user), id, category);
    }

    [Theory]
    [InlineData("basic")]
    [InlineData("windows")]
    public async Task P3_P4_a_token_of_any_length_gets_through_or_is_refused(string user)
    {
        using var sandbox = new Sandbox();
        // Longer than one piece of a JSON reader; and longer than a text may be.
        foreach (var (length, id, category) in new[]
        {
            (7_000, "VmsLogonRefused", "AuthenticationError"),
            (9_000, user == "windows" ? "VmsAnswerInvalid" : "VmsLogonRefused", user == "windows" ? "InvalidResult" : "AuthenticationError"),
        })
        {
            var fault = DemoVms.Fault(TokenEndpoint, Effect($"200 {{\"access_token\":\"{new string('x', length)}\"}}"));
            using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });
            await Fails(sandbox, vms.Address, User(user), id, category);
        }
    }

    /// <summary>What functions pass on that were given no credential.</summary>
    [Fact]
    public async Task P3_P4_an_empty_credential_is_the_current_user_or_an_error_that_names_it()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        const string Empty = "-Credential ([pscredential]::Empty)";

        await Fails(sandbox, vms.Address, Empty, "VmsLogonRefused", "AuthenticationError");
        var result = await sandbox.Script($"{Import}; try {{ Connect-Vms {vms.Address} -BasicUser {Empty} }} catch {{ \"$($_.FullyQualifiedErrorId) $_\" }}; exit 0");

        Assert.Equal(
            "VmsCredentialInvalid,Vms.Telemetry.PowerShell.ConnectVmsCommand The logon cannot be tried: the name in -Credential: it is required.",
            Assert.Single(result.Quiet().Lines));
    }

    [Fact]
    public async Task P3_I6_a_site_id_that_is_a_path_is_refused()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox, new { site = DemoVms.Site(@"..\..\x") });

        await Fails(sandbox, vms.Address, User("basic"), "VmsAnswerInvalid", "InvalidResult");
        Assert.Empty(Directory.GetFiles(sandbox.LocalData, "site-*", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData("basic", Discovery)]
    [InlineData("basic", TokenEndpoint)]
    [InlineData("windows", TokenEndpoint)]
    public async Task P3_P4_a_server_that_is_too_slow(string user, string path)
    {
        using var sandbox = new Sandbox();
        // In the usual time it would answer.
        var fault = DemoVms.Fault(path, delay: 20_000);
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });

        await Fails(sandbox, vms.Address, User(user) + " -TimeoutSec 1", "VmsTimeout", "OperationTimeout");
    }

    [Fact]
    public async Task P3_P4_a_server_that_is_not_there()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatRefuses();

        await Fails(sandbox, silence.Address, User("basic"), "VmsUnreachable", "ConnectionError");
    }

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
    [InlineData("basic")]
    [InlineData("windows")]
    public async Task P3_P4_a_certificate_that_nobody_trusts_is_refused_and_taken_on_request(string user)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox, new { tls = "selfSigned" });
        Assert.StartsWith("https:", vms.Address, StringComparison.Ordinal);

        await Fails(sandbox, vms.Address, User(user), "VmsCertificateRefused", "SecurityError");
        var with = User(user) + " -SkipCertificateCheck -SecureOnly";
        var result = await sandbox.Script($"{Import}; $c = Connect-Vms {vms.Address} {with}; \"$c $($c.EncryptionEnabled)\"");

        Assert.StartsWith("WARNING: The server's certificate is not checked", result.Errors, StringComparison.Ordinal);
        if (user == "basic" || HasNtlm)
        {
            Assert.Equal((0, "DEMO-VMS True"), (result.ExitCode, Assert.Single(result.Lines)));
        }
        else
        {
            Assert.Contains("VmsLogonRefused", result.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task P6_a_bare_name_never_ends_on_HTTP_and_the_error_says_what_would()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        var result = await sandbox.Script($"{Import}; Connect-Vms {vms.BareAddress} {User("basic")}");

        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("ERROR: VmsNotEncrypted,", result.Errors, StringComparison.Ordinal);
        Assert.Contains("http://" + vms.BareAddress, result.Errors, StringComparison.Ordinal);
        await Fails(sandbox, vms.BareAddress, User("basic"), "VmsNotEncrypted", "SecurityError");
        await Fails(sandbox, vms.Address, User("basic") + " -SecureOnly", "VmsNotEncrypted", "SecurityError");
    }

    /// <summary>The warning stops the command: it comes before anything is sent, as the names are those of no computer.</summary>
    [Theory]
    [InlineData("http://vms.example", true)]
    [InlineData("HTTP://vms.example:8080/", true)]
    [InlineData("http://127.0.0.1.example", true)]
    [InlineData("http://[2001:db8::1]", true)]
    [InlineData("http://reader:secret@vms.example", true)]
    [InlineData("http://vms.example -SecureOnly", false)]
    [InlineData("http://vms.example -WhatIf", false)]
    [InlineData("http://localhost:{0}", false)]
    [InlineData("http://127.0.0.2:{0}", false)]
    [InlineData("http://[::1]:{0}", false)]
    [InlineData("127.0.0.1:{0}", false)]
    public async Task P6_plain_HTTP_to_another_computer_comes_with_a_warning_before_anything_is_sent(string address, bool isWarned)
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatRefuses();
        var at = string.Format(null, address, new Uri(silence.Address).Port);

        var result = await sandbox.Script($"{Import}; Connect-Vms {at} {User("basic")} -WarningAction Stop");

        Assert.Equal(isWarned, result.Errors.StartsWith("WARNING: http:// is not encrypted", StringComparison.Ordinal));
        Assert.Equal(isWarned, result.Errors.Contains("ERROR: ActionPreferenceStop,", StringComparison.Ordinal));
        Assert.DoesNotContain("secret", result.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("DEMO/operator")]
    [InlineData("DEMO\\operator")]
    public async Task P3_a_Windows_user_connects_with_either_separator(string user)
    {
        Assert.SkipWhen(!HasNtlm, "NTLM is missing: Wine has none here; elsewhere apt-get install gss-ntlmssp.");
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        var result = await sandbox.Script($"{Import}; $c = Connect-Vms {vms.Address} -Credential {DemoVms.Credential(user)}; \"$c\"");

        Assert.Equal("DEMO-VMS", Assert.Single(result.Quiet().Lines));
    }

    [Fact]
    public async Task P3_a_redirection_to_HTTPS_on_the_same_host_is_followed()
    {
        using var sandbox = new Sandbox();
        using var secure = await DemoVms.Start(sandbox, new { tls = "selfSigned" });
        var fault = DemoVms.Fault(Discovery, Effect($"redirect {secure.Address}api/.well-known/uris"));
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { fault } });

        var result = await sandbox.Script(
            $"{Import}; $c = {vms.Connect} -SkipCertificateCheck; \"$($c.Address) $($c.EncryptionEnabled)\"");

        Assert.Equal((0, secure.Address + " True"), (result.ExitCode, Assert.Single(result.Lines)));
    }

    /// <summary>Clause P3: a connect that would last an hour ends when it is told to, whoever waits for what.</summary>
    [Theory]
    [InlineData("basic", Discovery)]
    [InlineData("basic", TokenEndpoint)]
    [InlineData("windows", TokenEndpoint)]
    public async Task P3_Ctrl_C_ends_a_connect_at_once(string user, string path)
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox, new { faults = new[] { DemoVms.Fault(path, delay: 3_600_000) } });
        var result = await sandbox.Script(
            $$"""
            $shell = [PowerShell]::Create([InitialSessionState]::CreateDefault2())
            $call = $shell.AddScript('{{Import}}; Connect-Vms {{vms.Address}} {{User(user).Replace("'", "''", StringComparison.Ordinal)}} -TimeoutSec 3600').BeginInvoke()
            while (-not $shell.Streams.Progress.Count) { [Threading.Thread]::Sleep(10) }
            # On this computer the server is found in less time.
            [Threading.Thread]::Sleep(2000)
            $shell.Stop()
            "$($shell.InvocationStateInfo.State) $($shell.Streams.Error.Count)"
            {{Import}}
            "none: $(Get-VmsConnection)"
            """);

        Assert.Equal(["Stopped 0", "none:"], result.Quiet().Lines);
    }

    [Fact]
    public async Task P3_progress_is_shown_and_taken_away()
    {
        using var sandbox = new Sandbox();
        var faults = new[] { DemoVms.Fault("/api/rest/v1/cameras", delay: 80_000) };
        using var vms = await DemoVms.Start(sandbox, new { faults });

        var result = await sandbox.Script(
            $$"""
            $shell = [PowerShell]::Create([InitialSessionState]::CreateDefault2())
            [void]$shell.AddScript('{{Import}}; $c = {{vms.Connect.Replace("'", "''", StringComparison.Ordinal)}}; Disconnect-Vms').Invoke()
            $shell.Streams.Progress | ForEach-Object { "$($_.RecordType) $($_.Activity): $($_.StatusDescription -replace '[0-9]+', 'n')" }
            $ids = [Collections.Generic.HashSet[int]]::new([int[]]@($shell.Streams.Progress.ActivityId))
            "$($ids.Count) $($shell.Streams.Progress[0].ActivityId -gt 1000)"
            """);

        // The last line: all have one id, and none that a script would choose for a progress of its own.
        Assert.Equal(
            [
                $"Processing Connecting to {vms.Address}: Logging on",
                $"Completed Connecting to {vms.Address}:",
                "Processing Disconnecting: Waiting a second at most for the counts, n so far",
                "Completed Disconnecting:",
                "1 True",
            ],
            result.Quiet().Lines);
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

    /// <summary>Clause P2: what people see where they look at a connection, in a console of 120 columns.</summary>
    [Fact]
    public async Task P2_a_connection_is_a_table_that_fits_a_console()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);

        var result = await sandbox.Script($"{Import}; [void]({vms.Connect}); Get-VmsConnection; Get-VmsConnection | Out-Host");

        // Without the colours.
        var lines = Regex.Replace(result.Quiet().Output, @"\x1b\[[0-9;]*m", "").Trim().ReplaceLineEndings("\n").Split('\n');
        Assert.All(lines, line => Assert.InRange(line.TrimEnd().Length, 0, 119));
        Assert.Equal("DEMO-VMS", lines[0]);
        Assert.Equal(["Name", "Address", "Product", "UserType"], Words(lines[2]));
        Assert.Equal(["DEMO-VMS", vms.Address, "XProtect", "Corporate", "2025", "R1", "BasicUser"], Words(lines[4]));
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

    private static object Effect(string words)
    {
        var (what, rest) = words.Split(' ', 2) is [var first, var more] ? (first, more) : throw new ArgumentException(words);
        return what switch
        {
            "redirect" => new { redirect = rest },
            "repeat" => new { repeat = new { text = "[", bytes = long.Parse(rest, null) } },
            "close" => new { closeAfter = int.Parse(rest, null) },
            "header" => new { hugeHeader = int.Parse(rest, null) },
            _ => new { answer = new { status = int.Parse(what, null), contentType = "application/json", body = rest } },
        };
    }

    /// <summary>Insists on an error record with a sentence about the server, and on no connection.</summary>
    private static async Task Fails(Sandbox sandbox, string address, string with, string id, string category)
    {
        var result = await sandbox.Script(
            $$"""
            {{Import}}
            try {
                Connect-Vms {{address}} {{with}} -WarningAction Ignore
            } catch {
                "Id=$($_.FullyQualifiedErrorId)"
                "Category=$($_.CategoryInfo.Category)"
                "Target=$($_.TargetObject)"
                "Words=$_"
            }
            "Connection=$(Get-VmsConnection)"
            exit 0
            """);

        var said = result.Quiet().Values;
        Assert.Equal((id + ",Vms.Telemetry.PowerShell.ConnectVmsCommand", category), (said["Id"], said["Category"]));
        Assert.Equal((address, ""), (said["Target"], said["Connection"]));
        var named = id == "VmsCredentialInvalid" ? "-AccessToken" : address.Split("//")[^1].TrimEnd('/');
        Assert.Contains(named, said["Words"], StringComparison.Ordinal);
        // What happened, and what to do.
        Assert.Matches(@"^.+\. .+\.$|^The logon cannot be tried: .+\.$", said["Words"]);
        Assert.DoesNotContain(DemoVms.Password, result.Output, StringComparison.Ordinal);
    }

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
