using System;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Vms.Telemetry.Tests;

/// <summary>Clauses S1, S2 and S4: importing starts a session, one per process, and nothing waits for it.</summary>
public sealed class SessionTests
{
    private const string Import = "Import-Module VmsTelemetry";

    [Fact]
    public async Task S1_E1_import_sends_one_NewSession_with_all_fields()
    {
        using var sandbox = new Sandbox();
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Import}}
            "Session=$((Get-VmsModuleConfig).SessionId)"
            "Processors=$([Environment]::ProcessorCount)"
            "Framework=$([Runtime.InteropServices.RuntimeInformation]::FrameworkDescription)"
            "System=$([Runtime.InteropServices.RuntimeInformation]::OSDescription)"
            "Private=$([Diagnostics.Process]::GetCurrentProcess().PrivateMemorySize64)"
            """,
            1);

        var said = result.Quiet().Values;
        var sent = Assert.Single(events);
        Assert.Equal("NewSession", sent.Name);
        Assert.Equal(
            ["AssemblyVersion", "FrameworkDescription", "OSDescription", "SessionId", "uuid"],
            sent.Properties.Keys.Order());
        Assert.Equal(["PrivateBytes", "ProcessorCount"], sent.Measurements.Keys.Order());
        Assert.Equal(said["Session"], sent.Properties["SessionId"]);
        Assert.Equal(Product.Version, sent.Properties["AssemblyVersion"]);
        Assert.Equal(said["System"], sent.Properties["OSDescription"]);
        Assert.Equal(said["Framework"], sent.Properties["FrameworkDescription"]);
        Assert.Equal(said["Processors"], $"{sent.Measurements["ProcessorCount"]}");
        Assert.InRange(sent.Measurements["PrivateBytes"], 1 << 20, 1L << 40);
        // .NET on Wine does not know its own; else the script looks a moment later, when the engine has grown.
        if (said["Private"] != "0")
        {
            var difference = double.Parse(said["Private"], null) - sent.Measurements["PrivateBytes"];
            Assert.InRange(Math.Abs(difference), 0, 64 << 20);
        }

        Assert.Equal('4', sent.Properties["SessionId"][14]);
        Assert.Equal('4', sent.Properties["uuid"][14]);
    }

    [Fact]
    public async Task S2_every_further_import_joins_the_session()
    {
        using var sandbox = new Sandbox();
        using var vms = await DemoVms.Start(sandbox);
        var (result, events) = await sandbox.ScriptWithEvents(
            $$"""
            {{Import}}
            (Get-VmsModuleConfig).SessionId.Guid
            {{Import}}
            {{Import}} -Force
            (Get-VmsModuleConfig).SessionId.Guid
            $runspace = [RunspaceFactory]::CreateRunspace([InitialSessionState]::CreateDefault2())
            $runspace.Open()
            $shell = [PowerShell]::Create($runspace)
            $shell.AddScript('{{Import}}; (Get-VmsModuleConfig).SessionId.Guid').Invoke()
            Remove-Module VmsTelemetry
            {{Import}}
            (Get-VmsModuleConfig).SessionId.Guid
            [void]({{vms.Connect}})
            """,
            2);

        Assert.Equal(4, result.Quiet().Lines.Length);
        Assert.Single(result.Lines.Distinct());
        Assert.Equal(["NewSession", "NewVmsSession"], events.Select(sent => sent.Name));
        Assert.All(events, sent => Assert.Equal(result.Lines[0], sent.Properties["SessionId"]));
        Assert.Empty(sandbox.Spooled);
    }

    [Fact]
    public async Task S2_another_process_is_another_session_of_the_same_user()
    {
        using var sandbox = new Sandbox();
        await sandbox.ScriptWithEvents(Import, 1);
        var (_, events) = await sandbox.ScriptWithEvents(Import, 2);

        Assert.Equal(["NewSession", "NewSession"], events.Select(sent => sent.Name));
        Assert.Equal(2, events.Select(sent => sent.Properties["SessionId"]).Distinct().Count());
        Assert.Single(events.Select(sent => sent.Properties["uuid"]).Distinct());
    }

    [Fact]
    public async Task S4_D1_exit_does_not_wait_for_an_answer_and_a_later_session_sends()
    {
        using var sandbox = new Sandbox();
        using var silence = Silence.ThatListens();
        sandbox.SendTo(silence.Address);
        using (var child = sandbox.StartScript($"{Import}; Remove-Module VmsTelemetry; {Child.Wait}; exit 7"))
        {
            await silence.Request();
            child.GoOn();
            var result = await child.End();

            Assert.Equal((7, "", ""), (result.ExitCode, result.Output, result.Errors));
            Assert.Single(sandbox.Spooled);
        }

        silence.BecomeCollector();
        sandbox.ForgetFailures();
        var (_, events) = await sandbox.ScriptWithEvents(Import, 2);
        Assert.Equal(["NewSession", "NewSession"], events.Select(sent => sent.Name));
        Assert.Empty(sandbox.Spooled);
    }
}
