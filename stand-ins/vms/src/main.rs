//! `vms-demo`: runs a demo VMS from one configuration file.
//!
//! The first line on standard output is a JSON object: the address, and what a client should count.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use serde_json::json;
use vms_demo::{Config, DemoVms, tls};

/// A stand-in for an XProtect Management Server, on the loopback address. Press Ctrl+C to stop.
#[derive(Parser)]
struct Arguments {
    /// Configuration (JSON, see example.json). Without it: a small site where no one can log on.
    file: Option<PathBuf>,
    /// Listen on this port instead of the configuration's; 0 means a free one.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    #[command(flatten)]
    tls: tls::Arguments,
}

fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse());
    let _ = writeln!(io::stderr(), "vms-demo: {error}");
    ExitCode::FAILURE
}

/// Runs until the program is ended.
fn run(arguments: Arguments) -> Result<Infallible, Box<dyn Error>> {
    let mut config = arguments.file.map(|path| Config::read(&path)).transpose()?.unwrap_or_default();
    config.port = arguments.port.unwrap_or(config.port);
    let vms = match arguments.tls.load()? {
        Some(tls) => DemoVms::start_tls(config, tls),
        None => DemoVms::start(config),
    }?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", json!({ "url": vms.url(), "counts": vms.counts() }))?;
    stdout.flush()?;
    loop {
        thread::park();
    }
}
