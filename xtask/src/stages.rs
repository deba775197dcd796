//! The steps of a command, as somebody who waits sees them: a line with the time that each took, a progress line on a
//! terminal while it runs, and a table at the end.

use std::cell::RefCell;
use std::io::{IsTerminal, stdout};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::tools::Outcome;

static TIMES: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());
static LINES: LazyLock<MultiProgress> = LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));

thread_local! {
    /// The progress line of the stage that this thread runs.
    static LINE: RefCell<Option<ProgressBar>> = const { RefCell::new(None) };
}

/// Whether somebody watches: then tools are quiet, and heard where they fail.
pub fn is_watched() -> bool {
    static WATCHED: LazyLock<bool> = LazyLock::new(|| stdout().is_terminal() && std::env::var_os("CI").is_none());
    *WATCHED
}

/// Runs a stage and notes its time.
pub fn stage<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let start = Instant::now();
    let line = is_watched().then(|| {
        let line = LINES.add(ProgressBar::new_spinner()).with_prefix(name.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}") {
            line.set_style(style);
        }
        line.enable_steady_tick(Duration::from_millis(100));
        line
    });
    if line.is_none() {
        println!("\n== {name}");
    }
    let outer = LINE.replace(line);
    let outcome = work();
    if let Some(line) = LINE.replace(outer) {
        line.finish_and_clear();
    }
    let took = start.elapsed();
    say(&format!("== {name}: {:.0} s{}", took.as_secs_f64(), if outcome.is_ok() { "" } else { ", failed" }));
    if let Ok(mut times) = TIMES.lock() {
        times.push((name.to_owned(), took));
    }
    outcome
}

/// Prints above the progress lines.
pub fn say(text: &str) {
    if is_watched() { LINES.suspend(|| println!("{text}")) } else { println!("{text}") }
}

/// Shows a line of a tool: whole where nobody watches, else behind the name of the stage.
pub fn hear(text: &str) {
    if is_watched() {
        LINE.with_borrow(|line| line.iter().for_each(|line| line.set_message(text.trim().to_owned())));
    } else {
        println!("{text}");
    }
}

/// A table for a terminal of usual width.
pub fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    table
}

/// The table of all stages; those that ran at once overlap.
pub fn times() -> Table {
    let mut table = table(&["stage", "seconds"]);
    for (name, took) in TIMES.lock().map(|times| times.clone()).unwrap_or_default() {
        table.add_row([name, format!("{:.0}", took.as_secs_f64())]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
