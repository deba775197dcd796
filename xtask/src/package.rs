//! `cargo xtask package`: what people install, in `dist/`. Two builds of one commit are equal, byte for byte.

mod archive;
mod kit;
mod linked;
mod nuget;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::build::{self, Built, library_name};
use crate::tools::{Outcome, dotnet, output, root, run, runtime_identifier};
use crate::windows;
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
    let obstacle = windows::missing_to_package();
    let built = build::all(obstacle.is_none())?;
    make(&built)?;
    if let Some(words) = obstacle {
        println!("\nWithout Windows: {words}.");
    }
    Ok(())
}

/// Packs what was built, and gives the folder of the module.
pub fn make(built: &Built) -> Outcome<PathBuf> {
    let systems = systems(built)?;
    let all: Vec<&System> = systems.iter().collect();
    let linked = Linked::read(&systems)?;
    let dist = root().join("dist");
    build::clear(&dist)?;

    let module = module(built, &linked, &all)?;
    archive::write(&dist.join("module").join(MODULE).join(version()), &module)?;
    let mut packages = Files::new();
    let versioned = archive::below(&format!("{MODULE}/{}", version()), &module);
    packages.insert(format!("{MODULE}-{}.zip", version()), archive::zip(&versioned)?);
    packages.insert(format!("{MODULE}.{}.nupkg", version()), archive::zip(&module_package(module)?)?);
    packages.insert(format!("{LIBRARY}.{}.nupkg", version()), archive::zip(&library_package(&linked, &all)?)?);
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
    let mut sums = String::new();
    for (name, content) in archive::read(&dist)? {
        sums += &format!("{}  {name}\n", nuget::hex(&Sha256::digest(&content)));
    }
    archive::write(&dist, &Files::from([("SHA256SUMS".to_owned(), sums.into_bytes())]))?;
    println!("packages:       {}", dist.display());
    Ok(dist.join("module").join(MODULE).join(version()))
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
    build::clear(&unpacked)?;
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

/// The module as the PowerShell Gallery takes it. Its search knows a module's commands and editions by tags.
fn module_package(files: Files) -> Outcome<Files> {
    let manifest = String::from_utf8_lossy(&file(&root().join("powershell/module/VmsTelemetry.psd1"))?).into_owned();
    let mut tags = vec!["PSModule".to_owned()];
    tags.extend(list(&manifest, "CompatiblePSEditions").iter().map(|edition| format!("PSEdition_{edition}")));
    for (key, sort) in [("CmdletsToExport", "Cmdlet"), ("FunctionsToExport", "Function")] {
        let names = list(&manifest, key);
        if !names.is_empty() {
            tags.push(format!("PSIncludes_{sort}"));
        }
        for name in names {
            tags.push(format!("PS{sort}_{name}"));
            tags.push(format!("PSCommand_{name}"));
        }
    }
    tags.extend(list(&manifest, "Tags"));
    let description = value(&manifest, "Description")?;
    let about = nuget::About {
        id: MODULE,
        version: version(),
        title: MODULE,
        description: &description,
        home: env!("CARGO_PKG_HOMEPAGE"),
        release_notes: &release_notes()?,
        tags,
        more: "",
    };
    Ok(nuget::package(&about, files))
}

/// The .NET library with the native libraries. Symbols and sources are embedded in the assembly.
fn library_package(linked: &Linked, systems: &[&System]) -> Outcome<Files> {
    let mut files = legal(linked, systems)?;
    files.extend(archive::read(&root().join("packaging/nuget"))?);
    for kind in ["dll", "xml"] {
        let name = format!("{LIBRARY}.{kind}");
        files.insert(format!("lib/netstandard2.0/{name}"), file(&build::artifacts(LIBRARY).join(&name))?);
    }
    for system in systems {
        let name = system.library.file_name().unwrap_or_default().to_string_lossy();
        files.insert(format!("runtimes/{}/native/{name}", system.rid), file(&system.library)?);
    }
    let about = nuget::About {
        id: LIBRARY,
        version: version(),
        title: "Usage telemetry for Milestone XProtect tools",
        description: "Usage telemetry for .NET programs that connect to a Milestone XProtect VMS: three anonymous events, \
                      sent to Application Insights unless somebody said no.",
        home: env!("CARGO_PKG_HOMEPAGE"),
        release_notes: &release_notes()?,
        tags: ["Milestone", "XProtect", "VMS", "telemetry"].map(str::to_owned).to_vec(),
        more: "    <readme>README.md</readme>
    <dependencies>
      <group targetFramework=\".NETStandard2.0\" />
    </dependencies>
",
    };
    Ok(nuget::package(&about, files))
}

/// The newest section of the changelog.
fn release_notes() -> Outcome<String> {
    let page = String::from_utf8_lossy(&file(&root().join("CHANGELOG.md"))?).into_owned();
    let section = page.split("\n## ").nth(1).and_then(|section| Some(section.split_once('\n')?.1.trim().to_owned()));
    section.ok_or_else(|| "CHANGELOG.md has no section".to_owned())
}

/// Reads a list of a manifest, as in `Tags = @('Milestone', 'VMS')`.
fn list(manifest: &str, key: &str) -> Vec<String> {
    let entry = assigned(manifest, key).and_then(|rest| rest.strip_prefix("@(")?.split(')').next());
    entry.into_iter().flat_map(|names| names.split('\'').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Reads a text of a manifest, as in `Description = '…'`.
fn value(manifest: &str, key: &str) -> Outcome<String> {
    let text = assigned(manifest, key).and_then(|rest| rest.strip_prefix('\'')?.split('\'').next());
    text.map(str::to_owned).ok_or_else(|| format!("the manifest has no {key}"))
}

fn assigned<'a>(manifest: &'a str, key: &str) -> Option<&'a str> {
    let mut entries =
        manifest.match_indices(key).map(|(start, _)| manifest.get(start + key.len()..).unwrap_or_default());
    entries.find_map(|rest| Some(rest.trim_start().strip_prefix('=')?.trim_start()))
}
