//! `vms-demo`: runs a demo VMS from one configuration file.
//!
//! The first line on standard output is the address, the second what a client should count.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use lexopt::prelude::*;
use vms_demo::{Config, DemoVms};

const HELP: &str = "\
A stand-in for an XProtect Management Server on the loopback address.

Usage: vms-demo [FILE] [--port N]

  FILE      Configuration (JSON; see example.json). Without it: a small site where nobody can log on.
  --port N  Listens on this port instead of the configuration's; 0 takes a free one.
  --help    Shows this.

Runs until it is ended (Ctrl+C).
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vms-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut file, mut port): (Option<PathBuf>, Option<u16>) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("port") => port = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return print(HELP),
            Value(path) if file.is_none() => file = Some(path.into()),
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    let mut config = file.map(|path| Config::read(&path)).transpose()?.unwrap_or_default();
    config.port = port.unwrap_or(config.port);
    let vms = DemoVms::start(config)?;
    let counts = vms.counts();
    print(&format!(
        "listening on {}\n{} child sites, {} recording servers, {} hardware, {} cameras, {} microphones, {} speakers, \
         {} metadata, {} inputs, {} outputs enabled\n",
        vms.url(),
        counts.child_sites,
        counts.recording_servers,
        counts.hardware,
        counts.cameras,
        counts.microphones,
        counts.speakers,
        counts.metadata,
        counts.inputs,
        counts.outputs
    ))?;
    loop {
        thread::park();
    }
}

fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())?;
    Ok(())
}
