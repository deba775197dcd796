//! `cargo xtask build`: what is shipped, in `out/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, shipped, target};
use crate::tools::{Outcome, both, clear, copy, copy_folder, dotnet, files, root, run, runtime_identifier, write};
use crate::{fields, header, help, windows};

/// The assembly of the PowerShell module.
const MODULE_ASSEMBLY: &str = "Vms.Telemetry.PowerShell";

/// The managed projects that are shipped.
pub const SHIPPED: &[&str] = &["src/Vms.Telemetry", "src/Vms.Telemetry.PowerShell"];
/// Those of tests and benches as well.
pub const EVERYTHING: &[&str] = &["VmsTelemetry.slnx"];

/// Where the parts of a build lie.
pub struct Built {
    /// The module's folder, with its manifest.
    pub module: PathBuf,
    /// The folder of this system's native library and its header.
    pub native: PathBuf,
    /// The folder of the Windows library and its header, where it was built.
    pub windows: Option<PathBuf>,
}

/// The native library's file name on this system.
pub fn library_name() -> String {
    format!("{}vms_telemetry{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Builds everything in release, on request with the Windows library. The three parts have nothing to do with each other
/// and are built at once.
pub fn all(with_windows: bool, projects: &[&str]) -> Outcome<Built> {
    header::generate()?;
    fields::generate()?;
    let windows = || match with_windows && !cfg!(windows) {
        true => Ok(Some(self::native(windows::RUNTIME_IDENTIFIER, &windows::library()?)?)),
        false => Ok(None),
    };
    let ((native, windows), ()) = both(|| both(here, windows), || managed(projects))?;
    let module = module(&[Some(&native), windows.as_ref()])?;
    println!("module:         {}\nnative library: {}", module.display(), native.display());
    Ok(Built { module, native, windows })
}

/// Builds this system's library.
fn here() -> Outcome<PathBuf> {
    shipped(cargo().arg("rustc"))?;
    native(&runtime_identifier(), &target().join("release").join(library_name()))
}

/// Builds what is managed.
fn managed(projects: &[&str]) -> Outcome<()> {
    let how = ["--configuration", "Release", "-warnaserror", "--verbosity", "quiet"];
    projects.iter().try_for_each(|project| run(dotnet().args(["build", project]).args(how)))
}

/// Puts a native library and its header in their place.
fn native(runtime_identifier: &str, library: &Path) -> Outcome<PathBuf> {
    let folder = root().join("out/native").join(runtime_identifier);
    clear(&folder)?;
    copy(library, &folder.join(library.file_name().unwrap_or_default()))?;
    copy(&root().join("include/vms_telemetry.h"), &folder.join("vms_telemetry.h"))?;
    Ok(folder)
}

/// Puts the module together: manifest and help, the one managed assembly, the native libraries.
fn module(natives: &[Option<&PathBuf>]) -> Outcome<PathBuf> {
    let folder = root().join("out/modules/VmsTelemetry");
    clear(&folder)?;
    copy_folder(&root().join("powershell/module"), &folder)?;
    write(&folder.join("en-US").join(format!("{MODULE_ASSEMBLY}.dll-Help.xml")), &help::maml()?)?;
    let assembly = format!("{MODULE_ASSEMBLY}.dll");
    copy(&artifacts(MODULE_ASSEMBLY).join(&assembly), &folder.join(&assembly))?;
    for native in natives.iter().flatten() {
        let target = folder.join(native.file_name().unwrap_or_default());
        for file in files(native)?.iter().filter(|file| file.extension().is_some_and(|kind| kind != "h")) {
            copy(&native.join(file), &target.join(file))?;
        }
    }
    Ok(folder)
}

/// The folder that a managed project is built into.
pub fn artifacts(project: &str) -> PathBuf {
    root().join("target/dotnet/bin").join(project).join("release")
}

/// A managed program, as built.
pub fn program(project: &str) -> PathBuf {
    artifacts(project).join(format!("{project}{}", std::env::consts::EXE_SUFFIX))
}

/// Publishes a managed program for Windows, with the runtime in it, and gives its path. `dotnet` is prepared for where its
/// packages come from.
pub fn windows_program(dotnet: &mut Command, project: &str, folder: &str) -> Outcome<PathBuf> {
    let rid = windows::RUNTIME_IDENTIFIER;
    let what = ["publish", folder, "--configuration", "Release", "--runtime", rid, "--self-contained"];
    run(dotnet.args(what).args(["--verbosity", "quiet"]))?;
    let published = root().join("target/dotnet/publish").join(project).join(format!("release_{rid}"));
    Ok(published.join(format!("{project}.exe")))
}
