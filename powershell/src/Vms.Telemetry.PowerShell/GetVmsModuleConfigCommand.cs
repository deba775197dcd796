using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>Shows the effective configuration, and who decided it.</summary>
[Cmdlet(VerbsCommon.Get, "VmsModuleConfig")]
[OutputType(typeof(VmsModuleConfig))]
public sealed class GetVmsModuleConfigCommand : VmsCommand
{
    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        Views.Load(this);
        WriteObject(ModuleSession.ReadConfig());
    }
}
