//! `vms-collector`: runs a collector, shows each event that arrives, and keeps it in a file if asked to.
//!
//! The first line on standard output is the address, the second the connection string to use. Standard output is held from
//! before the start until they are written, so that no event can come first.

use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use comfy_table::{Table, presets};
use serde_json::Value;
use vms_collector::tls;
use vms_collector::{Collector, Received, Script, black_hole, closed_port};

/// The key in the connection string shown; any GUID would do, and this one belongs to nobody.
const SAMPLE_KEY: &str = "11111111-2222-4333-8444-555555555555";

/// A local endpoint for Application Insights. It checks, shows and records the telemetry sent to it.
#[derive(Parser)]
#[command(after_help = include_str!("help.txt"))]
struct Arguments {
    /// Listen on this port of the loopback address; 0 means a free one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Write each item to FILE as it arrives, one JSON object per line. FILE is overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show no tables.
    #[arg(long)]
    quiet: bool,
    /// Reply to the next requests in this order, then normally.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    replies: Script,
    #[command(flatten)]
    tls: tls::Arguments,
    /// Serve nothing: connections to the address shown are refused.
    #[arg(long, exclusive = true)]
    refuse: bool,
    /// Serve nothing: connections to the address shown time out.
    #[arg(long, exclusive = true)]
    black_hole: bool,
}

fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse());
    let _ = writeln!(io::stderr(), "vms-collector: {error}");
    ExitCode::FAILURE
}

/// Runs until the program is ended.
fn run(arguments: Arguments) -> Result<Infallible, Box<dyn Error>> {
    if arguments.refuse || arguments.black_hole {
        let nobody = if arguments.refuse { closed_port() } else { black_hole() }?;
        print(&first_lines(&nobody.url(), &nobody.connection_string(SAMPLE_KEY)));
        park();
    }
    let mut builder = Collector::builder().port(arguments.port).script(arguments.replies);
    if let Some(config) = arguments.tls.load()? {
        builder = builder.tls(config);
    }
    let create =
        |path: PathBuf| File::create(&path).map_err(|error| format!("cannot write {}: {error}", path.display()));
    let mut out = arguments.out.map(create).transpose()?;
    let observer = move |item: &Received| {
        if let Some(file) = &mut out
            && let Err(error) = file.write_all(format!("{}\n", item.to_json()).as_bytes())
        {
            let _ = writeln!(io::stderr(), "vms-collector: cannot write the record: {error}");
        }
        if !arguments.quiet {
            print(&table(item));
        }
    };
    let first = io::stdout().lock();
    let collector = builder
        .on_received(observer)
        .start()
        .map_err(|error| format!("cannot listen on port {}: {error}", arguments.port))?;
    print(&first_lines(&collector.url(), &collector.connection_string(SAMPLE_KEY)));
    drop(first);
    park()
}

fn first_lines(url: &str, connection_string: &str) -> String {
    format!("listening on {url}\n{connection_string}\n")
}

fn park() -> ! {
    loop {
        thread::park();
    }
}

/// Returns an event as text: its name and time on top, then a row for each property and measurement.
fn table(item: &Received) -> String {
    let event = item.envelope.pointer("/data/baseData");
    let member = |name| event.and_then(|event| event.get(name));
    let name = member("name").and_then(Value::as_str).unwrap_or("(no event)");
    let time = item.envelope.get("time").and_then(Value::as_str).unwrap_or("(no time)");
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([shown(name), shown(time)]);
    if let Some(refusal) = &item.refusal {
        table.add_row(["REFUSED".to_owned(), shown(refusal)]);
    }
    for (key, value) in
        ["properties", "measurements"].into_iter().filter_map(member).filter_map(Value::as_object).flatten()
    {
        table.add_row([shown(key), shown(value.as_str().unwrap_or(&value.to_string()))]);
    }
    format!("{table}\n\n")
}

/// Escapes control characters: what arrives must not steer the terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Prints to standard output. If no one reads it, that is no reason to stop collecting.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
