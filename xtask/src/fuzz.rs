//! `cargo xtask fuzz`: libFuzzer on the targets of `src/fuzz.rs`, with the address sanitizer, on the compiler that is pinned.

use std::fs;
use std::path::Path;

use crate::cargo::{cargo, target};
use crate::stages::stage;
use crate::tools::{self, Outcome, root};

/// What libFuzzer needs to see which branches an input reaches, and the sanitizer.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "-Cdebug-assertions",
];
const SYSTEM: &str = "x86_64-unknown-linux-gnu";

/// Runs each target, or one. What it finds is kept in `target/fuzz`, for the next run; an input that breaks a promise ends the
/// command, with its file.
pub fn run(only: Option<&str>, seconds: u64) -> Outcome<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the fuzzer runs on Linux with an x86-64 processor".to_owned());
    }
    let folder = target().join("fuzz");
    stage("build of the fuzzer", || {
        let mut build = cargo();
        // The sanitizer is not stable yet, and this is no program that ships.
        build.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
        build.envs([("CARGO_PROFILE_RELEASE_LTO", "false"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")]);
        build.envs([("CARGO_PROFILE_RELEASE_STRIP", "false"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")]);
        build.args(["build", "--quiet", "--locked", "--release", "--package", "vms-fuzz", "--target", SYSTEM]);
        tools::run(build.arg("--target-dir").arg(&folder))
    })?;
    let program = folder.join(SYSTEM).join("release/vms-fuzz");
    let targets = targets()?;
    let wanted: Vec<&String> = targets.iter().filter(|target| only.is_none_or(|only| only == *target)).collect();
    if wanted.is_empty() {
        return Err(format!("there is no such target; there are {}", targets.join(", ")));
    }
    for target in wanted {
        stage(&format!("fuzz {target}"), || one(&program, &folder, target, seconds))?;
    }
    Ok(())
}

/// The targets, by the folders of their seeds.
fn targets() -> Outcome<Vec<String>> {
    let seeds = root().join("tests/fuzz/seeds");
    let folders = fs::read_dir(&seeds).map_err(|error| format!("{}: {error}", seeds.display()))?;
    let mut names: Vec<String> =
        folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn one(program: &Path, folder: &Path, target: &str, seconds: u64) -> Outcome<()> {
    let (found, broken) = (folder.join("inputs").join(target), folder.join("broken").join(target));
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut fuzzer = std::process::Command::new(program);
    // The C ABI's target has a profile of a user in a temporary folder.
    fuzzer.env("VMS_FUZZ_TARGET", target).env("TMPDIR", folder).current_dir(root());
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", broken.display()));
    // An input may take a second, and no more memory than a small one needs.
    fuzzer.args(["-timeout=1", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1", "-verbosity=0"]);
    tools::run(fuzzer.arg(&found).arg(root().join("tests/fuzz/seeds").join(target)))
        .map_err(|error| format!("{target} breaks a promise: its input is in {}\n{error}", broken.display()))
}
