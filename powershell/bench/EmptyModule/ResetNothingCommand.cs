using System.Management.Automation;

namespace EmptyModule;

/// <summary>Does nothing.</summary>
[Cmdlet(VerbsCommon.Reset, "Nothing")]
public sealed class ResetNothingCommand : PSCmdlet
{
}
