//! What looks for what nobody thought of: `cargo xtask fuzz`, `sanitize` and `chaos`. See docs/testing.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::cargo::{cargo, target};
use crate::stages::stage;
use crate::tools::{self, Outcome, root};
use crate::windows::DEBIANS_COMPILER;

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

/// Runs libFuzzer on each target, or one, with the address sanitizer, on the compiler that is pinned. What it finds is kept in
/// `target/fuzz` for the next run. An input that breaks a promise ends the command, with its file.
pub fn fuzz(only: Option<&str>, seconds: u64) -> Outcome<()> {
    needs_linux()?;
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

fn needs_linux() -> Outcome<()> {
    let is_linux = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if is_linux { Ok(()) } else { Err("this command runs on Linux with an x86-64 processor".to_owned()) }
}

/// Plays the rounds of `tests/it/chaos.rs` for some minutes, and prints what came of each.
pub fn chaos(minutes: u64, seed: Option<u64>) -> Outcome<()> {
    needs_linux()?;
    let mut build = cargo();
    tools::run(build.args(["build", "--quiet", "--locked", "--package", "vms-telemetry", "--example", "child"]))?;
    let mut test = cargo();
    test.args([
        "test",
        "--quiet",
        "--locked",
        "--package",
        "vms-telemetry",
        "--test",
        "it",
        "chaos",
        "--",
        "--nocapture",
    ]);
    test.env("VMS_TEST_CHAOS", (minutes * 60).to_string());
    test.envs(seed.map(|seed| ("VMS_TEST_SEED", seed.to_string())));
    tools::run(&mut test)
}

/// A sanitizer of LLVM.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sanitizer {
    /// Memory that is not ours, or freed; and leaks
    Address,
    /// Data races
    Thread,
}

/// Tests of `tests/it` without a tracer, which a sanitizer does not run under.
const SANITIZED: [&str; 12] = [
    "c_abi::",
    "consent::",
    "crash::",
    "delivery::",
    "ends::",
    "http::",
    "https::",
    "receipts::",
    "session::",
    "unsure::",
    "vms::",
    "vms_client::",
];

/// Runs the unit tests, the C ABI's calls in any order, the scenarios and the C programs with every access to memory checked.
pub fn sanitize(sanitizer: Sanitizer) -> Outcome<()> {
    needs_linux()?;
    let name = if sanitizer == Sanitizer::Address { "address" } else { "thread" };
    let folder = target().join(name);
    let sysroot = tools::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    let runtimes = sysroot.join("lib/rustlib").join(SYSTEM).join("lib");
    let mut flags = vec![format!("-Zsanitizer={name}")];
    let (mut c_flags, mut compiler) = ("-fsanitize=address".to_owned(), None);
    if sanitizer == Sanitizer::Thread {
        let runtime =
            format!("-Wl,--whole-archive,{}/librustc-stable_rt.tsan.a,--no-whole-archive", runtimes.display());
        // GCC has a runtime of its own, which lacks what LLVM's compiler asks for.
        c_flags = format!("{runtime} -rdynamic -lstdc++ -lm -lrt");
        if !sysroot.join("lib/rustlib/src").exists() {
            // Debian's compiler has the sources and no runtime: programs, and no libraries, are linked with that of the pinned one.
            let linker = folder.join("cc");
            let script = format!(
                "#!/bin/sh\ncase \" $* \" in *\" -shared \"*) exec cc \"$@\" ;; esac\nexec cc {runtime} \"$@\" \
                 -Wl,--no-as-needed -lstdc++ -lpthread -ldl -lrt -lm -lgcc_s -lc\n"
            );
            #[cfg(unix)]
            tools::write_program(&linker, &script)?;
            compiler = Some(("RUSTC", DEBIANS_COMPILER));
            flags.extend(["-Zexternal-clangrt".to_owned(), format!("-Clinker={}", linker.display())]);
        }
    }
    let prepare = |subcommand: &str| {
        let mut command = cargo();
        command.args([subcommand, "--quiet", "--locked", "--target", SYSTEM, "--package", "vms-telemetry"]);
        // Locks of a standard library that is not checked itself would be taken for races.
        command.args((sanitizer == Sanitizer::Thread).then_some("-Zbuild-std"));
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("RUSTC_BOOTSTRAP", "1").envs(compiler);
        command.env("CARGO_TARGET_DIR", &folder).env("CARGO_INCREMENTAL", "0");
        command
    };
    stage(&format!("build with the {name} sanitizer"), || {
        tools::run(prepare("build").args(["--lib", "--example", "child"]))
    })?;
    stage(&format!("tests with the {name} sanitizer"), || {
        let mut test = prepare("test");
        test.args(["--package", "vms-fuzz", "--lib", "--bins", "--test", "it", "--"]);
        // The filter is for all programs: the unit tests have other names.
        test.args(SANITIZED).args(["tests::", "consent_model::"]);
        tools::run(test.env("VMS_TEST_C_FLAGS", c_flags).env("RUST_TEST_THREADS", "4"))
    })
}
