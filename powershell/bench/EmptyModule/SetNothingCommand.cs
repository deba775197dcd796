using System.Management.Automation;

namespace EmptyModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Set, "Nothing")]
public sealed class SetNothingCommand : PSCmdlet
{
}
