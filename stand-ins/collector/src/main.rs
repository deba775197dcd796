//! `vms-collector`: runs a collector, shows each event that arrives, and keeps it in a file if asked to.
//!
//! The first line on standard output is the address, the second the connection string to use. Standard output is held from
//! before the start until they are written, so that no event can come first.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use comfy_table::{Table, presets};
use lexopt::prelude::*;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use vms_collector::tls::{Authority, Leaf};
use vms_collector::{Collector, Received, Script, black_hole, closed_port};

const HELP: &str = include_str!("help.txt");

/// The key in the connection string shown; any GUID would do, and this one is nobody's.
const SAMPLE_KEY: &str = "11111111-2222-4333-8444-555555555555";

#[derive(Default)]
struct Arguments {
    help: bool,
    port: u16,
    out: Option<PathBuf>,
    quiet: bool,
    replies: Script,
    leaf: Option<Leaf>,
    ca: Option<PathBuf>,
    refuse: bool,
    black_hole: bool,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

fn main() -> ExitCode {
    match parse().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vms-collector: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("port") => arguments.port = parser.value()?.parse()?,
            Long("out") => arguments.out = Some(parser.value()?.into()),
            Long("quiet") => arguments.quiet = true,
            Long("replies") => arguments.replies = parser.value()?.parse_with(str::parse)?,
            Long("tls") => arguments.leaf = Some(parser.value()?.parse_with(leaf)?),
            Long("ca") => arguments.ca = Some(parser.value()?.into()),
            Long("refuse") => arguments.refuse = true,
            Long("black-hole") => arguments.black_hole = true,
            Long("cert") => arguments.cert = Some(parser.value()?.into()),
            Long("key") => arguments.key = Some(parser.value()?.into()),
            Long("help") | Short('h') => arguments.help = true,
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    Ok(arguments)
}

fn leaf(word: &str) -> Result<Leaf, &'static str> {
    match word {
        "good" => Ok(Leaf::Good),
        "wrong-name" => Ok(Leaf::WrongName),
        "expired" => Ok(Leaf::Expired),
        "self-signed" => Ok(Leaf::SelfSigned),
        _ => Err("it is none of good, wrong-name, expired and self-signed"),
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.help {
        print(HELP);
        return Ok(());
    }
    if arguments.refuse || arguments.black_hole {
        let nobody = if arguments.refuse { closed_port() } else { black_hole() }?;
        print(&first_lines(&nobody.url(), &nobody.connection_string(SAMPLE_KEY)));
        park();
    }
    let mut builder = Collector::builder().port(arguments.port).script(arguments.replies);
    builder = match (arguments.leaf, &arguments.ca, &arguments.cert, &arguments.key) {
        (Some(leaf), ca, None, None) => builder.tls(made(leaf, ca.as_ref())?),
        (None, None, Some(cert), Some(key)) => builder.tls(tls(cert, key)?),
        (None, None, None, None) => builder,
        (_, _, Some(_), None) | (_, _, None, Some(_)) => return Err("--cert and --key go together".into()),
        _ => return Err("--ca goes with --tls, and --tls without --cert and --key".into()),
    };
    let mut out = match &arguments.out {
        Some(path) => Some(File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?),
        None => None,
    };
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

/// Makes a certificate, and stores the authority it comes from if that is wanted.
fn made(leaf: Leaf, ca: Option<&PathBuf>) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let authority = Authority::new()?;
    if let Some(path) = ca {
        fs::write(path, authority.pem()).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(authority.server(leaf)?)
}

fn tls(cert: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let bad = |path: &PathBuf, error| format!("cannot use {}: {error}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| bad(cert, error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
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

/// Prints to standard output. Nobody reading it is no reason to stop collecting.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
