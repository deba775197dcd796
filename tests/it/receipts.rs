//! What users can see of what was sent, and how they are forgotten: contract section 10 and D9.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use vms_collector::{Collector, Received, Reply, closed_port};
use vms_telemetry::consent::Layer;
use vms_telemetry::delivery::Delivery;
use vms_telemetry::receipts::{self, Head, RECEIPT_LIMIT, Receipts};
use vms_telemetry::response::Outcome;
use vms_telemetry::session::{Change, Clear, UsageDataPolicy};
use vms_telemetry::spool::BYTE_LIMIT;

use crate::common::child::Host;
use crate::common::{Home, arrived, connection, delivery, event, key, real_network, settle};

/// All receipts, the oldest first: the head, and the body.
fn all(receipts: &Receipts) -> Vec<(Head, String)> {
    let texts = (0..).map_while(|index| receipts.nth(index).unwrap());
    let mut read: Vec<_> = texts
        .map(|text| {
            let (head, body) = text.split_once('\n').unwrap();
            (serde_json::from_str(head).unwrap(), body.to_owned())
        })
        .collect();
    read.reverse();
    read
}

/// The requests that were answered as a whole, in order, each with its items.
fn answered(collector: &Collector) -> Vec<Vec<Received>> {
    let mut requests: Vec<Vec<Received>> = Vec::new();
    for item in collector.received().into_iter().filter(|item| item.status != 0) {
        match requests.last_mut() {
            Some(last) if last[0].request == item.request => last.push(item),
            _ => requests.push(vec![item]),
        }
    }
    requests
}

fn put(delivery: &Delivery, events: i64, first: chrono::DateTime<Utc>) {
    for index in 0..events {
        delivery.spool.put(&event(first + TimeDelta::microseconds(index))).unwrap();
    }
}

/// Whatever the service answers, and whatever becomes of the answer.
#[test]
fn d9_t1_each_answered_request_has_a_receipt_with_the_bytes_that_arrived_and_no_other_has_one() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let delivery = delivery(&home, &collector.connection_string(&key));
    let replies = [
        Reply::Normal,
        Reply::Partial(vec![(1, 400), (2, 500)]),
        Reply::Status(500),
        Reply::Lost,
        Reply::Status(400),
        Reply::Drop,
        Reply::Status(429),
        Reply::Garbage,
    ];
    let mut network = real_network(&delivery);
    let mut now = Utc::now();
    for reply in replies.iter().cycle().take(if cfg!(windows) { 48 } else { 200 }) {
        put(&delivery, 3, now);
        collector.always(reply.clone());
        delivery.attempt(&mut network, || now).unwrap();
        // Past every back-off.
        now += TimeDelta::hours(2);
    }
    let (requests, receipts) = (answered(&collector), all(&delivery.receipts));
    assert!(requests.len() > 20 && requests.len() <= RECEIPT_LIMIT, "{}", requests.len());
    assert_eq!(receipts.len(), requests.len());
    for (request, (head, body)) in requests.iter().zip(&receipts) {
        let lines: Vec<String> = request.iter().map(|item| item.envelope.to_string()).collect();
        assert_eq!(*body, lines.join("\n"));
        assert_eq!((head.status, body.len()), (request[0].status, request[0].plain_bytes));
        assert_eq!(head.destination, format!("{}v2.1/track", collector.url()));
        let accepted: Vec<bool> = head.items.iter().map(|outcome| *outcome == Outcome::Accepted).collect();
        let taken: Vec<bool> = request.iter().map(Received::accepted).collect();
        assert_eq!(accepted, taken, "{head:?}");
    }
}

#[test]
fn t1_receipts_are_bounded_by_number_bytes_and_age() {
    let home = Home::new();
    let receipts = Receipts::new(home.paths().sent());
    let now = Utc::now();
    let text = |index: usize, body: &str| {
        receipts::text("https://example.test/", 200, &[Outcome::Accepted], &format!("{index}{body}"), now)
    };
    let files = || std::fs::read_dir(home.paths().sent()).unwrap().flatten().collect::<Vec<_>>();
    for index in 0..if cfg!(windows) { 1_000 } else { 10_000 } {
        receipts.keep(&text(index, ""), now + TimeDelta::microseconds(index as i64)).unwrap();
    }
    assert_eq!(files().len(), RECEIPT_LIMIT);
    for index in 0..20 {
        let body = "x".repeat(100_000);
        receipts.keep(&text(index, &body), now + TimeDelta::seconds(1 + index as i64)).unwrap();
    }
    let bytes: u64 = files().iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= BYTE_LIMIT, "{bytes}");
    assert!(all(&receipts).last().unwrap().1.starts_with("19x"));
    receipts.keep(&text(0, "late"), now + TimeDelta::days(91)).unwrap();
    assert_eq!(files().len(), 1);
}

#[test]
fn t1_t2_an_opt_out_deletes_receipts_and_a_session_shows_what_it_has() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let session = home.session(&collector.connection_string(&key), &[]);
    let sent = arrived(&collector, &key, 1);
    settle(&session);
    let receipt = session.receipt(0).unwrap().unwrap();
    assert_eq!(receipt.lines().nth(1).unwrap(), sent[0].envelope.to_string());
    assert_eq!((session.receipt(1).unwrap(), session.pending_event(0).unwrap()), (None, None));
    // Under a hold nothing is sent, so the event is there to see.
    session.set_config(Change { hold: Some(true), ..Change::default() }).unwrap();
    session.connect(&connection(UsageDataPolicy::On)).unwrap();
    assert!(session.pending_event(0).unwrap().unwrap().contains("\"NewVmsSession\""));
    session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    assert_eq!((session.receipt(0).unwrap(), session.pending_event(0).unwrap()), (None, None));
    assert!(!home.files().iter().any(|file| file.contains("sent/")), "{:?}", home.files());
}

#[test]
fn t2_a_preview_works_with_telemetry_off_and_leaves_no_file() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session(&nobody.connection_string(&key()), &[("DO_NOT_TRACK", "1")]);
    let preview: serde_json::Value = serde_json::from_str(&session.preview(0).unwrap().unwrap()).unwrap();
    let data = &preview["data"]["baseData"];
    assert_eq!((&data["name"], &data["properties"]["OSDescription"]), (&"NewSession".into(), &"Test OS 1".into()));
    assert_eq!(data["properties"]["uuid"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(session.preview(1).unwrap(), None);
    assert_eq!(home.files(), Vec::<String>::new());
}

#[test]
fn t7_the_layers_say_what_each_of_them_says() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let session = home.session(&nobody.connection_string(&key()), &[("VMS_ApplicationInsights__Enabled", "true")]);
    let words = || session.layers().into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    session.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    let expected = [
        "MachinePolicy=not set",
        "Process=not set",
        "Environment=on",
        "DO_NOT_TRACK=not set",
        "VmsPolicy=not set",
        "SettingsFile=off",
        "Default=on",
    ];
    assert_eq!(words(), expected);
    assert_eq!(session.user().map(|id| id.get_version_num()), Some(4));
}

/// Four processes of a user. After the clearing, whoever did it, no file and no later event has an old id: not the user's, not
/// a site's, not a session's.
#[test]
fn t5_ids_are_new_in_every_process_once_they_are_cleared() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let session = home.session_with_proxy(&destination);
    session.set_config(Change { log: Some(true), ..Change::default() }).unwrap();
    let mut hosts: Vec<Host> = (0..3).map(|_| Host::new(&home, &destination)).collect();
    let record = |hosts: &mut Vec<Host>| {
        let (number, _) = session.connect(&connection(UsageDataPolicy::On)).unwrap();
        session.disconnect(number).unwrap();
        for host in hosts {
            assert_eq!(host.ask("record 1"), "0");
        }
    };
    for host in &mut hosts {
        assert_eq!(host.ask("init awaiting"), "0");
    }
    record(&mut hosts);
    let ids = || {
        let mut ids = Vec::new();
        for event in home.events() {
            let (user, id) = event.ids();
            ids.extend([user, id]);
            let json = serde_json::to_value(&event).unwrap().to_string();
            let site = json.split("\"SiteId\":\"").nth(1).and_then(|rest| rest.get(..36));
            ids.extend(site.map(|site| site.parse::<uuid::Uuid>().unwrap()));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let old = ids();
    // One user, one site, four sessions.
    assert_eq!(old.len(), 6);
    session.clear(Clear { ids: true, ..Clear::default() }).unwrap();
    let is_anywhere = |id: &uuid::Uuid| {
        home.files().iter().any(|file| {
            let content = std::fs::read(home.path().join(file)).unwrap();
            let has = |bytes: &[u8]| content.windows(bytes.len()).any(|part| part == bytes);
            has(id.to_string().as_bytes()) || has(&id.to_bytes_le())
        })
    };
    assert!(!old.iter().any(is_anywhere), "{:?}", home.files());
    record(&mut hosts);
    let new = ids();
    assert_eq!(new.len(), 6, "{new:?}");
    assert!(!new.iter().any(|id| old.contains(id)) && !old.iter().any(is_anywhere));
    // The choice stays.
    assert!(session.decisions().log.is_on());
}

/// C3, C4, T1: an opt-out for one session deletes its own events. What lifts it deletes nothing of others.
#[test]
fn c3_c4_t1_an_opt_in_after_an_opt_out_for_this_session_deletes_nothing() {
    for resets in [false, true] {
        let (home, nobody) = (Home::new(), closed_port().unwrap());
        let destination = nobody.connection_string(&key());
        let (other, session) = (home.session_with_proxy(&destination), home.session_with_proxy(&destination));
        other.connect(&connection(UsageDataPolicy::On)).unwrap();
        let receipts = Receipts::new(home.paths().sent());
        receipts.keep("{}", Utc::now()).unwrap();
        let count = || (home.pending().len(), std::fs::read_dir(home.paths().sent()).unwrap().count());
        assert_eq!(count(), (3, 1));
        session.set_config(Change { telemetry: Some(false), is_for_session: true, ..Change::default() }).unwrap();
        assert_eq!(count(), (2, 1));
        let telemetry = (!resets).then_some(true);
        session.set_config(Change { telemetry, resets_telemetry: resets, ..Change::default() }).unwrap();
        assert_eq!(count(), (3, 1), "{resets}");
    }
}

/// Whatever the clocks say: the file may be from the future, as after a clock was set back, or look older than it is.
#[test]
fn t5_i3_what_tells_cleared_ids_is_the_id_and_not_the_time_of_its_file() {
    for time in ["past", "future"] {
        let (home, nobody) = (Home::new(), closed_port().unwrap());
        let session = home.session_with_proxy(&nobody.connection_string(&key()));
        let day = Duration::from_secs(86_400);
        let set_time = || {
            let now = std::time::SystemTime::now();
            let file = std::fs::File::options().write(true).open(home.paths().user_id()).unwrap();
            file.set_modified(if time == "past" { now - day } else { now + day }).unwrap();
        };
        let ids = || {
            let mut ids: Vec<_> = home.events().iter().map(|event| event.ids()).collect();
            ids.dedup();
            ids
        };
        set_time();
        session.connect(&connection(UsageDataPolicy::On)).unwrap();
        let old = ids();
        assert_eq!(old.len(), 1, "{time}: {old:?}");
        // Another process clears them.
        let other = home.session_with_proxy(&nobody.connection_string(&key()));
        other.clear(Clear { ids: true, ..Clear::default() }).unwrap();
        other.connect(&connection(UsageDataPolicy::On)).unwrap();
        set_time();
        session.connect(&connection(UsageDataPolicy::On)).unwrap();
        assert!(!ids().iter().any(|(user, id)| *user == old[0].0 || *id == old[0].1), "{time}");
    }
}

#[test]
fn c3_an_opt_out_for_this_session_stores_nothing_and_takes_back_only_its_own_events() {
    let (home, nobody) = (Home::new(), closed_port().unwrap());
    let destination = nobody.connection_string(&key());
    let (other, session) = (home.session_with_proxy(&destination), home.session_with_proxy(&destination));
    assert_eq!(home.pending().len(), 2);
    let for_session = |on| Change { telemetry: Some(on), is_for_session: true, ..Change::default() };
    session.set_config(for_session(false)).unwrap();
    assert_eq!((session.decisions().telemetry.layer, session.decisions().telemetry.is_on()), (Layer::Session, false));
    assert!(other.decisions().telemetry.is_on() && home.pending().len() == 1 && !home.paths().settings().exists());
    // What another process of the user does with its events is not its business.
    settle(&session);
    assert_eq!(home.pending().len(), 1);
    session.set_config(for_session(true)).unwrap();
    assert_eq!((session.decisions().telemetry.layer, home.pending().len()), (Layer::Default, 2));
    // It overrides no opt-out that is stored.
    other.set_config(Change { telemetry: Some(false), ..Change::default() }).unwrap();
    let warning = session.set_config(for_session(true)).unwrap().unwrap();
    assert!(warning.starts_with("telemetry stays off: you turned it off"), "{warning}");
    session.set_config(Change { resets_telemetry: true, ..Change::default() }).unwrap();
    assert_eq!(session.decisions().telemetry.layer, Layer::Default);
}
