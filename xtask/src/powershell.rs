//! The real PowerShell, for tests, demo and bench: the .NET tool that `.config/dotnet-tools.json` names, and with it Pester.
//!
//! The tool ships as intermediate code, so each start compiles the same code again. Its engine is compiled once, by crossgen2:
//! a start then takes half the time, as it does where PowerShell is installed. On Windows the tool runs as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tools::{Outcome, clear, copy, copy_folder, dotnet, files, output, root, run};
use crate::windows;

/// What names the versions of all that is fetched.
const MANIFESTS: [&str; 2] = [".config/dotnet-tools.json", "powershell/shell/Shell.csproj"];

/// The assemblies that a start and these tests need most.
const COMPILED: [&str; 6] = [
    "System.Management.Automation",
    "Microsoft.PowerShell.ConsoleHost",
    "Microsoft.PowerShell.Commands.Utility",
    "Microsoft.PowerShell.Commands.Management",
    "Microsoft.PowerShell.Security",
    "pwsh",
];

/// PowerShell for Windows programs under Wine.
pub struct ForWine {
    /// `pwsh.exe`.
    pub program: PathBuf,
    /// The folder that `DOTNET_ROOT` names there.
    pub runtime: PathBuf,
}

impl ForWine {
    /// The variables that it needs.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        let [telemetry, updates, colors] = QUIET.map(|(name, value)| (name, value.to_owned()));
        [telemetry, updates, colors, ("DOTNET_ROOT", windows::path(&self.runtime))]
    }
}

/// It sends nothing, looks for no update and writes plain text.
const QUIET: [(&str, &str); 3] =
    [("POWERSHELL_TELEMETRY_OPTOUT", "1"), ("POWERSHELL_UPDATECHECK", "Off"), ("NO_COLOR", "1")];

/// Prepares PowerShell for a script or command; the arguments that say which are the caller's to add.
pub fn command() -> Outcome<Command> {
    let mut command = Command::new("dotnet");
    command.arg(assembly()?).args(["-NoProfile", "-NonInteractive"]).envs(QUIET);
    Ok(command)
}

/// Gives the path of `pwsh.dll` for this system, which `dotnet` runs.
pub fn assembly() -> Outcome<PathBuf> {
    let folder = once("shell", |folder| {
        let packages = Packages::restore()?;
        let tool = packages.tool(if cfg!(windows) { "win" } else { "unix" })?;
        copy_folder(&tool, folder)?;
        if !cfg!(windows) {
            packages.compile_tool(&tool, folder, std::env::consts::OS, std::slice::from_ref(&packages.framework))?;
        }
        // Where this PowerShell, and no other one, looks for modules.
        copy_folder(&packages.package("pester", "PesterVersion").join("tools"), &folder.join("Modules/Pester"))
    })?;
    Ok(folder.join("pwsh.dll"))
}

/// The folder of Pester, for a PowerShell that is not ours.
pub fn pester() -> Outcome<PathBuf> {
    Ok(assembly()?.with_file_name("Modules").join("Pester"))
}

/// Gives PowerShell for Wine, and a runtime for it, as its packages have the parts.
pub fn for_wine() -> Outcome<ForWine> {
    let folder = once("wine", |folder| {
        let packages = Packages::restore()?;
        let runtime = folder.join("dotnet");
        let version = packages.text("RuntimeVersion");
        let mut frameworks = Vec::new();
        // PowerShell's own tables of types name some of the desktop's.
        for name in ["Microsoft.NETCore.App", "Microsoft.WindowsDesktop.App"] {
            let package = packages.package(&format!("{name}.Runtime.win-x64").to_lowercase(), "RuntimeVersion");
            let framework = runtime.join("shared").join(name).join(version);
            for part in ["native", "lib/net10.0"] {
                copy_folder(&package.join("runtimes/win-x64").join(part), &framework)?;
            }
            frameworks.push(framework);
        }
        let resolver = "hostfxr.dll";
        copy(&frameworks[0].join(resolver), &runtime.join("host/fxr").join(version).join(resolver))?;
        let tool = packages.tool("win")?;
        let shell = folder.join("shell");
        copy_folder(&tool, &shell)?;
        packages.compile_tool(&tool, &shell, "windows", &frameworks)?;
        copy_folder(&packages.package("pester", "PesterVersion").join("tools"), &shell.join("Modules/Pester"))
    })?;
    Ok(ForWine { program: folder.join("shell/pwsh.exe"), runtime: folder.join("dotnet") })
}

/// Compiles a module's assembly ahead, for PowerShell 7 on this system.
pub fn compile_ahead(assembly: &Path, into: &Path) -> Outcome<()> {
    let packages = Packages::restore()?;
    let tool = packages.tool(if cfg!(windows) { "win" } else { "unix" })?;
    packages.compile(assembly, into, std::env::consts::OS, &[packages.framework.clone(), tool])
}

/// The files of tests in PowerShell, in the order of their names.
pub fn pester_files() -> Outcome<Vec<PathBuf>> {
    let folder = root().join("powershell/tests");
    let files = files(&folder)?.into_iter().filter(|file| file.to_string_lossy().ends_with(".Tests.ps1"));
    Ok(files.map(|file| folder.join(file)).collect())
}

/// Makes a folder unless it is there, made of the versions that are named now.
fn once(name: &str, make: impl FnOnce(&Path) -> Outcome<()>) -> Outcome<PathBuf> {
    let mut versions = String::new();
    for manifest in MANIFESTS {
        versions += &fs::read_to_string(root().join(manifest)).map_err(|error| format!("{manifest}: {error}"))?;
    }
    let all = root().join("target/powershell");
    let folder = all.join(name);
    let stamp = folder.join("versions");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == versions) {
        return Ok(folder);
    }
    println!("making {} (once; half a minute)", folder.display());
    let failed = |error| format!("{} cannot be made: {error}", folder.display());
    fs::create_dir_all(&all).map_err(failed)?;
    // Beside the place, so that what is in it is always whole, whoever else makes it.
    let new = tempfile::tempdir_in(&all).map_err(failed)?;
    make(new.path())?;
    fs::write(new.path().join("versions"), &versions).map_err(failed)?;
    clear(&folder)?;
    match fs::rename(new.keep(), &folder) {
        Err(error) if !stamp.exists() => Err(failed(error)),
        _ => Ok(folder),
    }
}

/// The packages, as NuGet has them on this computer.
struct Packages {
    /// What the project says of itself.
    properties: Value,
    /// The assemblies of this system's .NET.
    framework: PathBuf,
}

impl Packages {
    fn restore() -> Outcome<Self> {
        run(dotnet().args(["tool", "restore", "--verbosity", "quiet"]))?;
        run(dotnet().args(["restore", "shell", "--verbosity", "quiet"]))?;
        let mut query = dotnet();
        query.args(["msbuild", "shell", "-getProperty:NuGetPackageRoot,NetCoreTargetingPackRoot"]);
        query.arg("-getProperty:RuntimeVersion,PesterVersion,NETCoreSdkPortableRuntimeIdentifier");
        query.arg("-getProperty:BundledNETCoreAppPackageVersion");
        let mut properties: Value = serde_json::from_slice(&output(&mut query)?)
            .map_err(|error| format!("what dotnet says of powershell/shell cannot be read: {error}"))?;
        let properties = properties["Properties"].take();
        let text = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
        let framework = Path::new(&text("NetCoreTargetingPackRoot"))
            .with_file_name("shared/Microsoft.NETCore.App")
            .join(text("BundledNETCoreAppPackageVersion"));
        Ok(Self { properties, framework })
    }

    fn text(&self, property: &str) -> &str {
        self.properties[property].as_str().unwrap_or_default()
    }

    fn package(&self, name: &str, version: &str) -> PathBuf {
        Path::new(self.text("NuGetPackageRoot")).join(name).join(self.text(version))
    }

    /// The folder of PowerShell for a system.
    fn tool(&self, system: &str) -> Outcome<PathBuf> {
        let manifest = fs::read(root().join(MANIFESTS[0])).map_err(|error| error.to_string())?;
        let manifest: Value = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
        let version = manifest["tools"]["powershell"]["version"].as_str().unwrap_or_default();
        let packages = Path::new(self.text("NuGetPackageRoot"));
        Ok(packages.join("powershell").join(version).join("tools/net10.0/any").join(system))
    }

    /// Compiles a tool's assemblies for a system into a folder.
    fn compile_tool(&self, tool: &Path, folder: &Path, system: &str, frameworks: &[PathBuf]) -> Outcome<()> {
        let references = [frameworks, &[tool.to_owned()]].concat();
        let files = COMPILED.map(|name| format!("{name}.dll"));
        files.iter().try_for_each(|file| self.compile(&tool.join(file), &folder.join(file), system, &references))
    }

    /// Compiles an assembly ahead.
    fn compile(&self, assembly: &Path, into: &Path, system: &str, references: &[PathBuf]) -> Outcome<()> {
        let host = self.text("NETCoreSdkPortableRuntimeIdentifier");
        let compiler = self.package(&format!("microsoft.netcore.app.crossgen2.{host}"), "RuntimeVersion");
        let mut command = Command::new(compiler.join("tools/crossgen2"));
        command.arg(assembly).arg("--out").arg(into).arg("--optimize");
        for references in references {
            command.arg("--reference").arg(references.join("*.dll"));
        }
        let arch = if system == "windows" { "x64" } else { rid_arch(host) };
        output(command.args(["--targetos", system, "--targetarch", arch])).map(drop)
    }
}

/// The processor in a name such as `linux-x64`.
fn rid_arch(rid: &str) -> &str {
    rid.rsplit('-').next().unwrap_or(rid)
}
