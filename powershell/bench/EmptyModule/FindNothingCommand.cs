using System.Management.Automation;

namespace EmptyModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Find, "Nothing")]
public sealed class FindNothingCommand : PSCmdlet
{
}
