using System.Management.Automation;

namespace FloorModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Clear, "Nothing")]
public sealed class ClearNothingCommand : PSCmdlet
{
}
