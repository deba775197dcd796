//! `cargo xtask bench`: what an import with its first event costs a PowerShell process, beside Microsoft's SDK.
//!
//! Every figure is the median over fresh processes, taken in turns in one run, less what importing an empty binary module
//! with a manifest of the same shape costs. Nothing is asserted: a machine under load would fail for no reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};

use crate::build;
use crate::tools::{Outcome, cargo, isolate, run};

/// Fresh processes a figure.
const ROUNDS: usize = 15;
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
    let built = build::all(false)?;
    let built_module = |project: &str| build::artifacts(project).join(format!("{project}.psd1"));
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let authority = home.path().join("authority.pem");
    let collector = collector(&authority)?;
    let host = build::program("VmsHost");
    let mut candidates = [
        Candidate { name: "an empty binary module", module: built_module("EmptyModule"), send: "", figures: vec![] },
        Candidate {
            name: "VmsTelemetry",
            module: built.module.join("VmsTelemetry.psd1"),
            send: SEND_OURS,
            figures: vec![],
        },
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
    print(&candidates, &collector);
    run(cargo().args(["bench", "--quiet", "--locked", "--package", "vms-telemetry", "--bench", "hot_path"]))
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

fn print(candidates: &[Candidate], collector: &Collector) {
    let median = |candidate: &Candidate, figure: usize| {
        let mut all: Vec<f64> = candidate.figures.iter().map(|figures| figures[figure]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!("\nMedians of {ROUNDS} fresh PowerShell processes each, in turns; behind an empty module's own cost:\n");
    println!("{:36} {:>14} {:>22} {:>22}", "", "import, ms", "after event, MiB", "after HTTPS, MiB");
    let mibibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let empty = &candidates[0];
    println!(
        "{:36} {:14.1} {:22.2} {:22.2}",
        empty.name,
        median(empty, 0),
        mibibytes(median(empty, 1)),
        mibibytes(median(empty, 2))
    );
    for candidate in &candidates[1..] {
        let added = |figure| median(candidate, figure) - median(empty, figure);
        println!(
            "{:36} {:+14.1} {:+22.2} {:+22.2}",
            candidate.name,
            added(0),
            mibibytes(added(1)),
            mibibytes(added(2))
        );
    }
    println!("\n{} events arrived at the collector over HTTPS.", collector.received().len());
}
