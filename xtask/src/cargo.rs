//! What cargo knows, and how it builds what is shipped.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

use crate::tools::{Outcome, root};

/// Prepares `cargo`, the one that runs this program. What that says of this program's own package is taken out: build scripts
/// run again where such a variable differs.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Takes the folders of this computer out of what a release build leaves in its files. The repository's own folder is in
/// the flags of the last crate alone (`shipped`): so a build of another copy can use what was made of the dependencies.
/// `more` are flags of the caller.
pub fn reproducible<'a>(command: &'a mut Command, more: &[&str]) -> Outcome<&'a mut Command> {
    let mut flags: Vec<String> = more.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(remap(&target(), "/target"));
    flags.extend(registry_sources()?.iter().map(|folder| remap(folder, "/registry")));
    // Flags behind an unprintable character, so that a folder may have a blank in its name.
    Ok(command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))
}

/// Builds the shared library as it is shipped, with a cargo that is given with its subcommand `rustc`. The cdylib alone:
/// cargo leaves out link-time optimization where it makes an rlib in the same go, and a quarter of the size is in it.
pub fn shipped(command: &mut Command) -> Outcome<()> {
    let what = ["--release", "--locked", "--package", "vms-telemetry", "--lib", "--crate-type", "cdylib", "--"];
    crate::tools::run(reproducible(command, &[])?.args(what).arg(remap(&root(), "/vms-telemetry")))
}

fn remap(folder: &std::path::Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", folder.display())
}

/// The folders that cargo unpacks its packages into.
fn registry_sources() -> Outcome<BTreeSet<PathBuf>> {
    let metadata = metadata()?;
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some());
    Ok(foreign.filter_map(|package| Some(package.manifest_path.ancestors().nth(2)?.into())).collect())
}

/// What cargo knows of all packages.
pub fn metadata() -> Outcome<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(root()).other_options(["--locked".to_owned()]);
    command.exec().map_err(|error| format!("cargo's metadata cannot be read: {error}"))
}

/// Lists what the library needs when it runs, as a tree: neither what builds it nor what tests it. Gives for each crate how deep it
/// is, its name and its version.
pub fn linked(target: &str) -> Outcome<Vec<(usize, String, String)>> {
    let what = "tree --locked --package vms-telemetry --edges normal,no-proc-macro --prefix depth --no-dedupe --target";
    let printed = crate::tools::output(cargo().args(what.split(' ')).args([target, "--format", " {p}"]))?;
    // "2 ring v0.17.14".
    let crate_of = |line: &str| {
        let mut words = line.split_whitespace();
        let (depth, name, version) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        Some((depth, name.to_owned(), version.trim_start_matches('v').to_owned()))
    };
    String::from_utf8_lossy(&printed)
        .lines()
        .map(|line| crate_of(line).ok_or_else(|| format!("cargo tree: {line}")))
        .collect()
}
