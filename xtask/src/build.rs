//! `cargo xtask build`: what is shipped, in `out/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::tools::{Outcome, both, cargo, copy, copy_folder, dotnet, output, root, run, runtime_identifier};
use crate::{fields, header, windows};

/// The assembly of the PowerShell module.
const MODULE_ASSEMBLY: &str = "Vms.Telemetry.PowerShell";

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
pub fn all(with_windows: bool) -> Outcome<Built> {
    header::generate()?;
    fields::generate()?;
    let windows = || match with_windows && !cfg!(windows) {
        true => Ok(Some(self::native(windows::RUNTIME_IDENTIFIER, &windows::library()?)?)),
        false => Ok(None),
    };
    let ((native, windows), ()) = both(|| both(here, windows), managed)?;
    let module = module(&[Some(&native), windows.as_ref()])?;
    println!("module:         {}\nnative library: {}", module.display(), native.display());
    Ok(Built { module, native, windows })
}

/// Builds this system's library.
fn here() -> Outcome<PathBuf> {
    // The cdylib alone: cargo leaves out link-time optimization where it makes an rlib in the same go, and a quarter of
    // the size is in it.
    let what = ["rustc", "--release", "--locked", "--package", "vms-telemetry", "--lib", "--crate-type", "cdylib"];
    run(reproducible(&mut cargo())?.args(what))?;
    native(&runtime_identifier(), &target().join("release").join(library_name()))
}

/// Builds all that is managed.
fn managed() -> Outcome<()> {
    let how = ["--configuration", "Release", "-warnaserror", "--verbosity", "quiet"];
    run(dotnet().args(["build", "VmsTelemetry.slnx"]).args(how))
}

/// Takes the folders of this computer out of what a release build leaves in its files: two builds of one commit are
/// equal, wherever they lie.
pub fn reproducible(command: &mut Command) -> Outcome<&mut Command> {
    // Of several that match, the last one holds.
    let mut flags = vec![(root(), "/vms-telemetry"), (target(), "/target")];
    let sources = registry_sources()?;
    flags.extend(sources.into_iter().map(|folder| (folder, "/registry")));
    let flags: Vec<String> =
        flags.iter().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect();
    // Flags behind an unprintable character, so that a folder may have a blank in its name.
    Ok(command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))
}

/// The folders that cargo unpacks its packages into.
fn registry_sources() -> Outcome<BTreeSet<PathBuf>> {
    let packages = metadata()?["packages"].take();
    let is_foreign = |package: &&Value| package["source"].is_string();
    let folder = |package: &Value| Path::new(package["manifest_path"].as_str()?).ancestors().nth(2).map(Path::to_owned);
    Ok(packages.as_array().into_iter().flatten().filter(is_foreign).filter_map(folder).collect())
}

/// What cargo knows of all packages.
pub fn metadata() -> Outcome<Value> {
    let output = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    serde_json::from_slice(&output).map_err(|error| format!("cargo's metadata cannot be read: {error}"))
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
    let assembly = format!("{MODULE_ASSEMBLY}.dll");
    copy(&artifacts(MODULE_ASSEMBLY).join(&assembly), &folder.join(&assembly))?;
    for native in natives.iter().flatten() {
        let entries = fs::read_dir(native).map_err(|error| format!("{} cannot be read: {error}", native.display()))?;
        for file in
            entries.flatten().map(|entry| entry.path()).filter(|file| file.extension().is_some_and(|kind| kind != "h"))
        {
            let target = folder.join(native.file_name().unwrap_or_default());
            copy(&file, &target.join(file.file_name().unwrap_or_default()))?;
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

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Removes a folder where there is one.
pub fn clear(folder: &Path) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be cleared: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
