using System.Management.Automation;

namespace FloorModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Set, "Nothing")]
public sealed class SetNothingCommand : PSCmdlet
{
}
