using System;
using System.IO;
using System.Linq;
using System.Management.Automation;

namespace Vms.Telemetry.PowerShell;

/// <summary>
/// The two lines that a person sees at the first use of a command, once for each user and each edition of the list of fields. A
/// file in the data folder has the list that the user was told of.
/// </summary>
internal static class Notice
{
    /// <summary>Hosts whose console a person reads. Jobs and remote sessions have others, which would use the notice up.</summary>
    private const string Hosts = "ConsoleHost;Windows PowerShell ISE Host;Visual Studio Code Host";

    /// <summary>Parameters of pwsh and powershell.exe that leave a prompt, in any abbreviation.</summary>
    private const string Switches = " NoExit NoLogo NoProfile Login Interactive MTA STA";

    /// <summary>The same, of those that a value follows.</summary>
    private const string Valued = " ExecutionPolicy EP WorkingDirectory WD WindowStyle Version SettingsFile";

    private static bool? s_isPersonThere;

    /// <summary>Once shown, also by an earlier process, the file is not read again.</summary>
    private static volatile bool s_isShown;

    /// <summary>
    /// Returns whether requests wait for the notice: somebody is at a prompt, and has not been told. An import asks, so what most
    /// processes need has few methods.
    /// </summary>
    internal static bool IsOwed() => !s_isShown && (s_isPersonThere ??= IsPersonThere()) && !(s_isShown = WasShown());

    /// <summary>
    /// Gets the file, in the data folder of the native library. It is read before the session starts, so the library is not asked.
    /// </summary>
    private static string File => Path.Combine(LocalData(), "Milestone", "MilestonePSTools", "notice.txt");

    /// <summary>Shows the notice if it is owed. It stays owed where nobody can see it, and while telemetry is off.</summary>
    internal static void Show(PSCmdlet command)
    {
        if (!IsOwed() || !Hosts.Split(';').Contains(command.Host.Name) || ModuleSession.ReadConfig() is not { EnableTelemetry: true } config)
        {
            return;
        }

        Write(command, "VmsTelemetry sends usage events (import, connect, disconnect) to " + config.Endpoint
            + ". To see them: Get-VmsTelemetryEvent -Preview");
        Write(command, "To opt out: Set-VmsModuleConfig -EnableTelemetry $false. More: Get-Help about_VmsTelemetry."
            + " This notice is shown once.");
        s_isShown = true;
        try
        {
            System.IO.File.WriteAllText(File, Fields());
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The next process shows it again.
        }
    }

    private static void Write(PSCmdlet command, string line) =>
        command.WriteInformation(new HostInformationMessage { Message = line }, ["PSHOST"]);

    private static bool WasShown()
    {
        try
        {
            var (file, fields) = (new FileInfo(File), Fields());
            return file.Exists && file.Length == fields.Length && System.IO.File.ReadAllText(file.FullName) == fields;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string LocalData() =>
        NativeLibraryLoader.IsWindows && Environment.GetEnvironmentVariable("LOCALAPPDATA") is { Length: > 0 } folder
            ? folder
            : Environment.GetFolderPath(
                Environment.SpecialFolder.LocalApplicationData,
                Environment.SpecialFolderOption.DoNotVerify);

    private static string Fields() => "Shown when these events and fields were the list:\n"
        + string.Concat(FieldMeanings.Events.Select(one => one.Name + ": " + string.Join(", ", one.Fields) + "\n"));

    /// <summary>
    /// Returns whether this process has a prompt: not a script, a scheduled task, a job, a remote session or a build. Where that
    /// is not clear, the answer is no, and the process behaves as any script does.
    /// </summary>
    private static bool IsPersonThere()
    {
        var arguments = Environment.GetCommandLineArgs();
        var hasNoExit = false;
        for (var index = 1; index < arguments.Length; index++)
        {
            var argument = arguments[index];
            var name = argument.Length > 2 && argument[0] is '-' or '/' ? " " + argument.Substring(1) : "?";
            if (Valued.IndexOf(name, StringComparison.OrdinalIgnoreCase) >= 0)
            {
                index++;
            }
            else if (Switches.IndexOf(name, StringComparison.OrdinalIgnoreCase) >= 0)
            {
                hasNoExit |= name.StartsWith(" noe", StringComparison.OrdinalIgnoreCase);
            }
            else if (!hasNoExit || name.StartsWith(" noni", StringComparison.OrdinalIgnoreCase))
            {
                // A script or a command, or what this module does not know. Visual Studio Code starts its host with a command.
                return argument.Contains("Start-EditorServices");
            }
            else
            {
                break;
            }
        }

        return HasConsole(arguments.Length > 0 ? arguments[0] : "");
    }

    private static bool HasConsole(string program)
    {
        foreach (var name in new[] { "CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION" })
        {
            if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name)))
            {
                return false;
            }
        }

        // The editor has no console.
        return Path.GetFileNameWithoutExtension(program).Equals("powershell_ise", StringComparison.OrdinalIgnoreCase)
            || (!Console.IsInputRedirected && !Console.IsOutputRedirected);
    }
}
