using System;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// Starts the session when the module is imported. Removing the module ends nothing: the session is the process's,
/// and a connection that was not closed is not reported as closed.
/// </summary>
public sealed class ModuleLifetime : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    /// <inheritdoc/>
    public void OnImport()
    {
        try
        {
            // Whether the user asked for verbose messages takes longer to find out than whether there is one.
            if (ModuleSession.Current.HasProblem)
            {
                ImportCommand.WriteVerbose(ModuleSession.StatusMessage);
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
        // Returns at once; what is not sent yet is on disk.
    }
}
