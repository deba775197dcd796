using System;
using System.Globalization;
using System.Management.Automation.Host;

namespace VmsHost;

/// <summary>A host without a user: it shows what it is told to, and takes the exit code.</summary>
internal sealed class ScriptHost : PSHost
{
    /// <summary>Gets what the script passed to <c>exit</c>; null: it did not exit.</summary>
    internal int? ExitCode { get; private set; }

    public override string Name => "VmsHost";

    public override Version Version { get; } = typeof(ScriptHost).Assembly.GetName().Version!;

    public override Guid InstanceId { get; } = Guid.NewGuid();

    public override PSHostUserInterface UI { get; } = new ScriptHostUI();

    public override CultureInfo CurrentCulture => CultureInfo.CurrentCulture;

    public override CultureInfo CurrentUICulture => CultureInfo.CurrentUICulture;

    public override void SetShouldExit(int exitCode) => ExitCode = exitCode;

    public override void EnterNestedPrompt() => throw new NotSupportedException();

    public override void ExitNestedPrompt() => throw new NotSupportedException();

    public override void NotifyBeginApplication()
    {
    }

    public override void NotifyEndApplication()
    {
    }
}
