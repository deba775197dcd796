//! `cargo xtask bench`: what an import with its first event costs a PowerShell process, beside Microsoft's SDK.
//!
//! Every figure is the median over fresh processes, taken in turns in one run, less what importing an empty binary module
//! with a manifest of the same shape costs. Nothing is asserted: a machine under load would fail for no reason. The figures
//! of the packaged module go into docs/performance.md, a row a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};

use crate::cargo::{cargo, reproducible};
use crate::stages::table;
use crate::tools::{Outcome, isolate, root, run};
use crate::{build, package, windows};

/// Fresh processes a figure.
const ROUNDS: usize = 31;
const KEY: &str = "11111111-2222-4333-8444-555555555555";

/// Prints the import's time and the private memory after it; then sends, and prints the memory again. The first line loads
/// what the measuring itself needs.
const SCRIPT: &str = "\
function Memory { [GC]::Collect(); if ([IO.File]::Exists('/proc/self/smaps_rollup')) { \
foreach ($line in [IO.File]::ReadAllLines('/proc/self/smaps_rollup')) { if ($line -match '^Private_Dirty:\\s+(\\d+)') { [long]$Matches[1] * 1024 } } } \
else { [Diagnostics.Process]::GetCurrentProcess().PrivateMemorySize64 } }
$null = Memory
$before = Memory
$watch = [Diagnostics.Stopwatch]::StartNew()
Import-Module '{module}'
$time = $watch.Elapsed.TotalMilliseconds
$recorded = Memory
{send}
$sent = Memory
[string]::Join(' ', @($time.ToString([cultureinfo]::InvariantCulture), ($recorded - $before), ($sent - $before)))
";

const SEND_OURS: &str =
    "for ($i = 0; $i -lt 200 -and (Get-VmsModuleConfig).PendingEvents -gt 0; $i++) { [Threading.Thread]::Sleep(20) }";
const SEND_PEERS: &str = "[PeerModule.PeerImport]::Flush()";

/// One candidate and what its processes said: milliseconds, bytes after the event, bytes after it was sent.
struct Candidate {
    name: &'static str,
    module: PathBuf,
    send: &'static str,
    figures: Vec<[f64; 3]>,
}

/// Measures and prints the table.
pub fn run_all() -> Outcome<()> {
    let built = build::all(windows::can_build(), build::EVERYTHING)?;
    let module = package::make(&built)?;
    let built_module = |project: &str| build::artifacts(project).join(format!("{project}.psd1"));
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let authority = home.path().join("authority.pem");
    let collector = collector(&authority)?;
    build::publish_host()?;
    let host = build::host();
    let mut candidates = [
        Candidate { name: "an empty binary module", module: built_module("EmptyModule"), send: "", figures: vec![] },
        Candidate { name: "VmsTelemetry", module: module.join("VmsTelemetry.psd1"), send: SEND_OURS, figures: vec![] },
        Candidate {
            name: "Microsoft.ApplicationInsights 2.22",
            module: built_module("PeerModule"),
            send: SEND_PEERS,
            figures: vec![],
        },
    ];
    for round in 0..ROUNDS {
        for candidate in &mut candidates {
            let profile = home.path().join(format!("{round}-{}", candidate.figures.len()));
            candidate.figures.push(measure(&host, candidate, &profile, &authority, &collector)?);
        }
    }
    let added = print(&candidates, &collector);
    note(&added, &sizes(&module)?)?;
    run(reproducible(&mut cargo(), &[])?.args([
        "bench",
        "--quiet",
        "--locked",
        "--package",
        "vms-telemetry",
        "--bench",
        "hot_path",
    ]))
}

fn measure(
    host: &Path,
    candidate: &Candidate,
    profile: &Path,
    authority: &Path,
    collector: &Collector,
) -> Outcome<[f64; 3]> {
    let script = SCRIPT.replace("{module}", &candidate.module.display().to_string()).replace("{send}", candidate.send);
    let mut command = Command::new(host);
    isolate(&mut command, profile);
    // Both sides trust the authority the way this system's software does it without an installation.
    command.env("SSL_CERT_FILE", authority).args(["-Command", &script]);
    let connection_string = collector.connection_string(KEY).replace("127.0.0.1", "localhost");
    let output = command.env("VMS_ApplicationInsights__ConnectionString", connection_string).output();
    let output = output.map_err(|error| format!("{} cannot be started: {error}", host.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = printed.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    <[f64; 3]>::try_from(figures).map_err(|_| {
        format!("{} was not measured: {printed}{}", candidate.name, String::from_utf8_lossy(&output.stderr))
    })
}

/// Starts a collector that speaks HTTPS, and stores the authority that its certificate comes from.
fn collector(file: &Path) -> Outcome<Collector> {
    let authority = Authority::new().map_err(|error| format!("no certificate can be made: {error}"))?;
    std::fs::write(file, authority.pem()).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    let server = authority.server(Leaf::Good).map_err(|error| format!("no certificate can be made: {error}"))?;
    Collector::builder().tls(server).start().map_err(|error| format!("the collector cannot listen: {error}"))
}

/// Prints the table, and gives what importing adds: for ours and for Microsoft's milliseconds, MiB, and MiB after HTTPS.
fn print(candidates: &[Candidate], collector: &Collector) -> Vec<[f64; 3]> {
    let median = |candidate: &Candidate, figure: usize| {
        let mut all: Vec<f64> = candidate.figures.iter().map(|figures| figures[figure]).collect();
        all.sort_by(f64::total_cmp);
        let unit = if figure == 0 { 1.0 } else { f64::from(1 << 20) };
        all[all.len() / 2] / unit
    };
    println!("\nMedians of {ROUNDS} fresh PowerShell processes each, in turns; behind an empty module's own cost:\n");
    let mut shown = table(&["", "import, ms", "after event, MiB", "after HTTPS, MiB"]);
    let empty = [0, 1, 2].map(|figure| median(&candidates[0], figure));
    shown.add_row([
        candidates[0].name.to_owned(),
        format!("{:.1}", empty[0]),
        format!("{:.2}", empty[1]),
        format!("{:.2}", empty[2]),
    ]);
    let mut all = Vec::new();
    for candidate in &candidates[1..] {
        let added = [0, 1, 2].map(|figure| median(candidate, figure) - empty[figure]);
        let cells = [format!("{:+.1}", added[0]), format!("{:+.2}", added[1]), format!("{:+.2}", added[2])];
        shown.add_row([candidate.name.to_owned()].into_iter().chain(cells));
        all.push(added);
    }
    println!("{shown}");
    println!("\n{} events arrived at the collector over HTTPS.", collector.received().len());
    all
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
        println!("The module on {system}: {count} files, {:.2} MiB", mebibytes(*bytes));
    }
    Ok(sizes)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Writes this release's row into docs/performance.md, in place of an older one of the same release.
fn note(added: &[[f64; 3]], sizes: &[(usize, u64)]) -> Outcome<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let begin = format!("| {} |", env!("CARGO_PKG_VERSION"));
    let mut row = begin.clone();
    for (figure, digits) in [(0, 1), (1, 2), (2, 2)] {
        for candidate in added {
            row += &format!(" {:+.digits$} |", candidate[figure]);
        }
    }
    for (count, bytes) in sizes {
        row += &format!(" {count}, {:.2} |", mebibytes(*bytes));
    }
    let (table, rest) = page.split_once("\n\n<!-- end of releases -->").ok_or("docs/performance.md has no table")?;
    let mut lines: Vec<&str> = table.lines().filter(|line| !line.starts_with(&begin)).collect();
    lines.push(&row);
    let page = format!("{}\n\n<!-- end of releases -->{rest}", lines.join("\n"));
    fs::write(&path, page).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
