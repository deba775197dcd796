//! `cargo xtask test`: every test there is, on what is shipped, here and on Windows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use quick_xml::events::Event;
use vms_collector::Collector;

use crate::build::{self, Built};
use crate::cargo::{cargo, target};
use crate::clauses::{Clauses, System};
use crate::stages::{hear, say, stage, times};
use crate::tools::{self, Outcome, both, isolate, listen, root};
use crate::{crates, demo, fields, header, needs, package, powershell, windows};

/// What can be run by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    Format,
    Lints,
    Documentation,
    /// Rust and C tests
    Rust,
    /// .NET and PowerShell tests
    Managed,
    Demo,
    /// The packages again from another folder: the same bytes
    Same,
    WindowsRust,
    WindowsManaged,
}

/// What the runners counted.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: Vec<String>,
    clauses: Clauses,
}

/// Runs the stages, each with its time, and ends with the sum. Later stages run even where tests of an earlier one failed;
/// a stage that cannot run at all ends everything.
pub fn run(windows_alone: bool, only: &[Stage]) -> Outcome<()> {
    let wants = |stage: Stage| {
        let on_windows = matches!(stage, Stage::WindowsRust | Stage::WindowsManaged)
            || cfg!(windows) && matches!(stage, Stage::Rust | Stage::Managed | Stage::Demo);
        (only.is_empty() || only.contains(&stage)) && (on_windows || !windows_alone)
    };
    println!(
        "On two cores this takes about 20 minutes with the tests on Windows, about 10 without, and more the first time."
    );
    needs::check(&needs::all())?;
    let runs_windows = !cfg!(windows) && windows::can_build() && windows::can_run();
    let [windows_rust, windows_managed] = [Stage::WindowsRust, Stage::WindowsManaged].map(wants);
    if windows_alone && !runs_windows && !cfg!(windows) {
        return Err("nothing can be tested on Windows here, see above".to_owned());
    }
    let outcome =
        run_stages(&wants, runs_windows && (windows_rust || windows_managed), only.is_empty() && !windows_alone);
    println!("\n{}", times());
    let tally = outcome?;
    for skipped in &tally.skipped {
        println!("skipped: {skipped}");
    }
    println!("\n{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped.len());
    if tally.failed > 0 { Err(format!("{} tests failed", tally.failed)) } else { Ok(()) }
}

fn run_stages(wants: &(dyn Fn(Stage) -> bool + Sync), runs_windows: bool, is_whole: bool) -> Outcome<Tally> {
    // All of them, so that one run shows all that is out of date.
    let stale = [
        ("include/vms_telemetry.h", header::generate()?),
        ("docs and help of the fields", fields::generate()?),
        ("docs/crates.md", crates::generate()?),
    ];
    let stale: Vec<&str> = stale.iter().filter(|(_, is_stale)| *is_stale).map(|(name, _)| *name).collect();
    if !stale.is_empty() {
        return Err(format!("out of date, and generated anew now: commit {}", stale.join(", ")));
    }
    if ![Stage::Rust, Stage::Managed, Stage::Demo, Stage::Same].into_iter().any(wants) && !runs_windows {
        return checks(wants).map(|()| Tally::default());
    }
    let prepare = || {
        // The folder with Wine comes from the network.
        if runs_windows {
            stage("Wine", windows::prepare)?;
        }
        checks(wants)?;
        if !wants(Stage::Rust) {
            return Ok(());
        }
        stage("build of the tests", || tools::run(cargo().args(RUST_TESTS).arg("--no-run")))
    };
    let (built, ()) = both(|| stage("build", || build::all(windows::can_build(), build::EVERYTHING)), prepare)?;
    let (module, dotnet) = stage("packages", || Ok((package::make(&built)?, package::hosts()?)))?;
    if wants(Stage::Managed) || wants(Stage::Rust) || wants(Stage::Demo) {
        stage("PowerShell", powershell::assembly)?;
    }
    // Tests wait most of the time, builds do not.
    let mut tally = Tally::default();
    let run_here = || {
        if wants(Stage::Rust) {
            stage("Rust and C tests", || rust(&built, &mut tally))?;
        }
        if wants(Stage::Managed) {
            stage("managed tests", || managed(&module, &mut tally))?;
            stage("Pester files", || pester(&module, &mut tally))?;
        }
        if wants(Stage::Demo) {
            stage("demo", || demo::show(&built))?;
        }
        Ok(())
    };
    // All of them before anything runs on Windows: what waits there for a moment, waits long enough for Wine, and not for
    // compilers beside it as well.
    let build_more = || {
        let native = built.windows.as_deref().filter(|_| runs_windows);
        let build = |native| stage("build of the tests on Windows", || ForWindows::build(native, &dotnet));
        let windows = native.map(build).transpose()?;
        let again = wants(Stage::Same).then(|| stage("the same packages from another folder", package::again));
        Ok((windows, again))
    };
    let ((), (windows, again)) = both(run_here, build_more)?;
    match again {
        Some(Ok(())) => tally.passed += 1,
        Some(Err(words)) => {
            say(&words);
            tally.failed += 1;
        }
        None => {}
    }
    if let Some(windows) = windows {
        // One after the other: under Wine, tests of both at once fail, as they wait longer than the limits of the library.
        if wants(Stage::WindowsRust) {
            stage("Rust and C tests on Windows", || rust_on_windows(&windows, &mut tally))?;
        }
        if wants(Stage::WindowsManaged) {
            stage("managed tests on Windows", || managed_on_windows(&module, &windows, &mut tally))?;
            stage("Pester files on Windows", || pester_on_windows(&module, &windows, &mut tally))?;
        }
    }
    if is_whole && runs_windows && tally.failed == 0 {
        tally.clauses.check()?;
    }
    if tally.passed + tally.failed == 0 && !wants(Stage::Demo) { Err("no test ran".to_owned()) } else { Ok(tally) }
}

/// Format, lints and documentation of the Rust part; the managed part's are in its build.
fn checks(wants: &dyn Fn(Stage) -> bool) -> Outcome<()> {
    if wants(Stage::Format) {
        stage("format", || tools::run(cargo().args(["fmt", "--all", "--check"])))?;
    }
    if wants(Stage::Lints) {
        let what = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        stage("lints", || tools::run(cargo().args(what)))?;
    }
    if wants(Stage::Documentation) {
        let what = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
        stage("documentation", || tools::run(cargo().args(what).env("RUSTDOCFLAGS", "-D warnings")))?;
    }
    Ok(())
}

const RUST_TESTS: [&str; 4] = ["test", "--workspace", "--locked", "--no-fail-fast"];

fn rust(built: &Built, tally: &mut Tally) -> Outcome<()> {
    let mut command = cargo();
    command.args(RUST_TESTS).env("VMS_TEST_NATIVE", &built.native);
    command.env("RUST_TEST_THREADS", THREADS);
    let (success, printed) = listen(&mut command)?;
    tally.libtest(success, &printed, HERE)
}

/// More than there are processors: the tests wait most of the time.
const THREADS: &str = "6";

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
        let mut tests = windows::windows_cargo("test")?;
        tests.args(["--package", "vms-telemetry", "--locked", "--no-run", "--message-format=json-render-diagnostics"]);
        let messages = tools::output(&mut tests)?;
        // What the managed tests connect to; together with the packages that the tests are made of, so that nothing
        // is built twice for other features.
        let mut stand_ins = windows::windows_cargo("build")?;
        stand_ins.args(["--locked", "--bin", "vms-demo", "--bin", "vms-collector", "--package", "vms-demo"]);
        tools::run(stand_ins.args(["--package", "vms-telemetry", "--package", "vms-collector"]))?;
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
    // What a test lacks is an error there as well.
    let ci = std::env::var("CI").ok().map(|value| ("CI", value));
    let variables: Vec<(&str, String)> = [
        ("RUST_TEST_THREADS", THREADS.to_owned()),
        ("VMS_TEST_NATIVE", windows::path(programs.native)),
        ("VMS_TEST_PROGRAMS", windows::path(&c_programs())),
        ("VMS_TEST_WINE", "1".to_owned()),
        // Where golden files are.
        ("CARGO_MANIFEST_DIR", windows::path(&root())),
    ]
    .into_iter()
    .chain(ci)
    .collect();
    for test in &programs.tests {
        hear(&format!("     Running {}", test.display()));
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
        .env("VMS_TEST_DEMO_VMS", target().join("debug/vms-demo").with_extension(std::env::consts::EXE_EXTENSION))
        .env("VMS_TEST_PEER", build::artifacts("PeerModule").join("PeerModule.psd1"))
        .env("VMS_TEST_COLLECTOR", collector.url());
    if let Some(program) = layout() {
        command.env("VMS_TEST_LAYOUT", program);
    }
    let (success, _) = listen(&mut command)?;
    tally.junit(success, &report, HERE)
}

/// Compiles the program that prints the layout of the header's structs, where there is a C compiler by its usual name.
fn layout() -> Option<PathBuf> {
    let program = root().join("target/layout").with_extension(std::env::consts::EXE_EXTENSION);
    let mut compiler = Command::new(if cfg!(windows) { "gcc" } else { "cc" });
    compiler.arg("-o").arg(&program).arg("-I").arg(root().join("include")).arg(root().join("tests/c/layout.c"));
    tools::run(&mut compiler).ok().map(|()| program)
}

/// Runs the Pester files, each in a PowerShell of its own.
fn pester(module: &Path, tally: &mut Tally) -> Outcome<()> {
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    for file in powershell::pester_files()? {
        let report = home.path().join("report.xml");
        let mut command = powershell::command()?;
        isolate(&mut command, home.path());
        command.arg("-File").arg(root().join("powershell/verify-5.1.ps1"));
        command.arg("-Module").arg(module).arg("-Programs").arg(target().join("debug"));
        command.arg("-Pester").arg(powershell::pester()?).arg("-Results").arg(&report).arg("-Path").arg(&file);
        let (success, _) = listen(&mut command)?;
        tally.junit(success, &report, HERE)?;
    }
    Ok(())
}

/// The same files on Windows.
fn pester_on_windows(module: &Path, programs: &ForWindows<'_>, tally: &mut Tally) -> Outcome<()> {
    let mut variables = programs.shell.variables().to_vec();
    variables.push(("VMS_TEST_WINE", "1".to_owned()));
    let report = root().join("target/windows-report.xml");
    for file in powershell::pester_files()? {
        let arguments = [
            "-NoProfile".to_owned(),
            "-NonInteractive".to_owned(),
            "-ExecutionPolicy".to_owned(),
            "Bypass".to_owned(),
            "-File".to_owned(),
            windows::path(&root().join("powershell/verify-5.1.ps1")),
            "-Module".to_owned(),
            windows::path(module),
            "-Programs".to_owned(),
            windows::path(&windows::target().join("debug")),
            "-Pester".to_owned(),
            windows::path(&programs.shell.program.with_file_name("Modules").join("Pester")),
            "-Results".to_owned(),
            windows::path(&report),
            "-Path".to_owned(),
            windows::path(&file),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = windows::program(&programs.shell.program, &arguments, &variables);
        let (success, _) = listen(windows::on_terminal(&mut command))?;
        tally.junit(success, &report, System::Windows)?;
    }
    Ok(())
}

/// The same tests on Windows.
fn managed_on_windows(module: &Path, programs: &ForWindows<'_>, tally: &mut Tally) -> Outcome<()> {
    let collector = collector()?;
    let variables = [
        ("VMS_TEST_MODULE", windows::path(module)),
        ("VMS_TEST_SHELL", windows::path(&programs.shell.program)),
        ("VMS_TEST_LAYOUT", windows::path(&c_programs().join("layout.exe"))),
        ("VMS_TEST_LIBRARY_HOST", windows::path(&programs.library_host)),
        ("VMS_TEST_FRAMEWORK_HOST", windows::path(&build::artifacts("FrameworkHost").join("FrameworkHost.exe"))),
        ("VMS_TEST_DEMO_VMS", windows::path(&windows::target().join("debug/vms-demo.exe"))),
        ("VMS_TEST_PEER", windows::path(&build::artifacts("PeerModule").join("PeerModule.psd1"))),
        ("VMS_TEST_COLLECTOR", collector.url()),
        ("VMS_TEST_WINE", "1".to_owned()),
    ];
    let variables = variables.into_iter().chain(programs.shell.variables()).collect::<Vec<_>>();
    let report = root().join("target/windows-report.xml");
    let arguments: Vec<String> = RUNNER.iter().map(|word| (*word).to_owned()).chain([windows::path(&report)]).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = windows::program(&programs.managed, &arguments, &variables);
    let (success, _) = listen(windows::on_terminal(&mut command))?;
    tally.junit(success, &report, System::Windows)
}

/// This computer's system.
const HERE: System = if cfg!(windows) { System::Windows } else { System::Here };

/// The runner of the managed tests: without a logo and colours its lines can be read; the report's path follows.
const RUNNER: [&str; 3] = ["-noLogo", "-noColor", "-result-junit"];

fn collector() -> Outcome<Collector> {
    Collector::start().map_err(|error| format!("the collector cannot listen on this computer: {error}"))
}

impl Tally {
    /// Reads what Rust's runner says of each test: "test name ... ok", and the tests themselves: "SKIPPED name: reason".
    fn libtest(&mut self, success: bool, printed: &str, system: System) -> Outcome<()> {
        let before = self.failed;
        // A test may say it for each of its cases.
        let skipped: BTreeSet<&str> =
            printed.lines().filter_map(|line| line.trim_end().strip_prefix("SKIPPED ")).collect();
        for line in printed.lines().filter_map(|line| line.trim_end().strip_prefix("test ")) {
            let Some((test, outcome)) = line.split_once(" ... ") else { continue };
            if outcome == "ok" && !skipped.iter().any(|line| line.split(": ").next() == Some(test)) {
                self.clauses.passed(test, system);
                self.passed += 1;
            } else if outcome == "FAILED" {
                self.failed += 1;
            } else if outcome.starts_with("ignored") {
                self.skipped.push(line.to_owned());
            }
        }
        self.skipped.extend(skipped.into_iter().map(str::to_owned));
        if success || self.failed > before { Ok(()) } else { Err("the tests could not be built or run".to_owned()) }
    }

    /// Reads a report of xunit or Pester: `<testcase name="…">`, with an element inside where it did not pass.
    fn junit(&mut self, success: bool, report: &Path, system: System) -> Outcome<()> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", report.display());
        let text = fs::read_to_string(report).map_err(|error| failed(&error))?;
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut tests: Vec<(String, String)> = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| failed(&error))?;
            let (Event::Start(tag) | Event::Empty(tag)) = &event else {
                if matches!(event, Event::Eof) { break } else { continue }
            };
            let attribute = |name| tag.try_get_attribute(name).ok().flatten().map(|found| found.value.into_owned());
            match (tag.local_name().into_inner(), tests.last_mut()) {
                ("testcase", _) => tests.push((attribute("name").unwrap_or_default(), String::new())),
                ("failure" | "error", Some((_, outcome))) => "failed".clone_into(outcome),
                ("skipped", Some((test, outcome))) => {
                    *outcome = format!("{test}: {}", attribute("message").unwrap_or_default());
                }
                _ => {}
            }
        }
        let before = self.failed;
        for (test, outcome) in &tests {
            match outcome.as_str() {
                "" => {
                    self.clauses.passed(test, system);
                    self.passed += 1;
                }
                "failed" => self.failed += 1,
                reason => self.skipped.push(reason.to_owned()),
            }
        }
        let ran = !tests.is_empty() && (success || self.failed > before);
        if ran { Ok(()) } else { Err("the managed tests could not be run".to_owned()) }
    }
}
