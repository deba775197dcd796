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
    private static readonly string[] s_hosts = ["ConsoleHost", "Windows PowerShell ISE Host", "Visual Studio Code Host"];

    /// <summary>Variables that build servers set.</summary>
    private static readonly string[] s_buildServers = ["CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION"];

    /// <summary>Parameters of pwsh and powershell.exe that leave a prompt, in any abbreviation.</summary>
    private static readonly string[] s_switches = ["NoExit", "NoLogo", "NoProfile", "Login", "Interactive", "MTA", "STA"];

    /// <summary>The same, of those that a value follows.</summary>
    private static readonly string[] s_valued =
        ["ExecutionPolicy", "EP", "WorkingDirectory", "WD", "WindowStyle", "Version", "SettingsFile"];

    private static readonly Lazy<bool> s_isPersonThere = new(IsPersonThere);
    private static volatile bool s_isShown;

    /// <summary>Gets whether requests wait for the notice: somebody is at a prompt, and has not been told.</summary>
    internal static bool IsOwed => !s_isShown && s_isPersonThere.Value && !WasShown();

    /// <summary>
    /// Gets the file, in the data folder of the native library. It is read before the session starts, so the library is not asked.
    /// </summary>
    private static string File => Path.Combine(LocalData(), "Milestone", "MilestonePSTools", "notice.txt");

    /// <summary>Shows the notice if it is owed. It stays owed where nobody can see it, and while telemetry is off.</summary>
    internal static void Show(PSCmdlet command)
    {
        if (!IsOwed || !s_hosts.Contains(command.Host.Name) || ModuleSession.ReadConfig() is not { EnableTelemetry: true } config)
        {
            return;
        }

        Write(command, "VmsTelemetry sends anonymous usage events (import, connect, disconnect) to " + config.Endpoint
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

    private static string LocalData()
    {
        var isWindows = Path.DirectorySeparatorChar == '\\';
        return isWindows && Environment.GetEnvironmentVariable("LOCALAPPDATA") is { Length: > 0 } folder
            ? folder
            : Environment.GetFolderPath(
                Environment.SpecialFolder.LocalApplicationData,
                Environment.SpecialFolderOption.DoNotVerify);
    }

    private static string Fields() => "Shown when these events and fields were the list:\n"
        + string.Concat(FieldMeanings.Events.Select(one => one.Name + ": " + string.Join(", ", one.Fields) + "\n"));

    /// <summary>
    /// Returns whether this process has a prompt: not a script, a scheduled task, a job, a remote session or a build. Where that
    /// is not clear, the answer is no, and the process behaves as any script does.
    /// </summary>
    private static bool IsPersonThere()
    {
        var arguments = Environment.GetCommandLineArgs();
        if (s_buildServers.Any(name => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name))))
        {
            return false;
        }

        // The editors have no console. Visual Studio Code starts its host with a command.
        return arguments.Take(1).Any(IsEditor)
            || arguments.Any(argument => argument.Contains("Start-EditorServices"))
            || (!Console.IsInputRedirected && !Console.IsOutputRedirected && EndsAtPrompt(arguments));
    }

    private static bool IsEditor(string program) =>
        Path.GetFileNameWithoutExtension(program).Equals("powershell_ise", StringComparison.OrdinalIgnoreCase);

    private static bool EndsAtPrompt(string[] arguments)
    {
        var hasNoExit = false;
        for (var index = 1; index < arguments.Length; index++)
        {
            var name = arguments[index].TrimStart('-', '/');
            bool Is(string parameter) => parameter.StartsWith(name, StringComparison.OrdinalIgnoreCase);
            var isParameter = name.Length > 1 && name.Length < arguments[index].Length;
            if (isParameter && s_valued.Any(Is))
            {
                index++;
            }
            else if (isParameter && s_switches.Any(Is))
            {
                hasNoExit |= s_switches.First(Is) == "NoExit";
            }
            else
            {
                // A script or a command, or what this module does not know.
                return hasNoExit && !(isParameter && "NonInteractive".StartsWith(name, StringComparison.OrdinalIgnoreCase));
            }
        }

        return true;
    }
}
