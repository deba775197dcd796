//! Many processes on one spool, some of them killed: nothing is lost, torn or mixed, and next to nothing comes twice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::common::child::{self, Host};
use crate::common::{Home, PATIENCE, TestDelivery, arrived, delivery, key, real_network, settle, wait_until};
use vms_collector::{Collector, Received, Reply};
use vms_telemetry::delivery::{Delivery, Next};

/// A process whose session began later than this sends nothing yet (S6).
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Starts a host that records its session and so many connections, as fast as it can.
fn recording(home: &Home, destination: &str, connections: u32) -> Host {
    let mut host = Host::start(&mut child::command(home, destination, &[]));
    for words in ["init", "text 7", &format!("number 1 {}", connections + 1)] {
        host.tell(words);
    }
    host
}

/// The events that a host recorded, by the session's id and their number.
#[derive(Default)]
struct Recorded {
    session: String,
    events: Vec<String>,
}

impl Recorded {
    /// Adds what an answer says.
    fn add(&mut self, answer: String) {
        if self.session.is_empty() && answer != "0" {
            self.session = answer;
            self.events.push(format!("{} 0", self.session));
        } else if answer != "0" {
            self.events.push(format!("{} {answer}", self.session));
        }
    }
}

/// Reads what a host recorded, up to so many events.
fn recorded(host: &mut Host, most: usize) -> Recorded {
    let mut recorded = Recorded::default();
    while recorded.events.len() < most
        && let Some(answer) = host.answer()
    {
        recorded.add(answer);
    }
    recorded
}

/// Returns the requests in which each event was accepted, by session and number.
fn requests(received: &[Received]) -> HashMap<String, Vec<u64>> {
    let mut requests = HashMap::<_, Vec<u64>>::new();
    for item in received.iter().filter(|item| item.accepted()) {
        let data = &item.envelope["data"]["baseData"];
        let number = data["measurements"]["CameraCount"].as_u64().unwrap_or(0);
        let event = format!("{} {number}", data["properties"]["SessionId"].as_str().unwrap());
        requests.entry(event).or_default().push(item.request);
    }
    requests
}

pub(crate) fn users(received: &[Received]) -> usize {
    received.iter().map(|item| item.envelope["tags"]["ai.user.id"].to_string()).collect::<HashSet<_>>().len()
}

/// D3, if no process dies.
#[test]
fn d3_sixty_four_processes_send_each_event_once() {
    let processes = if cfg!(windows) { 16 } else { 64 };
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let mut hosts: Vec<Host> = (0..processes).map(|_| recording(&home, &destination, 4)).collect();
    let events: Vec<String> = hosts.iter_mut().flat_map(|host| recorded(host, 5).events).collect();
    for mut host in hosts {
        assert_eq!([host.answer().unwrap(), host.ask("settle")], ["0", "settled"]);
        host.end();
    }
    assert_eq!(events.len(), processes * 5);
    let received = arrived(&collector, &key, events.len());
    let requests = requests(&received);
    assert!(events.iter().all(|event| requests.get(event).is_some_and(|requests| requests.len() == 1)));
    assert_eq!(users(&received), 1);
}

/// The service of the killed processes: as often as not it accepts nothing, or not all. What it accepts it answers at once or
/// slowly; then there is more time to be killed in. It never accepts what it says it has not, which would double events as well.
fn unreliable(requests: usize) -> Vec<Reply> {
    let reply = |_| match fastrand::usize(..12) {
        0..3 => Reply::Normal,
        3..6 => Reply::Slow(Duration::from_millis(1)),
        6 => Reply::Status(503),
        7 => Reply::Status(429),
        8 => Reply::Status(403),
        9 => Reply::Drop,
        10 => Reply::Garbage,
        _ => Reply::Partial(vec![(0, 500), (2, 429)]),
    };
    (0..requests).map(reply).collect()
}

/// Kills a process at random: a short-lived one after some events and a little later, a sender about the time of its
/// first request. Returns what it recorded, and whether it lived long enough to send something.
fn kill_at_random(home: &Home, destination: &str, is_sender: bool) -> (Vec<String>, bool) {
    let begun = Instant::now();
    let mut victim = recording(home, destination, if is_sender { 4 } else { 2_000 });
    let mut known = Recorded::default();
    if is_sender {
        // The point of its death is random, not a wait for something.
        std::thread::sleep(Duration::from_millis(fastrand::u64(900..1_600)));
    } else {
        known = recorded(&mut victim, fastrand::usize(1..9));
        (0..fastrand::usize(..2_000)).for_each(|_| std::hint::spin_loop());
    }
    let answers = victim.kill();
    let could_send = begun.elapsed() >= FIRST_REQUEST;
    answers.into_iter().for_each(|answer| known.add(answer));
    (known.events, could_send)
}

/// Forgets earlier failures.
pub(crate) fn forget_failures(delivery: &Delivery) {
    // It may not be there, and on Windows a sender may be replacing it.
    let _ = std::fs::remove_file(delivery.spool.folder().join("retry.json"));
}

/// Makes one attempt without regard to earlier failures.
pub(crate) fn attempt_at_once(delivery: &TestDelivery) -> Next {
    forget_failures(delivery);
    match delivery.attempt(&mut real_network(delivery), chrono::Utc::now) {
        // Another thread of this test is deleting the file that this one replaces.
        Err(_) if cfg!(windows) => Next::RetryAt(chrono::Utc::now()),
        outcome => outcome.unwrap(),
    }
}

/// Of the processes one in twelve lives long enough to send, and is killed in, before or after a request.
#[test]
fn d1_d3_i4_killed_processes_lose_nothing_and_double_at_most_the_batch_in_flight() {
    // VMS_TEST_KILLS: for the long run.
    let kills = std::env::var("VMS_TEST_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills = kills.unwrap_or(if cfg!(windows) { 40 } else { 400 });
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    collector.script(&unreliable(20 * kills));
    let (next, events, senders) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let kill_some = || {
        let delivery = delivery(&home, &destination);
        while let number = next.fetch_add(1, Ordering::SeqCst)
            && number < kills
        {
            // Without this nobody would send anything for most of the time.
            forget_failures(&delivery);
            let (recorded, could_send) = kill_at_random(&home, &destination, number % 12 == 7);
            events.lock().unwrap().extend(recorded);
            senders.fetch_add(usize::from(could_send), Ordering::SeqCst);
            // The spool holds 500 events: attempts that nobody kills empty it in between.
            // What killed processes left torn stays.
            while delivery.spool.entries().unwrap().len() > 200 && attempt_at_once(&delivery) != Next::Idle {}
        }
    };
    // Most of the time a sender does nothing; so more of them run than there are processors.
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(kill_some))));
    let delivery = delivery(&home, &destination);
    wait_until(|| attempt_at_once(&delivery) == Next::Idle);

    let (events, received) = (events.into_inner().unwrap(), collector.received());
    let requests = requests(&received);
    let lost: Vec<_> = events.iter().filter(|event| !requests.contains_key(*event)).collect();
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), events.len());
    // The batches that the service accepted and that came again.
    let doubled: BTreeSet<u64> =
        requests.values().flat_map(|requests| requests.split_last().unwrap().1).copied().collect();
    let (twice, most) =
        (requests.values().filter(|requests| requests.len() > 1).count(), requests.values().map(Vec::len).max());
    let senders = senders.into_inner();
    println!(
        "{} events of {kills} killed processes, {senders} of which could send: {} batches came again, {twice} events, one {} \
         times; {} requests",
        events.len(),
        doubled.len(),
        most.unwrap(),
        collector.requests()
    );
    assert!(doubled.len() <= senders, "{} batches came again after {senders} deaths", doubled.len());
    assert_eq!(users(&received), 1);
    // What is left are events whose calls had not returned: torn, and deleted when they are old enough.
    let torn = delivery.spool.entries().unwrap();
    for entry in &torn {
        let path = delivery.spool.path(entry);
        let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        let whole: u64 = path.to_str().unwrap().rsplit_once('-').unwrap().1.split_once('.').unwrap().0.parse().unwrap();
        assert!(file.metadata().unwrap().len() < whole, "{}", path.display());
        file.set_modified(SystemTime::now() - Duration::from_secs(25 * 3_600)).unwrap();
    }
    println!("{} torn files", torn.len());
    assert_eq!(attempt_at_once(&delivery), Next::Idle);
    assert_eq!(delivery.spool.entries().unwrap(), []);
    let valid = |item: &Received| item.refusal.as_ref().is_none_or(|refusal| refusal.starts_with("scripted"));
    assert!(collector.received().iter().all(valid), "each event that was sent is whole");
}

/// Kills the sender while its request is in flight, again and again: the batch comes once more for each death, and no more.
#[test]
fn d3_each_death_in_a_request_doubles_its_batch_once() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    let deaths = if cfg!(windows) { 2 } else { 4 };
    let delivery = delivery(&home, &destination);
    let mut events = Vec::new();
    for _ in 0..deaths {
        collector.script(&[Reply::hold()]);
        // One death in a row makes nobody wait; this is about the events.
        forget_failures(&delivery);
        let mut victim = recording(&home, &destination, 4);
        events.push(recorded(&mut victim, 5).events);
        assert_eq!(collector.wait_held(1, PATIENCE), 1);
        victim.kill();
        // The service accepts what it has; nobody hears of it.
        let before = collector.accepted_for(&key).len();
        collector.release();
        let all = events.iter().map(Vec::len).sum::<usize>();
        assert_eq!(collector.wait_for_accepted(Some(&key), before + all, PATIENCE).len(), before + all);
    }
    assert_eq!(attempt_at_once(&delivery), Next::Idle);
    let requests = requests(&collector.received());
    for (death, events) in events.iter().enumerate() {
        for event in events {
            assert_eq!(requests[event].len(), deaths - death + 1);
        }
    }
    assert_eq!((requests.len(), delivery.spool.entries().unwrap().len()), (deaths * 5, 0));
}

#[test]
fn d3_a_killed_holder_of_the_lock_leaves_it_to_the_next() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let destination = collector.connection_string(&key);
    collector.script(&[Reply::Silent]);
    let holder = Host::begin(&mut child::command(&home, &destination, &[]));
    // It holds the lock for as long as its request is not answered: the time limit is far away.
    assert_eq!(collector.wait_held(1, PATIENCE), 1);
    let session = home.session(&destination, &[]);
    assert_eq!(collector.requests(), 1);
    holder.kill();
    // The request that nobody answered took nothing; the next holder's takes both events.
    assert_eq!(collector.wait_for_accepted(Some(&key), 2, PATIENCE).len(), 2);
    settle(&session);
}
