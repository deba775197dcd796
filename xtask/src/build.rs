//! `cargo xtask build`: what is shipped, in `out/`.

use std::fs;
use std::path::PathBuf;

use crate::tools::{Outcome, cargo, copy, copy_folder, dotnet, root, run, runtime_identifier};

/// Where the parts of a build lie.
pub struct Built {
    /// The module's folder, with its manifest.
    pub module: PathBuf,
    /// The folder of the native library and its header.
    pub native: PathBuf,
    /// The program that runs PowerShell scripts where there is no `pwsh`.
    pub host: PathBuf,
    /// A .NET program that uses the library.
    pub library_host: PathBuf,
}

/// The native library's file name on this system.
pub fn library_name() -> String {
    format!("{}vms_telemetry{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// Builds everything in release.
pub fn all() -> Outcome<Built> {
    let native = native()?;
    run(dotnet().args([
        "build",
        "VmsTelemetry.slnx",
        "--configuration",
        "Release",
        "-warnaserror",
        "--verbosity",
        "quiet",
    ]))?;
    let module = module(&native)?;
    println!("module:         {}\nnative library: {}", module.display(), native.display());
    Ok(Built { module, native, host: program("VmsHost"), library_host: program("LibraryHost") })
}

/// Builds the native library: the cdylib alone, because cargo leaves out link-time optimization where it makes an rlib in
/// the same go, and a quarter of the size is in it.
fn native() -> Outcome<PathBuf> {
    run(cargo().args([
        "rustc",
        "--release",
        "--locked",
        "--package",
        "vms-telemetry",
        "--lib",
        "--crate-type",
        "cdylib",
    ]))?;
    let folder = root().join("out/native").join(runtime_identifier());
    clear(&folder)?;
    copy(&target().join("release").join(library_name()), &folder.join(library_name()))?;
    copy(&root().join("include/vms_telemetry.h"), &folder.join("vms_telemetry.h"))?;
    Ok(folder)
}

/// Puts the module together: manifest and help, the one managed assembly, the native library.
fn module(native: &std::path::Path) -> Outcome<PathBuf> {
    const ASSEMBLY: &str = "Vms.Telemetry.PowerShell";
    let folder = root().join("out/modules/VmsTelemetry");
    clear(&folder)?;
    copy_folder(&root().join("powershell/module"), &folder)?;
    let assembly = format!("{ASSEMBLY}.dll");
    copy(&artifacts(ASSEMBLY).join(&assembly), &folder.join(&assembly))?;
    copy(&native.join(library_name()), &folder.join(runtime_identifier()).join(library_name()))?;
    Ok(folder)
}

/// The folder that a managed project is built into.
fn artifacts(project: &str) -> PathBuf {
    root().join("target/dotnet/bin").join(project).join("release")
}

/// A managed program, as built.
pub fn program(project: &str) -> PathBuf {
    artifacts(project).join(format!("{project}{}", std::env::consts::EXE_SUFFIX))
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn clear(folder: &std::path::Path) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be cleared: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
