//! What users would feel, in figures: `cargo xtask bench` runs this behind the comparison with Microsoft's SDK.
//!
//! Nothing is asserted. Where processes are timed, the program starts itself anew with a role.

#[path = "../it/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Home, connection, key, wait_until};
use vms_collector::{Collector, black_hole, closed_port};
use vms_demo::{AccessToken, Config, DemoVms, Fault, Site, User};
use vms_telemetry::consent::LOCK_TIMEOUT;
use vms_telemetry::environment::Environment;
use vms_telemetry::event::UserType;
use vms_telemetry::files::{self, LockMode};
use vms_telemetry::paths::Paths;
use vms_telemetry::platform::private_bytes;
use vms_telemetry::session::{HostFacts, Session, UsageDataPolicy};
use vms_telemetry::spool::{Entry, Spool};
use vms_telemetry::vms::{Credential, Logon};
use zeroize::Zeroizing;

const ROLE: &str = "VMS_BENCH_ROLE";
const PROFILE: &str = "VMS_BENCH_PROFILE";
/// The VMS that is counted.
const SERVER: &str = "VMS_BENCH_SERVER";

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("once") => once(),
        Ok("memory") => memory(),
        Ok("count") => count(),
        Ok("holder") => holder(),
        _ => {
            recording();
            pending_memory();
            delivering();
            counting();
            handing_over();
            waiting();
        }
    }
}

/// Starts a session from the environment, as a host does.
fn session() -> Session {
    let profile = std::path::PathBuf::from(std::env::var_os(PROFILE).expect("started by this program"));
    let facts = HostFacts { assembly_version: "1.2.3".to_owned(), ..HostFacts::default() };
    let paths = Paths::new(&profile.join("local"), &profile.join("state"));
    let environment = Environment::read(std::env::vars_os());
    let session = Session::start(facts, environment, Ok(paths)).expect("no connection string of its own");
    session.record_session_start();
    session
}

/// A process of one connection.
fn once() {
    let session = session();
    let (number, _) = session.connect(&connection(UsageDataPolicy::On)).expect("a profile of its own");
    session.disconnect(number).expect("it is open");
}

/// A process with 500 events that wait, or with one.
fn memory() {
    let session = session();
    let before = memory_in_use();
    for _ in 0..499 {
        session.connect(&connection(UsageDataPolicy::On)).expect("a profile of its own");
    }
    println!("{}", memory_in_use().saturating_sub(before));
}

/// A process that connects to a VMS and waits until it is counted.
fn count() {
    let session = Arc::new(session());
    let before = memory_in_use();
    let start = Instant::now();
    let logon = Logon {
        address: std::env::var(SERVER).expect("started by this program").parse().expect("an address"),
        is_secure_only: false,
        skips_certificate_check: false,
        includes_child_sites: false,
        timeout: common::PATIENCE,
    };
    let credential = Credential::Token(Zeroizing::new("bench-token".to_owned()));
    let number = session.reserve().expect("the first connection");
    session.connect_vms(number, logon, credential, UserType::OAuthUser).expect("a VMS");
    let logged_on = start.elapsed();
    session.settle(number, 3 * common::PATIENCE).expect("a profile of its own");
    let (counted, memory) = (start.elapsed(), memory_in_use().saturating_sub(before));
    let items = session.connection(number).expect("it is open").items;
    println!("{} {} {memory} {items}", logged_on.as_secs_f64(), counted.as_secs_f64());
}

/// Memory that this process alone holds, in bytes: on Linux the pages that it has written to, elsewhere what the system
/// has promised it.
fn memory_in_use() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let dirty = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kibibytes = dirty.and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.map_or_else(|| private_bytes().unwrap_or(0), |kibibytes| kibibytes * 1024)
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1_000_000.0
}

fn recording() {
    let home = Home::new();
    let session = home.session(&closed_port().expect("a port").connection_string(&key()), &[]);
    // What the file alone costs differs by a factor of twenty from disk to disk, and on one disk from minute to minute.
    let bare = home.path().join("bare");
    std::fs::create_dir(&bare).expect("a profile of its own");
    let (mut times, mut bare_times) = (Vec::new(), Vec::new());
    for index in 0..1_000 {
        let start = Instant::now();
        session.connect(&connection(UsageDataPolicy::On)).expect("a profile of its own");
        times.push(start.elapsed());
        let start = Instant::now();
        let (temporary, file) = (bare.join(format!(".{index}.tmp")), bare.join(format!("{index}.json")));
        std::fs::write(&temporary, [b'x'; 460]).expect("a profile of its own");
        std::fs::rename(&temporary, &file).expect("a profile of its own");
        bare_times.push(start.elapsed());
    }
    println!(
        "\nrecording an event, with its file on disk (target: under 300 us, and the same however many are pending)"
    );
    let parts = [
        ("few are pending (up to 20)", 0..20),
        ("the spool fills up", 20..450),
        ("it is full (500 events)", 500..1_000),
    ];
    for (name, part) in parts {
        let (times, bare) = (&mut times[part.clone()], &mut bare_times[part]);
        println!(
            "  {name:27} median {:5.0} us   p99 {:5.0} us   of that a bare file {:5.0} us",
            percentile(times, 50),
            percentile(times, 99),
            percentile(bare, 50)
        );
    }
    let length = |(spool, entry): (Spool, Entry)| std::fs::metadata(spool.path(&entry)).map(|file| file.len()).ok();
    let files: Vec<u64> = home.pending().into_iter().filter_map(length).collect();
    println!("  bytes on disk per event    {}", files.iter().sum::<u64>() / files.len().max(1) as u64);
}

/// A process is killed while it holds the settings' lock: how long until a call that waits for it has it.
fn handing_over() {
    const ROUNDS: usize = 50;
    let home = Home::new();
    let lock = home.path().join("lock");
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let mut holder = child("holder", &home, "").stdout(Stdio::piped()).stdin(Stdio::piped()).spawn();
            let holder = holder.as_mut().expect("it runs");
            let mut line = String::new();
            BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("it says so");
            let next = std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let held = files::lock(&lock, LockMode::Exclusive, Instant::now() + LOCK_TIMEOUT);
                    (held.is_ok(), Instant::now())
                });
                // Long enough for the other to wait.
                std::thread::sleep(Duration::from_millis(20));
                let start = Instant::now();
                holder.kill().expect("it runs");
                let (held, end) = waiting.join().expect("no panic");
                assert!(held);
                end - start
            });
            holder.wait().expect("it runs");
            next
        })
        .collect();
    println!(
        "\na process is killed that holds a lock; until the next one has it (target: at most 100 ms)\n  \
         median {:6.2} ms   longest {:6.2} ms",
        percentile(&mut times, 50) / 1000.0,
        percentile(&mut times, 100) / 1000.0
    );
}

/// Holds the lock until it is killed.
fn holder() {
    let profile = std::path::PathBuf::from(std::env::var_os(PROFILE).expect("started by this program"));
    let held = files::lock(&profile.join("lock"), LockMode::Exclusive, Instant::now() + LOCK_TIMEOUT);
    let _held = held.expect("a profile of its own");
    println!("held");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn child(role: &str, home: &Home, destination: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(ROLE, role).env(PROFILE, home.path());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "DO_NOT_TRACK"] {
        command.env_remove(name);
    }
    command.env("VMS_ApplicationInsights__ConnectionString", destination);
    command
}

fn pending_memory() {
    let home = Home::new();
    let nobody = closed_port().expect("a port");
    let output = child("memory", &home, &nobody.connection_string(&key())).output().expect("it runs");
    let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(f64::NAN);
    println!(
        "\nprivate memory with 500 events pending, more than with none (target: under 2 MiB): {:.2} MiB",
        bytes / 1_048_576.0
    );
}

fn delivering() {
    let (home, collector, key) = (Home::new(), Collector::start().expect("a port"), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    let mut count = 1;
    let _ = collector.wait_for(Some(&key), count, common::PATIENCE);
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            wait_until(|| session.pending() == 0);
            let start = Instant::now();
            session.connect(&connection(UsageDataPolicy::On)).expect("a profile of its own");
            count += 1;
            let _ = collector.wait_for(Some(&key), count, common::PATIENCE);
            start.elapsed()
        })
        .collect();
    println!(
        "\nfrom recorded to delivered on loopback: median {:.1} ms   p99 {:.1} ms",
        percentile(&mut times, 50) / 1000.0,
        percentile(&mut times, 99) / 1000.0
    );
}

fn counting() {
    let vms = DemoVms::start(Config {
        site: Site { recording_servers: 50, hardware: 100, ..Site::default() },
        users: vec![User::external("visitor@example.test")],
        access_tokens: vec![AccessToken {
            token: "bench-token".to_owned(),
            user: "visitor@example.test".to_owned(),
            seconds: None,
        }],
        faults: vec![Fault { path: "/*".to_owned(), delay_ms: 5, ..Fault::default() }],
        ..Config::default()
    });
    let vms = vms.expect("a port");
    println!("\na VMS of 50 recording servers and 5,000 cameras, 5 ms a request (target: counted in under 2 s)");
    for _ in 0..3 {
        let (home, nobody) = (Home::new(), closed_port().expect("a port"));
        let mut command = child("count", &home, &nobody.connection_string(&key()));
        let output = command.env(SERVER, vms.url()).output().expect("it runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = printed.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        let [logged_on, counted, memory, items] = figures[..] else {
            panic!("{printed}");
        };
        println!(
            "  logged on after {:4.0} ms   counted after {:4.0} ms   {items} items   {:.2} MiB more private memory",
            logged_on * 1000.0,
            counted * 1000.0,
            memory / 1_048_576.0
        );
    }
}

/// A name, a connection string, and variables.
type Scene<'a> = (&'a str, &'a str, Vec<(&'a str, String)>);

/// Processes that import, connect, disconnect and end, where the network is out of order; beside the same with telemetry
/// off.
fn waiting() {
    const ROUNDS: usize = 200;
    let hole = black_hole().expect("a port").connection_string(&key());
    let remote = format!("InstrumentationKey={};IngestionEndpoint=https://nobody.invalid/", key());
    let dead = closed_port().expect("a port");
    let name_server = NameServer::start();
    let mut scenes: Vec<Scene<'_>> = vec![
        ("telemetry off", &hole, vec![("VMS_ApplicationInsights__Enabled", "false".to_owned())]),
        ("packets are dropped", &hole, vec![]),
        ("the proxy is dead", &remote, vec![("HTTPS_PROXY", dead.url())]),
    ];
    if name_server.is_some() {
        // A process pays for entering the mount namespace in which the name server is this one; both of these do.
        scenes.push(("off, in a namespace", &remote, vec![("VMS_ApplicationInsights__Enabled", "false".to_owned())]));
        scenes.push(("the name server hangs", &remote, vec![]));
    }
    let mut times: Vec<Vec<Duration>> = scenes.iter().map(|_| Vec::new()).collect();
    let homes: Vec<Home> = scenes.iter().map(|_| Home::new()).collect();
    for _ in 0..ROUNDS {
        for (index, (name, destination, variables)) in scenes.iter().enumerate() {
            let mut command = child("once", &homes[index], destination);
            if let (true, Some(server)) = (name.contains("name"), &name_server) {
                command = server.wrap(&command);
            }
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            let start = Instant::now();
            assert!(command.status().expect("it runs").success());
            times[index].push(start.elapsed());
        }
    }
    println!(
        "\na whole process: start, connect, disconnect, end ({ROUNDS} each, in turns; target: p99 within 5 ms of off)"
    );
    for ((name, ..), times) in scenes.iter().zip(&mut times) {
        println!(
            "  {name:24} median {:6.1} ms   p99 {:6.1} ms",
            percentile(times, 50) / 1000.0,
            percentile(times, 99) / 1000.0
        );
    }
    if name_server.is_none() {
        println!("  a name server that hangs needs root on Linux: not measured");
    }
}

/// A name server that never answers, for processes in a mount namespace of their own.
struct NameServer {
    _socket: UdpSocket,
    file: tempfile::NamedTempFile,
}

impl NameServer {
    fn start() -> Option<Self> {
        let socket = UdpSocket::bind("127.0.0.53:53").ok()?;
        let file = tempfile::NamedTempFile::new().ok()?;
        std::fs::write(file.path(), "nameserver 127.0.0.53\n").ok()?;
        let server = Self { _socket: socket, file };
        let allowed = server.wrap(&Command::new("true")).status().is_ok_and(|status| status.success());
        allowed.then_some(server)
    }

    /// Runs a command where the system asks this server for names.
    fn wrap(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("unshare");
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        wrapped.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(self.file.path());
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }
}
