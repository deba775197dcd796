//! `cargo xtask test`: every test there is, on what is shipped.

use std::fs;
use std::time::Instant;

use vms_collector::Collector;

use crate::build::{self, Built, library_name};
use crate::tools::{Outcome, cargo, dotnet, isolate, listen, root, run};

/// What the runners counted.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs everything, each stage with its time, and ends with the sum. Later stages run even where tests of an earlier one
/// failed; a stage that cannot run at all ends everything.
pub fn run_all() -> Outcome<()> {
    let mut tally = Tally::default();
    let header = fs::read(root().join("include/vms_telemetry.h")).unwrap_or_default();
    stage("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    stage("lints", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    })?;
    stage("documentation", || {
        run(cargo().args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    let built = stage("build", build::all)?;
    if fs::read(root().join("include/vms_telemetry.h")).unwrap_or_default() != header {
        return Err("include/vms_telemetry.h was out of date; it is generated anew now: commit it".to_owned());
    }
    stage("C# format", || run(dotnet().args(["format", "VmsTelemetry.slnx", "--verify-no-changes", "--no-restore"])))?;
    stage("Rust and C tests", || rust(&built, &mut tally))?;
    stage("managed tests", || managed(&built, &mut tally))?;
    println!("\n{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    match (tally.passed, tally.failed) {
        (0, _) => Err("no test ran".to_owned()),
        (_, 0) => Ok(()),
        (_, failed) => Err(format!("{failed} tests failed")),
    }
}

fn stage<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = work()?;
    println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

fn rust(built: &Built, tally: &mut Tally) -> Outcome<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]).env("VMS_TEST_NATIVE", &built.native);
    let (success, printed) = listen(&mut command)?;
    let before = tally.failed;
    for line in printed.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        tally.passed += count(line, "passed");
        tally.failed += count(line, "failed");
        tally.skipped += count(line, "ignored");
    }
    if success || tally.failed > before { Ok(()) } else { Err("the tests could not be built or run".to_owned()) }
}

fn managed(built: &Built, tally: &mut Tally) -> Outcome<()> {
    let collector =
        Collector::start().map_err(|error| format!("the collector cannot listen on this computer: {error}"))?;
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let mut command = std::process::Command::new(build::program("Vms.Telemetry.Tests"));
    isolate(&mut command, home.path());
    command
        .args(["-noLogo", "-noColor"])
        .env("VMS_TEST_MODULE", &built.module)
        .env("VMS_TEST_NATIVE", built.native.join(library_name()))
        .env("VMS_TEST_HOST", &built.host)
        .env("VMS_TEST_LIBRARY_HOST", &built.library_host)
        .env("VMS_TEST_COLLECTOR", collector.url());
    let (success, printed) = listen(&mut command)?;
    // The runner's last line: "Total: 52, Errors: 0, Failed: 0, Skipped: 1, Not Run: 0, Time: 12.345s".
    let summary = printed.lines().rev().find(|line| line.contains("Total: ")).unwrap_or_default();
    let (total, failed) = (count(summary, "Total"), count(summary, "Failed") + count(summary, "Errors"));
    let skipped = count(summary, "Skipped");
    tally.passed += total.saturating_sub(failed + skipped);
    tally.failed += failed;
    tally.skipped += skipped;
    if success || failed > 0 { Ok(()) } else { Err("the managed tests could not be run".to_owned()) }
}

/// Finds the number beside a word, as in "32 passed" or "Failed: 0".
fn count(line: &str, word: &str) -> u64 {
    let parts: Vec<&str> = line.split([',', ';', '.']).map(str::trim).collect();
    let number = |part: &&str| part.split([' ', ':']).find_map(|piece| piece.parse().ok());
    parts.iter().filter(|part| part.contains(word)).find_map(number).unwrap_or(0)
}
