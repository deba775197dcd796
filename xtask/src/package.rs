//! `cargo xtask package`: what people install, in `dist/`. Two builds of one commit are equal, byte for byte.

pub mod archive;
mod kit;
mod linked;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::build::{self, Built, library_name};
use crate::cargo::target;
use crate::tools::{Outcome, clear, dotnet, output, root, run, runtime_identifier};
use crate::{needs, windows};
pub use archive::read;
use archive::{Files, file};
use linked::Linked;

/// The name of the PowerShell module.
const MODULE: &str = "VmsTelemetry";
/// The name of the .NET library.
const LIBRARY: &str = "Vms.Telemetry";

/// A system that there is a native library for.
pub struct System {
    /// Its name in .NET, as "linux-x64".
    rid: String,
    /// Its name for the compiler.
    target: String,
    library: PathBuf,
}

impl System {
    fn is_windows(&self) -> bool {
        self.rid.starts_with("win-")
    }
}

/// Builds everything and packs it; what cannot be built here is said, and left out.
pub fn run_all() -> Outcome<()> {
    needs::check(&[needs::windows_build()])?;
    make(&build::all(windows::can_build(), build::SHIPPED)?).map(drop)
}

/// Packs what was built, and gives the folder of the module.
pub fn make(built: &Built) -> Outcome<PathBuf> {
    let systems = systems(built)?;
    let all: Vec<&System> = systems.iter().collect();
    let linked = Linked::read(&systems)?;
    let dist = root().join("dist");
    clear(&dist)?;

    let module = module(built, &linked, &all)?;
    archive::write(&dist.join("module").join(MODULE).join(version()), &module)?;
    nuget("src/Vms.Telemetry.PowerShell", &module)?;
    nuget("src/Vms.Telemetry", &library(&linked, &all)?)?;
    let versioned = archive::below(&format!("{MODULE}/{}", version()), &module);
    let mut packages = Files::from([(format!("{MODULE}-{}.zip", version()), archive::zip(&versioned)?)]);
    for system in &systems {
        let name = format!("vms-telemetry-c-{}-{}", version(), system.rid);
        let mut kit = kit::files(system)?;
        kit.extend(legal(&linked, &[system])?);
        if system.is_windows() {
            packages.insert(format!("{name}.zip"), archive::zip(&archive::below(&name, &kit))?);
        } else {
            packages.insert(format!("{name}.tar.gz"), archive::tar_gz(&name, &kit)?);
        }
    }
    packages.extend(legal(&linked, &all)?);
    archive::write(&dist, &packages)?;
    let sums = archive::read(&dist)?.iter().fold(String::new(), |sums, (name, content)| sums + &sum(name, content));
    crate::tools::write(&dist.join("SHA256SUMS"), sums.as_bytes())?;
    println!("packages:       {}", dist.display());
    Ok(dist.join("module").join(MODULE).join(version()))
}

/// A line of SHA256SUMS.
fn sum(name: &str, content: &[u8]) -> String {
    let digits: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}  {name}\n")
}

/// Packs a project for NuGet with files that are given. What else the package says stands in the project.
fn nuget(project: &str, files: &Files) -> Outcome<()> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    archive::write(folder.path(), files)?;
    let mut pack = dotnet();
    pack.args(["pack", project, "--no-build", "--configuration", "Release", "--verbosity", "quiet", "--output"]);
    run(pack.arg(root().join("dist")).arg(format!("-p:PackageFiles={}/", folder.path().display())))
}

/// Builds the packages again from a copy of the sources in another folder, with what was built of the dependencies, and
/// compares.
pub fn again() -> Outcome<()> {
    let folder = copy_of_sources()?;
    compare(
        &sums_of(folder.path(), Some(&target()))?,
        &fs::read_to_string(root().join("dist/SHA256SUMS")).unwrap_or_default(),
    )
}

/// The same, from nothing and in two places.
pub fn reproduce() -> Outcome<()> {
    let folders = [copy_of_sources()?, copy_of_sources()?];
    let [one, two] = folders.each_ref().map(|folder| sums_of(folder.path(), None));
    compare(&one?, &two?)
}

/// Lays a copy of the sources into a folder of its own, with a blank in its name.
fn copy_of_sources() -> Outcome<TempDir> {
    let folder = tempfile::Builder::new().prefix("another place ").tempdir();
    let folder = folder.map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in String::from_utf8_lossy(&output(&mut git)?).split_terminator('\0') {
        // What was deleted and is not committed yet is listed as well.
        if root().join(name).exists() {
            crate::tools::copy(&root().join(name), &folder.path().join(name))?;
        }
    }
    Ok(folder)
}

/// Has this program make the packages from the sources in a folder.
fn sums_of(folder: &Path, target: Option<&Path>) -> Outcome<String> {
    let this = std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    let mut package = Command::new(this);
    package.arg("package").current_dir(folder).env("CARGO_MANIFEST_DIR", folder.join("xtask"));
    match target {
        Some(target) => package.env("CARGO_TARGET_DIR", target),
        None => package.env_remove("CARGO_TARGET_DIR"),
    };
    output(&mut package)?;
    file(&folder.join("dist/SHA256SUMS")).map(|sums| String::from_utf8_lossy(&sums).into_owned())
}

fn compare(one: &str, two: &str) -> Outcome<()> {
    let differ: Vec<&str> = one.lines().filter(|line| !two.contains(line)).collect();
    if one == two { Ok(()) } else { Err(format!("two builds of one commit differ:\n{}", differ.join("\n"))) }
}

/// Prepares `dotnet` as whoever installs our packages has it, with `dist` as a feed. It unpacks into the folder that is
/// given; what else is needed is shared with all other projects of this user.
pub fn consumer(unpacked: &Path) -> Outcome<Command> {
    let listed = output(dotnet().args(["nuget", "locals", "global-packages", "--list", "--force-english-output"]))?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let shared = Path::new(listed.trim().strip_prefix("global-packages: ").ok_or("NuGet names no folder of packages")?);
    let own = shared.join(LIBRARY.to_lowercase()).join(version());
    if own.exists() {
        return Err(format!("{} would be taken instead of the package just made: remove it", own.display()));
    }
    let mut command = dotnet();
    // For MSBuild these are properties.
    command.env("NUGET_PACKAGES", unpacked).env("RestoreFallbackFolders", shared);
    command.env("RestoreAdditionalProjectSources", root().join("dist"));
    Ok(command)
}

/// Builds the programs that take the library as a package, and gives `dotnet` for those that are to follow.
pub fn hosts() -> Outcome<impl Fn() -> Outcome<Command>> {
    let unpacked = root().join("target/dotnet/installed");
    clear(&unpacked)?;
    for host in ["LibraryHost", "FrameworkHost"] {
        let what = ["build", host, "--configuration", "Release", "-warnaserror", "--verbosity", "quiet"];
        run(consumer(&unpacked)?.current_dir(root().join("powershell/hosts")).args(what))?;
    }
    Ok(move || consumer(&unpacked))
}

/// The version that stands in Cargo.toml.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn systems(built: &Built) -> Outcome<Vec<System>> {
    let printed = output(Command::new("rustc").arg("-vV"))?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let host = printed.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not name its host")?;
    let here =
        System { rid: runtime_identifier(), target: host.to_owned(), library: built.native.join(library_name()) };
    let windows = built.windows.as_ref().map(|folder| System {
        rid: windows::RUNTIME_IDENTIFIER.to_owned(),
        target: windows::TARGET.to_owned(),
        library: folder.join(windows::LIBRARY),
    });
    Ok([here].into_iter().chain(windows).collect())
}

/// What every package has: the licences, ours and those of what is linked in, and the list of that.
fn legal(linked: &Linked, systems: &[&System]) -> Outcome<Files> {
    Ok(Files::from([
        ("LICENSE.txt".to_owned(), file(&root().join("LICENSE"))?),
        ("THIRD-PARTY-LICENSES.txt".to_owned(), linked.licences(systems)),
        ("sbom.cdx.json".to_owned(), linked.sbom(systems)),
    ]))
}

/// The module: what `cargo xtask build` put together, and the papers.
fn module(built: &Built, linked: &Linked, systems: &[&System]) -> Outcome<Files> {
    let mut files = archive::read(&built.module)?;
    files.extend(legal(linked, systems)?);
    files.insert("CHANGELOG.md".to_owned(), file(&root().join("CHANGELOG.md"))?);
    Ok(files)
}

/// The .NET library with the native libraries. Symbols and sources are embedded in the assembly.
fn library(linked: &Linked, systems: &[&System]) -> Outcome<Files> {
    let mut files = legal(linked, systems)?;
    files.extend(archive::read(&root().join("packaging/nuget"))?);
    for system in systems {
        let name = system.library.file_name().unwrap_or_default().to_string_lossy();
        files.insert(format!("runtimes/{}/native/{name}", system.rid), file(&system.library)?);
    }
    Ok(files)
}
