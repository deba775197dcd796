//! What a fleet of computers does to the service, and a firewall to one computer: the real back-off, with a turned clock.
//! `cargo xtask bench fleet` runs this, and draws `docs/fleet.svg`. Nothing is asserted.

use chrono::{DateTime, TimeDelta, Utc};
use vms_telemetry::delivery::{RetryState, backed_off_until};

/// Computers whose network comes back in the same second.
const COMPUTERS: usize = 100_000;
/// How long nobody answered: all have the longest back-off by then.
const OUTAGE: TimeDelta = TimeDelta::hours(24);
/// What is looked at afterwards, in seconds.
const AFTERWARDS: usize = 2 * 3_600;
const REASON: &str = "no answer";

/// When a computer may make an attempt.
#[derive(Clone, Copy)]
enum Runs {
    /// A session that stays open: its thread wakes when the back-off ends.
    Always,
    /// A script in each minute, at a second of the computer's own.
    EachMinute,
    /// A script in each minute, on all computers in the same second.
    AtSecondZero,
}

fn main() {
    let fleets = [
        ("sessions that stay open", Runs::Always),
        ("a script each minute, at any second", Runs::EachMinute),
        ("a script each minute, all at second 0", Runs::AtSecondZero),
    ];
    println!(
        "\n{COMPUTERS} computers, whose network comes back in the same second after {} hours:",
        OUTAGE.num_hours()
    );
    let mut curves = Vec::new();
    for (name, runs) in fleets {
        let requests = fleet(runs);
        let within = |share: f64| {
            let mut sum = 0;
            requests.iter().position(|count| {
                sum += count;
                sum as f64 >= share * COMPUTERS as f64
            })
        };
        let minutes = |second: Option<usize>| second.map_or(f64::NAN, |second| second as f64 / 60.0);
        println!(
            "  {name:40} at most {:5} requests a second, {:4} a second over its fullest minute; half have sent after {:3.0} \
             minutes, 99 % after {:3.0}",
            requests.iter().max().unwrap_or(&0),
            per_minute(&requests).into_iter().max().unwrap_or(0) / 60,
            minutes(within(0.5)),
            minutes(within(0.99)),
        );
        curves.push((name, per_minute(&requests)));
    }
    let plot = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet.svg");
    std::fs::write(plot, draw(&curves)).expect("the plot can be written");
    month();
}

/// Simulates the fleet, and gives the requests in each second after the network is back.
fn fleet(runs: Runs) -> Vec<usize> {
    let back = start() + OUTAGE;
    let mut requests = vec![0; AFTERWARDS];
    for _ in 0..COMPUTERS {
        let second = match runs {
            Runs::AtSecondZero => 0,
            Runs::Always | Runs::EachMinute => fastrand::i64(0..60),
        };
        let (mut state, mut now) = (RetryState::default(), start() + TimeDelta::seconds(second));
        while now < back {
            state = state.fail(REASON.to_owned(), None, now);
            now = next(&state, now, second, runs);
        }
        let after = usize::try_from((now - back).num_seconds()).unwrap_or(0);
        requests[after.min(AFTERWARDS - 1)] += 1;
    }
    requests
}

/// Returns when the computer makes its next attempt.
fn next(state: &RetryState, now: DateTime<Utc>, second: i64, runs: Runs) -> DateTime<Utc> {
    let allowed = backed_off_until(state, now).unwrap_or(now);
    match runs {
        Runs::Always => allowed,
        Runs::EachMinute | Runs::AtSecondZero => {
            let minutes = (allowed - start() - TimeDelta::seconds(second) + TimeDelta::seconds(59)).num_seconds() / 60;
            start() + TimeDelta::seconds(minutes * 60 + second)
        }
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
}

fn per_minute(requests: &[usize]) -> Vec<usize> {
    requests.chunks(60).map(|minute| minute.iter().sum()).collect()
}

/// One computer that runs a script in each minute of 30 days, behind a firewall that drops packets.
fn month() {
    let (mut state, mut now, mut attempts) = (RetryState::default(), start(), [0; 2]);
    let end = start() + TimeDelta::days(30);
    while now < end {
        attempts[usize::from(now >= start() + TimeDelta::days(1))] += 1;
        state = state.fail(REASON.to_owned(), None, now);
        now = next(&state, now, 0, Runs::AtSecondZero);
    }
    let [first, others] = attempts;
    println!(
        "\nA script each minute for 30 days behind a firewall that drops packets: {first} attempts on the first day, {:.0} on each \
         later one, {} in all.\nAn attempt sends 3 packets of 60 bytes in 5 seconds: {} KiB in all. `cargo xtask bench events` has \
         the time of such processes.",
        f64::from(others) / 29.0,
        first + others,
        (first + others) * 180 / 1024
    );
}

/// Draws the requests of each minute, in requests a second.
fn draw(curves: &[(&str, Vec<usize>)]) -> String {
    const COLORS: [&str; 3] = ["#0a7", "#06c", "#c50"];
    let highest = curves.iter().flat_map(|(_, minutes)| minutes).max().copied().unwrap_or(1).max(1) as f64;
    let mut drawn = String::new();
    for ((number, (name, minutes)), color) in curves.iter().enumerate().zip(COLORS) {
        let points: Vec<String> = minutes
            .iter()
            .enumerate()
            .map(|(minute, count)| format!("{},{:.1}", 60 + 5 * minute, 260.0 - *count as f64 / highest * 200.0))
            .collect();
        drawn += &format!(
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>\n\
             <text x=\"380\" y=\"{}\" fill=\"{color}\">{name}</text>\n",
            points.join(" "),
            30 + 20 * number
        );
    }
    let ticks: String = (0..=4)
        .map(|half| {
            format!("<text x=\"{}\" y=\"280\" text-anchor=\"middle\">{} min</text>\n", 60 + 150 * half, 30 * half)
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"700\" height=\"300\" viewBox=\"0 0 700 300\" \
         font-family=\"sans-serif\" font-size=\"13\"><title>Requests after an outage of 24 hours, of {COMPUTERS} computers</title>\
         <rect width=\"700\" height=\"300\" fill=\"#fff\"/><path d=\"M60 60V260H660\" fill=\"none\" stroke=\"#999\"/>\n\
         <text x=\"52\" y=\"64\" text-anchor=\"end\">{:.0}/s</text><text x=\"52\" y=\"264\" text-anchor=\"end\">0</text>\n\
         {ticks}{drawn}</svg>\n",
        highest / 60.0
    )
}
