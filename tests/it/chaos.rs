//! Many processes of a user at once: killed, stopped, without descriptors, threads or disk, with clocks that jump, and a service that lies,
//! while another process opts out and in. The test knows what was recorded and when the user opted out, and compares that with what
//! the service got. `cargo xtask chaos` runs it for longer.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fastrand::Rng;
use vms_collector::{Collector, Received, Reply};
use vms_telemetry::delivery::Next;

use crate::common::child::{self, Host};
use crate::common::{Home, delivery, key, native, wait_until};
use crate::crash::{attempt_at_once, forget_failures, users};

/// Processes at a time.
const PROCESSES: u64 = 64;
/// Each round has a profile of its own.
const ROUND: Duration = Duration::from_secs(5);
/// Nobody records while so many events are pending: each process may add some, and there are never as many as make the oldest give
/// way (D2).
const PENDING: usize = 250;
/// A request that began just before an opt-out returned is read so much later by a busy collector. The user stays opted out for
/// longer.
const SOON: Duration = Duration::from_millis(500);
const OUT: Duration = Duration::from_millis(1_500);

/// One round, and what is true of it.
struct Round {
    home: Home,
    destination: String,
    clock: PathBuf,
    ends: Instant,
    /// The number of the next event.
    next: AtomicU32,
    /// The events whose calls returned that they are recorded, and when that was.
    recorded: Mutex<Vec<(u32, DateTime<Utc>)>>,
    kills: AtomicU32,
}

/// An opt-out, and the opt-in after it.
#[derive(Debug)]
struct OptOut {
    asked: DateTime<Utc>,
    returned: DateTime<Utc>,
    ended: DateTime<Utc>,
}

impl Round {
    fn goes_on(&self) -> bool {
        Instant::now() < self.ends
    }

    /// Waits for room in the spool.
    fn wait_for_room(&self) {
        while self.goes_on() && self.home.pending().len() > PENDING {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts a process; it may have a clock that jumps, by most of a day. What that is known to break begins with a day: an event
    /// whose writer is stopped in the middle looks as if it had been left (`WRITING_TIME`), and then one that the service refuses.
    fn start(&self, random: &mut Rng) -> Host {
        self.wait_for_room();
        let offset = random.i64(-72_000..=72_000).to_string();
        let clock = self.clock.display().to_string();
        let jumps = [("LD_PRELOAD", clock.as_str()), ("TEST_CLOCK", &offset)];
        let variables = if random.u8(..4) == 0 { &jumps[..] } else { &[] };
        let mut shell = Command::new("sh");
        // What exceeds the limit of a file's size fails then, and does not end the process.
        shell.args(["-c", "trap '' XFSZ && exec \"$@\"", "sh"]);
        let mut host =
            Host::start(&mut child::run_by(shell, &child::command(&self.home, &self.destination, variables)));
        let is_starved = random.u8(..8) == 0;
        is_starved.then(|| host.ask("files none"));
        known(&host.ask("init"));
        is_starved.then(|| host.ask("files all"));
        host
    }

    /// Tells a host to record some events, and returns how many.
    fn tell(&self, host: &mut Host, random: &mut Rng) -> usize {
        self.wait_for_room();
        let count = random.u32(1..4);
        let first = self.next.fetch_add(count, Ordering::SeqCst);
        host.tell(&format!("number {first} {}", first + count));
        count as usize
    }

    /// Notes what a host says about an event.
    fn note(&self, answer: &str) {
        if let Ok(number @ 1..) = answer.parse() {
            self.recorded.lock().unwrap_or_else(PoisonError::into_inner).push((number, Utc::now()));
        }
    }

    fn record(&self, host: &mut Host, random: &mut Rng, meanwhile: impl FnOnce(&mut Host, &mut Rng)) {
        let count = self.tell(host, random);
        meanwhile(host, random);
        // An answer for each, and one for all.
        (0..=count).for_each(|_| self.note(&host.answer().expect("nobody killed it")));
    }

    /// One process after the other, with what a computer does to them.
    fn live(&self, seed: u64) {
        let random = &mut Rng::with_seed(seed);
        while self.goes_on() {
            let mut host = self.start(random);
            for _ in 0..random.u32(1..8) {
                let host = &mut host;
                match random.u8(..10) {
                    _ if !self.goes_on() => break,
                    0..4 => self.record(host, random, |_, _| ()),
                    4 => self.record(host, random, |host, random| {
                        host.stop();
                        pause(random, 400);
                        host.go_on();
                    }),
                    5 | 6 => {
                        let what = ["files", "disk", "threads"][random.usize(..3)];
                        host.ask(&format!("{what} none"));
                        self.record(host, random, |_, _| ());
                        host.ask(&format!("{what} all"));
                    }
                    7 => known(&host.ask(if random.bool() { "log true" } else { "log false" })),
                    // About the time of the first request (S6).
                    8 => pause(random, 1_500),
                    _ => pause(random, 50),
                }
            }
            if random.bool() {
                host.end();
                continue;
            }
            self.tell(&mut host, random);
            std::thread::sleep(Duration::from_micros(random.u64(..3_000)));
            self.kills.fetch_add(1, Ordering::SeqCst);
            host.kill().iter().for_each(|answer| self.note(answer));
        }
    }

    /// Opts out and in again, until the round is over.
    fn change_mind(&self, seed: u64) -> Vec<OptOut> {
        let (random, mut opt_outs) = (&mut Rng::with_seed(seed), Vec::new());
        let mut host = Host::begin(&mut child::command(&self.home, &self.destination, &[]));
        while Instant::now() < self.ends {
            pause(random, 800);
            let asked = Utc::now();
            let said = host.ask("telemetry false");
            let returned = Utc::now();
            std::thread::sleep(OUT);
            let ended = Utc::now();
            // A process that was stopped may have the lock for a while.
            wait_until(|| host.ask("telemetry true") == "0");
            // A warning says that one request may still be completed (C12).
            assert!(said == "0" || said.starts_with("3 "), "{said}");
            opt_outs.extend((said == "0").then_some(OptOut { asked, returned, ended }));
        }
        opt_outs
    }
}

/// A status of the header, and no defect.
fn known(answer: &str) {
    assert!(!answer.starts_with("30"), "{answer}");
}

fn pause(random: &mut Rng, milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(random.u64(..milliseconds)));
}

/// What a service may do that has no right to refuse an event.
fn lies(random: &mut Rng) -> Vec<Reply> {
    let reply = |_| match random.u8(..14) {
        0..5 => Reply::Normal,
        5 => Reply::Slow(Duration::from_millis(1)),
        6 => Reply::Status(503),
        7 => Reply::Status(429),
        8 => Reply::Partial(vec![(0, 500), (2, 429), (4_000, 200)]),
        9 => Reply::Drop,
        10 => Reply::Garbage,
        11 => Reply::Lost,
        12 => Reply::Truncated,
        _ => Reply::Redirect(307, "http://127.0.0.1:1/v2.1/track".to_owned()),
    };
    (0..2_000).map(reply).collect()
}

fn number(item: &Received) -> Option<u32> {
    item.envelope["data"]["baseData"]["measurements"]["CameraCount"].as_u64().and_then(|number| number.try_into().ok())
}

/// Compiles what makes a clock jump.
fn clock() -> PathBuf {
    let clock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/clock.c");
    let output = child::output(native::compiler().args(["-shared", "-fPIC", "-o"]).arg(&clock).arg(source));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    clock
}

/// Plays a round, and says what came of it. In one that is `mixed`, the user opts out and in.
fn play(seed: u64, mixed: bool, clock: &Path) -> String {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    collector.script(&lies(&mut Rng::with_seed(seed)));
    let round = Round {
        destination: collector.connection_string(&key),
        home,
        clock: clock.to_owned(),
        ends: Instant::now() + ROUND,
        next: AtomicU32::new(1),
        recorded: Mutex::default(),
        kills: AtomicU32::new(0),
    };
    let delivery = delivery(&round.home, &round.destination);
    let opt_outs = std::thread::scope(|scope| {
        let user = mixed.then(|| scope.spawn(|| round.change_mind(seed)));
        let hosts: Vec<_> = (1..=PROCESSES)
            .map(|index| {
                scope.spawn({
                    let round = &round;
                    move || round.live(seed + index)
                })
            })
            .collect();
        // Time passes faster than a back-off takes.
        while round.goes_on() {
            std::thread::sleep(Duration::from_millis(100));
            forget_failures(&delivery);
        }
        hosts.into_iter().for_each(|host| host.join().unwrap());
        user.map(|user| user.join().unwrap()).unwrap_or_default()
    });
    wait_until(|| attempt_at_once(&delivery) == Next::Idle);

    let (recorded, received) = (round.recorded.into_inner().unwrap(), collector.received());
    let accepted: HashSet<u32> = received.iter().filter(|item| item.accepted()).filter_map(number).collect();
    let lost: Vec<_> = recorded.iter().filter(|(number, _)| !mixed && !accepted.contains(number)).collect();
    assert!(lost.is_empty(), "seed {seed}: lost: {lost:?}");
    for out in &opt_outs {
        let quiet = out.returned + SOON;
        let late: Vec<_> = received.iter().filter(|item| item.began > quiet && item.began < out.ended).collect();
        assert!(late.is_empty(), "seed {seed}: {out:?}: sent afterwards: {late:?}");
        let deleted: HashSet<u32> = recorded.iter().filter(|event| event.1 < out.asked).map(|event| event.0).collect();
        let is_deleted = |item: &&Received| number(item).is_some_and(|number| deleted.contains(&number));
        let again: Vec<_> = received.iter().filter(|item| item.began > quiet).filter(is_deleted).collect();
        assert!(again.is_empty(), "seed {seed}: {out:?}: deleted, and sent: {again:?}");
    }
    assert!(users(&received) <= 1, "seed {seed}: two ids of one user");
    let refusals = received.iter().filter_map(|item| item.refusal.as_deref());
    let refused: HashSet<&str> = refusals.filter(|refusal| !refusal.starts_with("scripted")).collect();
    assert!(refused.is_empty(), "seed {seed}: an event that was sent is not whole: {refused:?}");
    format!(
        "seed {seed}: {} events recorded, {} requests, {} kills, {} opt-outs",
        recorded.len(),
        collector.requests(),
        round.kills.into_inner(),
        opt_outs.len()
    )
}

/// `VMS_TEST_CHAOS`: for how many seconds; 60 in CI, else 10. `VMS_TEST_SEED`: of the first round.
#[test]
fn c3_c4_d1_d3_d7_i4_in_a_chaos_of_processes_no_event_is_lost_and_every_opt_out_holds() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seconds, seed) = (
        number("VMS_TEST_CHAOS").unwrap_or(if std::env::var_os("CI").is_some() { 60 } else { 10 }),
        number("VMS_TEST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40)),
    );
    let (ends, clock) = (Instant::now() + Duration::from_secs(seconds), clock());
    for round in 0.. {
        // Odd seeds are rounds with opt-outs, so that a seed alone repeats its round.
        let seed = seed + 1_001 * round;
        println!("{}", play(seed, seed % 2 == 1, &clock));
        if round % 2 == 1 && Instant::now() >= ends {
            break;
        }
    }
}
