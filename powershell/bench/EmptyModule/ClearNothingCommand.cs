using System.Management.Automation;

namespace EmptyModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Clear, "Nothing")]
public sealed class ClearNothingCommand : PSCmdlet
{
}
