//! `cargo xtask bench`: what an import with its first event costs a PowerShell process, beside Microsoft's SDK and beside the
//! least that it can cost.
//!
//! Every figure is the median over fresh processes, taken in turns in one run. What is added is the median of the differences to
//! an empty binary module of five commands in the same turn. Nothing is asserted: a machine under load would fail for no reason.
//! The figures of the packaged module go into docs/performance.md, a row a release, and into its plot.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};

use crate::build::library_name;
use crate::cargo::{cargo, reproducible};
use crate::stages::table;
use crate::tools::{Outcome, clear, copy, isolate, root, runtime_identifier};
use crate::{build, package, powershell, tools, windows};

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The parts of an import side by side
    Import,
    /// Events, memory, devices and ends of processes
    Events,
    /// 100,000 computers whose network comes back at once, and a month behind a firewall
    Fleet,
}

/// Fresh processes a figure.
const ROUNDS: usize = 31;
const KEY: &str = "11111111-2222-4333-8444-555555555555";

/// Prints what the import took, what was compiled meanwhile, and the private memory; then sends, waits as long as every other, and
/// prints the memory again: what .NET compiles anew in that time is the same for all.
/// The first line loads what the measuring itself needs.
const SCRIPT: &str = "\
function Memory { [GC]::Collect(); if ([IO.File]::Exists('/proc/self/smaps_rollup')) { \
foreach ($line in [IO.File]::ReadAllLines('/proc/self/smaps_rollup')) { if ($line -match '^Private_Dirty:\\s+(\\d+)') { [long]$Matches[1] * 1024 } } } \
else { [Diagnostics.Process]::GetCurrentProcess().PrivateMemorySize64 } }
function Compiled { @([Runtime.JitInfo]::GetCompiledMethodCount($false), [Runtime.JitInfo]::GetCompilationTime($false).TotalMilliseconds) }
$null = Memory; $null = Compiled
$before = Memory; $compiled = Compiled
$watch = [Diagnostics.Stopwatch]::StartNew()
Import-Module '{module}'
$time = $watch.Elapsed.TotalMilliseconds
$after = Compiled; $recorded = Memory
{release}
$released = Memory
{send}
{wait}
$sent = (Memory) - $released + $recorded
{check}
$figures = @($time, ($after[0] - $compiled[0]), ($after[1] - $compiled[1]), ($recorded - $before), ($sent - $before)) + @({parts})
[string]::Join(' ', @($figures | ForEach-Object { ([double]$_).ToString([cultureinfo]::InvariantCulture) }))
";

/// A command ends the hold of the import. What PowerShell needs for a command is not counted.
const RELEASE: &str = "Disconnect-Vms";
/// The library sends by itself, a second after the import. Others wait as long.
const WAIT: &str = "for ($i = 0; $i -lt 75; $i++) { [Threading.Thread]::Sleep(20) }";
const CHECK: &str = "\
$spool = Join-Path $(if ($env:OS -eq 'Windows_NT') { $env:LOCALAPPDATA } else { $env:XDG_DATA_HOME }) 'Milestone/MilestonePSTools/spool'
if ([IO.Directory]::GetFiles($spool, '*.v1.json', 'AllDirectories').Length) { throw 'the event was not sent' }";
const SEND_PEERS: &str = "[PeerModule.PeerImport]::Flush()";
const PARTS: &str = "[FloorModule.FloorImport]::Parts";

/// What the processes say: milliseconds; methods and milliseconds of compiling; bytes after the event, and after it was sent. The
/// floor says three parts more.
const TIME: usize = 0;
const METHODS: usize = 1;
const COMPILING: usize = 2;
const RECORDED: usize = 3;
const SENT: usize = 4;

/// One candidate, and the figures of its processes.
struct Candidate {
    name: &'static str,
    module: PathBuf,
    release: &'static str,
    /// Sends at once.
    send: &'static str,
    /// Fails if nothing was sent.
    check: &'static str,
    /// Which of the peers it is.
    peer: &'static str,
    parts: &'static str,
    figures: Vec<Vec<f64>>,
}

impl Candidate {
    fn new(name: &'static str, module: PathBuf) -> Self {
        Self { name, module, release: "", send: "", check: "", peer: "", parts: "", figures: Vec::new() }
    }

    /// The quartiles of a figure, less that of another candidate in the same turn.
    fn quartiles(&self, figure: usize, base: Option<&Self>) -> [f64; 3] {
        let of = |turn: usize| base.map_or(0.0, |base| base.figures[turn][figure]);
        let mut all: Vec<f64> = self.figures.iter().enumerate().map(|(turn, one)| one[figure] - of(turn)).collect();
        all.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| all[(all.len() - 1) * quarter / 4])
    }
}

/// Measures and prints.
pub fn run(part: Option<Part>) -> Outcome<()> {
    let wants = |one| part.is_none_or(|part| part == one);
    if wants(Part::Import) {
        import()?;
    }
    let benches = [(Part::Events, "hot_path"), (Part::Fleet, "fleet")].into_iter().filter(|(part, _)| wants(*part));
    for (_, bench) in benches {
        let what = ["bench", "--quiet", "--locked", "--package", "vms-telemetry", "--bench", bench];
        tools::run(reproducible(&mut cargo(), &[])?.args(what))?;
    }
    Ok(())
}

fn import() -> Outcome<()> {
    let built = build::all(windows::can_build(), build::EVERYTHING)?;
    let module = package::make(&built)?;
    let built_module = |project: &str| build::artifacts(project).join(format!("{project}.psd1"));
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let authority = home.path().join("authority.pem");
    let collector = collector(&authority)?;
    powershell::assembly()?;
    let ahead = |project: &str| -> Outcome<PathBuf> {
        let (from, to) = (build::artifacts(project), home.path().join(project));
        clear(&to)?;
        copy(&from.join(format!("{project}.psd1")), &to.join(format!("{project}.psd1")))?;
        let file = format!("{project}.dll");
        powershell::compile_ahead(&from.join(&file), &to.join(&file))?;
        Ok(to.join(format!("{project}.psd1")))
    };
    let compiled = home.path().join("VmsTelemetry");
    tools::copy_folder(&module, &compiled)?;
    let file = "Vms.Telemetry.PowerShell.dll";
    powershell::compile_ahead(&module.join(file), &compiled.join(file))?;
    let ours = |name, module: PathBuf| Candidate { release: RELEASE, check: CHECK, ..Candidate::new(name, module) };
    let peers = |name, peer| Candidate { send: SEND_PEERS, peer, ..Candidate::new(name, built_module("PeerModule")) };
    let mut candidates = vec![
        Candidate::new("an empty binary module", built_module("EmptyModule")),
        ours("VmsTelemetry", module.join("VmsTelemetry.psd1")),
        peers("Microsoft.ApplicationInsights 2.22", "memory"),
        peers("the same, with its channel on disk", "disk"),
        peers("Azure Monitor exporter 1.10", "exporter"),
        ours("VmsTelemetry, if compiled ahead", compiled.join("VmsTelemetry.psd1")),
    ];
    // It opens the library as Linux does.
    if cfg!(target_os = "linux") {
        let floor = |name, module| Candidate { parts: PARTS, ..Candidate::new(name, module) };
        candidates.push(floor("the floor", built_module("FloorModule")));
        candidates.push(floor("the floor, if compiled ahead", ahead("FloorModule")?));
    }
    let library = module.join(runtime_identifier()).join(library_name());
    for turn in 0..ROUNDS {
        for (number, candidate) in candidates.iter_mut().enumerate() {
            let profile = home.path().join(format!("{turn}-{number}"));
            let figures = measure(candidate, &profile, &authority, &collector, &library)?;
            candidate.figures.push(figures);
        }
    }
    print(&candidates);
    println!("\n{} events arrived at the collector over HTTPS.", collector.received().len());
    note(&candidates, &sizes(&module)?)
}

fn measure(
    candidate: &Candidate,
    profile: &Path,
    authority: &Path,
    collector: &Collector,
    library: &Path,
) -> Outcome<Vec<f64>> {
    let wait = if candidate.parts.is_empty() { WAIT } else { "" };
    let script = SCRIPT.replace("{module}", &candidate.module.display().to_string());
    let script = script
        .replace("{send}", candidate.send)
        .replace("{check}", candidate.check)
        .replace("{wait}", wait)
        .replace("{parts}", candidate.parts);
    let script = script.replace("{release}", candidate.release);
    let mut command = powershell::command()?;
    isolate(&mut command, profile);
    // Both sides trust the authority the way this system's software does it without an installation.
    command
        .env("VMS_BENCH_PEER", candidate.peer)
        .env("SSL_CERT_FILE", authority)
        .env("VMS_BENCH_LIBRARY", library)
        .args(["-Command", &script]);
    let connection_string = collector.connection_string(KEY).replace("127.0.0.1", "localhost");
    let output = command.env("VMS_ApplicationInsights__ConnectionString", connection_string).output();
    let output = output.map_err(|error| format!("PowerShell cannot be started: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = printed.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    if figures.len() < SENT + 1 + 3 * usize::from(!candidate.parts.is_empty()) {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} was not measured: {printed}{errors}", candidate.name));
    }
    Ok(figures)
}

/// Starts a collector that speaks HTTPS, and stores the authority that its certificate comes from.
fn collector(file: &Path) -> Outcome<Collector> {
    let authority = Authority::new().map_err(|error| format!("no certificate can be made: {error}"))?;
    std::fs::write(file, authority.pem()).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    let server = authority.server(Leaf::Good).map_err(|error| format!("no certificate can be made: {error}"))?;
    Collector::builder().tls(server).start().map_err(|error| format!("the collector cannot listen: {error}"))
}

/// Prints what each import adds to that of the empty module.
fn print(candidates: &[Candidate]) {
    let (empty, others) = (&candidates[0], &candidates[1..]);
    println!("\nMedians of {ROUNDS} fresh PowerShell processes each, in turns. The empty module's own import takes");
    let [low, middle, high] = empty.quartiles(TIME, None);
    println!("{middle:.1} ms (quartiles {low:.1} to {high:.1}). The others add:\n");
    let mut shown =
        table(&["", "ms", "quartiles", "methods compiled", "ms of that", "after event, MiB", "after HTTPS, MiB"]);
    for candidate in others {
        let [low, middle, high] = candidate.quartiles(TIME, Some(empty));
        let median = |figure| candidate.quartiles(figure, Some(empty))[1];
        let sent = if candidate.send.is_empty() && candidate.check.is_empty() {
            String::new()
        } else {
            format!("{:+.2}", mebibytes(median(SENT)))
        };
        shown.add_row([
            candidate.name.to_owned(),
            format!("{middle:+.1}"),
            format!("{low:+.1} to {high:+.1}"),
            format!("{:+.0}", median(METHODS)),
            format!("{:+.1}", median(COMPILING)),
            format!("{:+.2}", mebibytes(median(RECORDED))),
            sent,
        ]);
    }
    println!("{shown}");
    if let Some(floor) = others.iter().find(|candidate| !candidate.parts.is_empty()) {
        println!("\nWithin the floor, in ms:\n");
        let mut shown = table(&["part", "median", "quartiles"]);
        for (number, part) in
            ["opening the library", "finding init_session", "the session, its event and its thread"].iter().enumerate()
        {
            let [low, middle, high] = floor.quartiles(SENT + 1 + number, None);
            shown.add_row([(*part).to_owned(), format!("{middle:.2}"), format!("{low:.2} to {high:.2}")]);
        }
        println!("{shown}");
    }
    println!("\nA difference that is smaller than the quartiles are apart is noise.");
}

/// Counts the files of the module, and their bytes, as each system has them: without the other system's library.
fn sizes(module: &Path) -> Outcome<Vec<(usize, u64)>> {
    let files = package::read(module)?;
    let of_system = |other: &str| {
        let own = files.iter().filter(|(name, _)| !name.starts_with(other));
        own.fold((0, 0), |(count, bytes), (_, content)| (count + 1, bytes + content.len() as u64))
    };
    let sizes = vec![of_system("win-x64/"), of_system("linux-x64/")];
    for (system, (count, bytes)) in ["Linux", "Windows"].iter().zip(&sizes) {
        println!("The module on {system}: {count} files, {:.2} MiB", mebibytes(*bytes as f64));
    }
    Ok(sizes)
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

/// Writes this release's row into docs/performance.md, in place of an older one of the same release, and the plot.
fn note(candidates: &[Candidate], sizes: &[(usize, u64)]) -> Outcome<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let (empty, shown) = (&candidates[0], &candidates[1..3]);
    let begin = format!("| {} |", env!("CARGO_PKG_VERSION"));
    let mut row = begin.clone();
    for (figure, digits) in [(TIME, 1), (RECORDED, 2), (SENT, 2)] {
        for candidate in shown {
            let median = candidate.quartiles(figure, Some(empty))[1];
            row += &format!(" {:+.digits$} |", if figure == TIME { median } else { mebibytes(median) });
        }
    }
    for (count, bytes) in sizes {
        row += &format!(" {count}, {:.2} |", mebibytes(*bytes as f64));
    }
    let (table, rest) = page.split_once("\n\n<!-- end of releases -->").ok_or("docs/performance.md has no table")?;
    let mut lines: Vec<&str> = table.lines().filter(|line| !line.starts_with(&begin)).collect();
    lines.push(&row);
    let page = format!("{}\n\n<!-- end of releases -->{rest}", lines.join("\n"));
    tools::write(&path, page.as_bytes())?;
    let mut bars: Vec<(&str, f64)> =
        candidates[1..].iter().map(|one| (one.name, one.quartiles(TIME, Some(empty))[1])).collect();
    bars.sort_by(|one, other| one.1.total_cmp(&other.1));
    tools::write(&root().join("docs/performance.svg"), plot(&bars).as_bytes())
}

/// Draws what each import adds, in milliseconds.
fn plot(bars: &[(&str, f64)]) -> String {
    let widest = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let mut drawn = String::new();
    for (number, (name, time)) in bars.iter().enumerate() {
        let (top, width) = (20 + 34 * number, time.max(0.0) / widest * 300.0);
        let class = if name.starts_with("VmsTelemetry") { "own" } else { "other" };
        drawn += &format!(
            "<text x=\"280\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"290\" y=\"{top}\" width=\"{width:.0}\" height=\"22\"/>\
             <text x=\"{:.0}\" y=\"{}\">{time:.1} ms</text>\n",
            top + 16,
            300.0 + width,
            top + 16,
        );
    }
    let height = 40 + 34 * bars.len();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"{height}\" viewBox=\"0 0 680 {height}\" \
         font-family=\"sans-serif\" font-size=\"14\"><title>What Import-Module adds to an empty module</title>\
         <style>.own{{fill:#0a7}}.other{{fill:#999}}</style><rect width=\"680\" height=\"{height}\" fill=\"#fff\"/>\n{drawn}</svg>\n"
    )
}
