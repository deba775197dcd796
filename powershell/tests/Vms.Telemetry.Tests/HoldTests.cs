using System;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clause S6: the command that opts out sends nothing, however it is loaded and however long it takes.</summary>
public sealed class HoldTests
{
    /// <summary>More than a session and an import hold back the first request.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(7);

    [Fact]
    public async Task S6_nothing_is_sent_while_Confirm_waits_and_nothing_after_a_yes()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatListens();
        sandbox.SendTo(silence.Address);
        using var child = sandbox.StartScript(
            "Set-VmsModuleConfig -EnableTelemetry $false -Confirm; (Get-VmsModuleConfig).EnableTelemetry");
        await sandbox.HasImported();
        await Task.Delay(s_pause, TestContext.Current.CancellationToken);
        Assert.Single(sandbox.Spooled);
        child.GoOn("y");

        Assert.Equal("False", (await child.End()).Quiet().Lines[^1]);
        Assert.False(silence.IsAsked);
        Assert.Empty(sandbox.Spooled);
    }

    /// <summary>A "no" to the question, an error before the command in its pipeline, and Ctrl+C: what waited is sent then.</summary>
    [Theory]
    [InlineData("Set-VmsModuleConfig -EnableTelemetry $false -Confirm")]
    [InlineData("try { & { [void][Console]::In.ReadLine(); throw 'x' } | Set-VmsModuleConfig } catch { }")]
    [InlineData(
        """
        $shell = [PowerShell]::Create([InitialSessionState]::CreateDefault2())
        $call = $shell.AddScript('& { while (1) { [Threading.Thread]::Sleep(10) } } | Set-VmsModuleConfig').BeginInvoke()
        [void][Console]::In.ReadLine()
        $shell.Stop()
        """)]
    public async Task S6_sending_goes_on_however_the_command_ends(string command)
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatListens();
        sandbox.SendTo(silence.Address);
        using var child = sandbox.StartScript($"{command}\n{Child.Wait}");
        await sandbox.HasImported();
        await Task.Delay(s_pause, TestContext.Current.CancellationToken);
        Assert.False(silence.IsAsked);
        child.GoOn("n");
        await silence.Request().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        child.GoOn();
        await child.End();
    }

    [Fact]
    public async Task S6_opting_out_as_the_first_command_of_a_process_sends_nothing_on_a_busy_computer()
    {
        using var silence = Silence.ThatListens();
        await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ =>
        {
            using var sandbox = new Sandbox();
            sandbox.SendTo(silence.Address);
            var result = await sandbox.Script("Set-VmsModuleConfig -EnableTelemetry $false; [Threading.Thread]::Sleep(2000)");
            Assert.Equal("", result.Quiet().Output);
        }));
        Assert.False(silence.IsAsked);
    }
}
