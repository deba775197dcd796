//! The program as a user starts it: its first lines, its tables, its record and its words when something is wrong.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Lines};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::{Client, KEY, STREAM, envelope, post, track};

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Reads the two first lines and returns the port.
    fn port(&mut self, scheme: &str) -> u16 {
        let first = self.line();
        let url = first.strip_prefix("listening on ").unwrap();
        assert_eq!(self.line(), format!("InstrumentationKey={KEY};IngestionEndpoint={url}"));
        let port = url.strip_prefix(&format!("{scheme}://127.0.0.1:")).and_then(|rest| rest.strip_suffix('/'));
        port.unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vms-collector"));
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn events_are_shown_and_recorded_as_they_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record.jsonl");
    let mut program = Program::start(&["--out", text(&record)]);
    let port = program.port("http");
    let event = envelope(KEY, "NewSession").replace("Corporate", r"a\u001b[2Jb");
    let wrong = envelope(KEY, "Wrong").replace(r#""ver":2"#, r#""ver":3"#);
    assert_eq!(Client::connect(port).ask(post("/v2/track", STREAM, format!("{event}\n{wrong}"))).status, 206);

    let shown: Vec<String> = (0..14).map(|_| program.line()).collect();
    let cells = |line: &str| line.trim_matches('|').split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&shown[1])[0], "NewSession");
    assert!(cells(&shown[1])[1].ends_with('Z'));
    assert_eq!(cells(&shown[3]), ["Edition", r"a\u{1b}[2Jb"]);
    assert_eq!(cells(&shown[4]), ["ElapsedMs", "153.25"]);
    assert!(shown[..6].iter().all(|line| line.len() == shown[0].len()), "{shown:#?}");
    assert_eq!(shown[6], "");
    assert_eq!((cells(&shown[8])[0].as_str(), cells(&shown[10])[0].as_str()), ("Wrong", "REFUSED"));

    let lines = fs::read_to_string(&record).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["envelope"], serde_json::from_str::<Value>(&event).unwrap());
    assert_eq!((&lines[1]["accepted"], &lines[1]["status"]), (&false.into(), &206.into()));
}

#[test]
fn replies_come_from_the_command_line() {
    let mut program = Program::start(&["--quiet", "--replies", "503,429:120, 206:0=500;1=429,lost"]);
    let mut client = Client::connect(program.port("http"));
    let statuses = [0; 3].map(|_| client.ask(track(KEY, &["First", "Second"])).status);
    assert_eq!(statuses, [503, 429, 206]);
    client.send(track(KEY, &["Third"]));
    assert!(client.ended());
}

#[test]
fn addresses_that_do_not_answer_are_shown_like_others() {
    for (argument, kind) in [("--refuse", ErrorKind::ConnectionRefused), ("--black-hole", ErrorKind::TimedOut)] {
        let mut program = Program::start(&[argument]);
        let address = SocketAddr::from(([127, 0, 0, 1], program.port("http")));
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), kind, "{argument}");
    }
}

#[test]
fn certificates_are_made_on_demand_and_their_authority_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    for kind in ["good", "wrong-name", "expired", "self-signed"] {
        Program::start(&["--quiet", "--tls", kind, "--ca", text(&ca)]).port("https");
        assert!(fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}

#[test]
fn each_keyword_of_a_script_is_explained() {
    let help = String::from_utf8(command(&["--help"]).output().unwrap().stdout).unwrap();
    let list = help.split_once("\nLIST is").unwrap().1.split_once("\nWhile it runs").unwrap().0;
    let words: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(words.len(), 18);
    for word in words {
        let example = word.replace("URL", "http://127.0.0.1:1/v2.1/track").replace("KEYWORD", "503");
        assert!(example.parse::<vms_collector::Script>().is_ok(), "{word}");
    }
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let blocked = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let blocked = blocked.local_addr().unwrap().port().to_string();
    for (arguments, code, said) in [
        (["--port", "many"].as_slice(), 2, "invalid value 'many' for '--port <N>'"),
        (&["--port", &blocked], 1, "cannot listen on port"),
        (&["--out", "no/such/folder/file"], 1, "cannot write no/such/folder/file"),
        (&["--unknown"], 2, "unexpected argument '--unknown'"),
        (&["--replies", "503,often"], 2, "`often` is not understood"),
        (&["--tls", "fine"], 2, "[possible values: good, wrong-name, expired, self-signed"),
        (&["--ca", "ca.pem"], 2, "--tls <KIND>"),
        (&["--refuse", "--quiet"], 2, "cannot be used with one or more of the other"),
        (&["--tls", "good", "--ca", "no/such/folder/file"], 1, "cannot write no/such/folder/file"),
    ] {
        let Output { status, stdout, stderr } = command(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.as_slice()), (Some(code), b"".as_slice()), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
