using System.Management.Automation;

namespace FloorModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Reset, "Nothing")]
public sealed class ResetNothingCommand : PSCmdlet
{
}
