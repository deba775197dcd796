//! `cargo xtask test`: every test there is, on what is shipped, here and on Windows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use vms_collector::Collector;

use crate::build::{self, Built};
use crate::clauses::{Clauses, System};
use crate::tools::{self, Outcome, both, cargo, isolate, listen, root};
use crate::{demo, fields, header, package, powershell, windows};

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything; the Windows half where this computer can.
    All,
    /// The Windows half alone.
    Windows,
}

/// What the runners counted.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    clauses: Clauses,
}

/// Runs the stages, each with its time, and ends with the sum. Later stages run even where tests of an earlier one failed;
/// a stage that cannot run at all ends everything.
pub fn run(part: Part) -> Outcome<()> {
    let obstacle = if cfg!(windows) { None } else { windows::missing_to_package().or_else(windows::missing_to_run) };
    // In CI the Windows half is owed.
    if let (Some(words), true) = (&obstacle, part == Part::Windows || std::env::var_os("CI").is_some()) {
        return Err(words.clone());
    }
    let mut tally = Tally::default();
    // Both, so that one run shows all that is out of date.
    let stale =
        [("include/vms_telemetry.h", header::generate()?), ("docs and help of the fields", fields::generate()?)];
    let stale: Vec<&str> = stale.iter().filter(|(_, is_stale)| *is_stale).map(|(name, _)| *name).collect();
    if !stale.is_empty() {
        return Err(format!("out of date, and generated anew now: commit {}", stale.join(", ")));
    }
    if part == Part::All {
        stage("format", || tools::run(cargo().args(["fmt", "--all", "--check"])))?;
    }
    // The folder with Wine comes from the network.
    let prepare = || {
        if obstacle.is_none() {
            windows::prepare()?;
        }
        if part == Part::All { checks() } else { Ok(()) }
    };
    let (built, ()) = both(|| stage("build", || build::all(obstacle.is_none())), prepare)?;
    let (module, dotnet) = stage("packages", || Ok((package::make(&built)?, package::hosts()?)))?;
    let tests_here = part == Part::All || cfg!(windows);
    if tests_here {
        stage("PowerShell", powershell::assembly)?;
    }
    // Tests wait most of the time, builds do not.
    let run_here = || {
        if tests_here {
            stage("Rust and C tests", || rust(&built, &mut tally))?;
            stage("managed tests", || managed(&module, &mut tally))?;
            stage("demo", || demo::show(&built))?;
        }
        Ok(())
    };
    // All of them before anything runs on Windows: what waits there for a moment, waits long enough for Wine, and not for
    // compilers beside it as well.
    let build_more = || {
        let windows = built.windows.as_deref().map(|native| ForWindows::build(native, &dotnet)).transpose()?;
        let second_build = tests_here.then(|| libtest(&built, &["--bin", "xtask", "--", SECOND_BUILD])).transpose()?;
        Ok((windows, second_build))
    };
    let ((), (windows, second_build)) = both(run_here, build_more)?;
    if let Some((success, printed)) = second_build {
        tally.libtest(success, &printed, HERE)?;
    }
    match (windows, obstacle) {
        (Some(windows), _) => {
            stage("Rust and C tests on Windows", || rust_on_windows(&windows, &mut tally))?;
            stage("managed tests on Windows", || managed_on_windows(&module, &windows, &mut tally))?;
        }
        (None, Some(words)) => println!("\nThe Windows half was skipped: {words}."),
        (None, None) => {}
    }
    let whole = part == Part::All && built.windows.is_some() && tally.failed == 0;
    let clauses = if whole { tally.clauses.check() } else { Ok(()) };
    println!("\n{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    clauses?;
    match (tally.passed, tally.failed) {
        (0, _) => Err("no test ran".to_owned()),
        (_, 0) => Ok(()),
        (_, failed) => Err(format!("{failed} tests failed")),
    }
}

/// Lints and documentation of the Rust part; the managed part's are in its build.
fn checks() -> Outcome<()> {
    stage("lints", || {
        tools::run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    })?;
    stage("documentation", || {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
        tools::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })
}

fn stage<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = work()?;
    println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

fn rust(built: &Built, tally: &mut Tally) -> Outcome<()> {
    let (success, printed) = libtest(built, &["--no-fail-fast", "--", "--skip", SECOND_BUILD])?;
    tally.libtest(success, &printed, HERE)
}

fn libtest(built: &Built, arguments: &[&str]) -> Outcome<(bool, String)> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked"]).args(arguments).env("VMS_TEST_NATIVE", &built.native);
    if let Ok(program) = std::env::current_exe() {
        command.env("VMS_TEST_XTASK", program);
    }
    listen(&mut command)
}

/// The name of the test that builds everything once more.
const SECOND_BUILD: &str = "two_builds_of_one_commit_are_equal";

/// What the tests on Windows run.
struct ForWindows<'a> {
    /// The folder of the library.
    native: &'a Path,
    /// The tests of the library.
    tests: Vec<PathBuf>,
    /// The managed tests.
    managed: PathBuf,
    /// PowerShell.
    shell: powershell::ForWine,
    /// A program that takes the library as a package.
    library_host: PathBuf,
}

impl<'a> ForWindows<'a> {
    /// Builds all of it. `consumer` prepares `dotnet` for programs that take the library as a package.
    fn build(native: &'a Path, consumer: impl Fn() -> Outcome<Command>) -> Outcome<Self> {
        let programs = c_programs();
        fs::create_dir_all(&programs).map_err(|error| format!("{} cannot be created: {error}", programs.display()))?;
        for name in ["host", "layout", "logon", "smoke", "threads"] {
            windows::c_program(name, native, &programs)?;
        }
        let mut tests = windows::windows_cargo("test");
        tests.args(["--package", "vms-telemetry", "--locked", "--no-run", "--message-format=json-render-diagnostics"]);
        let messages = tools::output(&mut tests)?;
        // The VMS that the managed tests connect to; together with the packages that the tests are made of, so that nothing
        // is built twice for other features.
        let mut demo_vms = windows::windows_cargo("build");
        demo_vms.args(["--locked", "--bin", "vms-demo", "--package", "vms-demo"]);
        tools::run(demo_vms.args(["--package", "vms-telemetry", "--package", "vms-collector"]))?;
        let project = |project, folder| build::windows_program(&mut tools::dotnet(), project, folder);
        Ok(Self {
            native,
            tests: test_programs(&String::from_utf8_lossy(&messages)),
            managed: project("Vms.Telemetry.Tests", "tests/Vms.Telemetry.Tests")?,
            shell: powershell::for_wine()?,
            library_host: build::windows_program(&mut consumer()?, "LibraryHost", "hosts/LibraryHost")?,
        })
    }
}

/// The folder of the C programs for Windows.
fn c_programs() -> PathBuf {
    root().join("target/windows-programs")
}

/// Runs each program of the library's tests on Windows.
fn rust_on_windows(programs: &ForWindows<'_>, tally: &mut Tally) -> Outcome<()> {
    let variables = [
        ("VMS_TEST_NATIVE", windows::path(programs.native)),
        ("VMS_TEST_PROGRAMS", windows::path(&c_programs())),
        ("VMS_TEST_WINE", "1".to_owned()),
        // Where golden files are.
        ("CARGO_MANIFEST_DIR", windows::path(&root())),
    ];
    for test in &programs.tests {
        println!("\n     Running {}", test.display());
        let (success, printed) = listen(&mut windows::program(test, &[], &variables))?;
        tally.libtest(success, &printed, System::Windows)?;
    }
    Ok(())
}

/// Finds the test programs in cargo's messages.
fn test_programs(messages: &str) -> Vec<PathBuf> {
    let message = |line| serde_json::from_str::<serde_json::Value>(line).ok();
    let messages = messages.lines().filter_map(message).filter(|message| message["profile"]["test"] == true);
    messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect()
}

fn managed(module: &Path, tally: &mut Tally) -> Outcome<()> {
    let collector = collector()?;
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let report = home.path().join("report.xml");
    let mut command = Command::new(build::program("Vms.Telemetry.Tests"));
    isolate(&mut command, home.path());
    command
        .args(RUNNER)
        .arg(&report)
        .env("VMS_TEST_MODULE", module)
        .env("VMS_TEST_SHELL", powershell::assembly()?)
        .env("VMS_TEST_LIBRARY_HOST", build::program("LibraryHost"))
        .env("VMS_TEST_FRAMEWORK_HOST", build::artifacts("FrameworkHost").join("FrameworkHost.exe"))
        .env(
            "VMS_TEST_DEMO_VMS",
            build::target().join("debug/vms-demo").with_extension(std::env::consts::EXE_EXTENSION),
        )
        .env("VMS_TEST_PEER", build::artifacts("PeerModule").join("PeerModule.psd1"))
        .env("VMS_TEST_COLLECTOR", collector.url());
    let (success, printed) = listen(&mut command)?;
    tally.xunit(success, &printed, &report, HERE)
}

/// The same tests on Windows.
fn managed_on_windows(module: &Path, programs: &ForWindows<'_>, tally: &mut Tally) -> Outcome<()> {
    let collector = collector()?;
    let variables = [
        ("VMS_TEST_MODULE", windows::path(module)),
        ("VMS_TEST_SHELL", windows::path(&programs.shell.program)),
        ("VMS_TEST_LIBRARY_HOST", windows::path(&programs.library_host)),
        ("VMS_TEST_FRAMEWORK_HOST", windows::path(&build::artifacts("FrameworkHost").join("FrameworkHost.exe"))),
        ("VMS_TEST_DEMO_VMS", windows::path(&windows::target().join("debug/vms-demo.exe"))),
        ("VMS_TEST_PEER", windows::path(&build::artifacts("PeerModule").join("PeerModule.psd1"))),
        ("VMS_TEST_COLLECTOR", collector.url()),
        ("VMS_TEST_WINE", "1".to_owned()),
    ];
    let variables = variables.into_iter().chain(powershell::wine_variables(&programs.shell)).collect::<Vec<_>>();
    let report = root().join("target/windows-report.xml");
    let arguments: Vec<String> = RUNNER.iter().map(|word| (*word).to_owned()).chain([windows::path(&report)]).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (success, printed) = listen(&mut windows::program(&programs.managed, &arguments, &variables))?;
    tally.xunit(success, &printed, &report, System::Windows)
}

/// This computer's system.
const HERE: System = if cfg!(windows) { System::Windows } else { System::Here };

/// The runner of the managed tests: without a logo and colours its lines can be read; the report's path follows.
const RUNNER: [&str; 3] = ["-noLogo", "-noColor", "-result-xml"];

fn collector() -> Outcome<Collector> {
    Collector::start().map_err(|error| format!("the collector cannot listen on this computer: {error}"))
}

impl Tally {
    /// Adds what Rust's runner says: "test result: ok. 32 passed; 0 failed; 0 ignored; …".
    fn libtest(&mut self, success: bool, printed: &str, system: System) -> Outcome<()> {
        let before = self.failed;
        let tests = printed.lines().filter_map(|line| line.trim_end().strip_prefix("test "));
        for test in tests.filter_map(|line| line.strip_suffix(" ... ok")) {
            self.clauses.passed(test, system);
        }
        for line in printed.lines().filter_map(|line| line.trim_end().strip_prefix("test result: ")) {
            self.passed += count(line, "passed");
            self.failed += count(line, "failed");
            self.skipped += count(line, "ignored");
        }
        if success || self.failed > before { Ok(()) } else { Err("the tests could not be built or run".to_owned()) }
    }

    /// Adds what xunit's runner says: "Total: 52, Errors: 0, Failed: 0, Skipped: 1, Not Run: 0, Time: 12.345s".
    fn xunit(&mut self, success: bool, printed: &str, report: &Path, system: System) -> Outcome<()> {
        // One element a test: <test … name="Vms.Telemetry.Tests.SessionTests.S1_…" … result="Pass" …>.
        let report = fs::read_to_string(report).map_err(|error| format!("{}: {error}", report.display()))?;
        for tag in report.split("<test ").skip(1).filter_map(|test| test.split('>').next()) {
            if attribute(tag, "result") == "Pass" {
                self.clauses.passed(attribute(tag, "name"), system);
            }
        }
        let summary = printed.lines().rev().find(|line| line.contains("Total: ")).unwrap_or_default();
        let (total, failed) = (count(summary, "Total"), count(summary, "Failed") + count(summary, "Errors"));
        let skipped = count(summary, "Skipped");
        self.passed += total.saturating_sub(failed + skipped);
        self.failed += failed;
        self.skipped += skipped;
        if total > 0 && (success || failed > 0) { Ok(()) } else { Err("the managed tests could not be run".to_owned()) }
    }
}

/// Finds the number beside a word, as in "32 passed" or "Failed: 0".
fn count(line: &str, word: &str) -> u64 {
    let number = |part: &str| part.split([' ', ':']).find_map(|piece| piece.parse().ok());
    line.split([',', ';', '.']).filter(|part| part.contains(word)).find_map(number).unwrap_or(0)
}

/// Finds the value of an attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    tag.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}
