using System;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Starts the session when the module is imported. Removing the module ends nothing: the session is the process's,
/// and a connection that nobody closed is not reported as closed.
/// </summary>
public sealed class ModuleLifetime : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    /// <inheritdoc/>
    public void OnImport()
    {
        try
        {
            // Finding out whether somebody wants to know takes longer than whether there is something to tell.
            if (ModuleSession.Current.HasTrouble)
            {
                ImportCommand.WriteVerbose(ModuleSession.WhyNothingIsSent);
            }
        }
        catch (Exception)
        {
            // No failure of telemetry keeps the module from being imported; Get-VmsModuleConfig shows what it is.
        }
    }

    /// <inheritdoc/>
    public void OnRemove(PSModuleInfo psModuleInfo)
    {
        // Returns at once; what is not sent yet lies on disk.
    }
}
