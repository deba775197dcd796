using System.Management.Automation;

namespace FloorModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Find, "Nothing")]
public sealed class FindNothingCommand : PSCmdlet
{
}
