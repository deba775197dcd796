using System;
using System.Linq;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Starts the session when the module is imported. Removing the module ends nothing: the session is the process's,
/// and a connection that was not closed is not reported as closed.
/// </summary>
public sealed class ModuleLifetime : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    private static readonly string[] s_commands =
    [
        "Clear-VmsTelemetryData", "Connect-Vms", "Disconnect-Vms", "Export-VmsTelemetryReport", "Get-VmsConnection",
        "Get-VmsModuleConfig",
        "Get-VmsTelemetryEvent", "Set-VmsModuleConfig", "Test-VmsTelemetryEndpoint",
    ];

    /// <inheritdoc/>
    public void OnImport()
    {
        try
        {
            var session = ModuleSession.Current;
            if (ImportCommand.FindVerbose() is { } command)
            {
                WriteVerbose(command, session);
            }
        }
        catch (Exception)
        {
            // No failure of telemetry keeps the module from being imported; Get-VmsModuleConfig shows what it is.
        }
    }

    private static void WriteVerbose(PSCmdlet command, TelemetrySession session)
    {
        if (session.HasProblem && ModuleSession.StatusMessage() is { } status)
        {
            command.WriteVerbose(status);
        }

        // Not a search for commands, which looks into all modules of the computer: between an import and the command that opts
        // out, there is no time for that.
        var hidden = s_commands.Where(name => command.InvokeProvider.Item.Exists("Function:" + name)).ToArray();
        if (hidden.Length > 0)
        {
            command.WriteVerbose("Functions of other modules hide " + string.Join(", ", hidden)
                + " of VmsTelemetry, as a function goes before a cmdlet. Use VmsTelemetry\\" + hidden[0]
                + ", or import with a prefix: Import-Module VmsTelemetry -Prefix My");
        }
    }

    /// <inheritdoc/>
    public void OnRemove(PSModuleInfo psModuleInfo)
    {
        // Returns at once; what is not sent yet is on disk.
    }
}
