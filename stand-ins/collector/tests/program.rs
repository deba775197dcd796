//! The program as a user starts it: its first lines, its tables, its record and its words when something is wrong.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Lines, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;
use std::{fs, path::Path};

use common::{Client, KEY, envelope, post, track};

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
    let body = format!("{event}\n{wrong}");
    let headers = "Content-Type: application/x-json-stream\r\n";
    assert_eq!(Client::connect(port).ask(&post("/v2/track", headers, body.as_bytes())).status, 206);

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
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["envelope"], serde_json::from_str::<serde_json::Value>(&event).unwrap());
    assert_eq!((&lines[1]["accepted"], &lines[1]["status"]), (&false.into(), &206.into()));
}

#[test]
fn replies_come_from_the_command_line() {
    let mut program = Program::start(&["--quiet", "--replies", "503,429:120, 206:0=500;1=429,ok"]);
    let mut client = Client::connect(program.port("http"));
    let statuses: Vec<u16> = (0..5).map(|_| client.ask(&track(KEY, &["First", "Second"])).status).collect();
    assert_eq!(statuses, [503, 429, 206, 200, 200]);
    assert_eq!(client.get("/requests").body, "5");
}

#[test]
fn whatever_the_service_and_the_network_do_comes_from_the_command_line() {
    // How the answer begins, and what else is in its head; nothing where the connection ends without one.
    let table = [
        ("402", "HTTP/1.1 402 ", ""),
        ("439", "HTTP/1.1 439 ", ""),
        ("429:120", "HTTP/1.1 429 ", "\r\nRetry-After: 120\r\n"),
        ("429:@120", "HTTP/1.1 429 ", " GMT\r\n"),
        ("206:0=500;1=429", "HTTP/1.1 206 ", ""),
        ("307:http://127.0.0.1:1/", "HTTP/1.1 307 ", "\r\nLocation: http://127.0.0.1:1/\r\n"),
        ("308:http://127.0.0.1:1/", "HTTP/1.1 308 ", "\r\nLocation: http://127.0.0.1:1/\r\n"),
        ("401", "HTTP/1.1 401 ", ""),
        ("403", "HTTP/1.1 403 ", ""),
        ("408", "HTTP/1.1 408 ", ""),
        ("500", "HTTP/1.1 500 ", ""),
        ("503:30", "HTTP/1.1 503 ", "\r\nRetry-After: 30\r\n"),
        ("truncated", "HTTP/1.1 200 ", ""),
        ("slow:1", "HTTP/1.1 200 ", ""),
        ("endless", "HTTP/1.1 200 ", ""),
        ("huge", "HTTP/1.1 200 ", ""),
        ("drop", "", ""),
        ("lost", "", ""),
    ];
    let words: Vec<&str> = table.iter().map(|(word, ..)| *word).collect();
    let mut program = Program::start(&["--quiet", "--replies", &(words.join(",") + ",garbage,silent")]);
    let port = program.port("http");
    // Reads the head of an answer, or as much of it as is enough.
    let head_of_next = || {
        let mut client = Client::connect(port);
        client.send(&track(KEY, &["First", "Second"]));
        let (mut answer, mut head) = (BufReader::new(client.into_inner().take(1_000)), Vec::new());
        while answer.read_until(b'\n', &mut head).unwrap() > 0 && !head.ends_with(b"\r\n\r\n") {}
        String::from_utf8_lossy(&head).into_owned()
    };
    for (word, status, head) in table {
        let said = head_of_next();
        assert!(said.starts_with(status) && said.contains(head), "{word}: {said}");
        assert_eq!(said.is_empty(), status.is_empty(), "{word}");
    }
    let garbage = head_of_next();
    assert!(!garbage.is_empty() && !garbage.starts_with("HTTP"), "{garbage}");
    let mut unanswered = Client::connect(port);
    unanswered.send(&track(KEY, &["Event"]));
    let mut control = Client::connect(port);
    assert_eq!(control.get("/held?count=1&timeout=30").body, "1");
    assert!(unanswered.silent());
    // The service's own rules need no script: what is too old or too large is refused by its index.
    let old = envelope(KEY, "Old").replace(r#""time":"2"#, r#""time":"1"#);
    let large = envelope(KEY, "Large").replace("Corporate", &"x".repeat(70_000));
    let body = [envelope(KEY, "Event"), old, large].join("\n");
    let answer = control.ask(&post("/v2.1/track", "Content-Type: application/x-json-stream\r\n", body.as_bytes()));
    let refused: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["index"].clone()).collect();
    assert_eq!((answer.status, refused), (206, vec![1.into(), 2.into()]));
}

#[test]
fn addresses_where_nobody_answers_are_shown_like_others() {
    for (argument, kind) in [("--refuse", ErrorKind::ConnectionRefused), ("--black-hole", ErrorKind::TimedOut)] {
        let mut program = Program::start(&[argument]);
        let address = SocketAddr::from(([127, 0, 0, 1], program.port("http")));
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), kind, "{argument}");
    }
}

#[test]
fn certificates_are_made_on_demand_and_their_authority_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    for kind in ["good", "wrong-name", "expired", "self-signed"] {
        Program::start(&["--quiet", "--tls", kind, "--ca", text(&ca)]).port("https");
        assert!(fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}

#[test]
fn each_word_of_a_script_is_explained() {
    let help = String::from_utf8(command(&["--help"]).output().unwrap().stdout).unwrap();
    let list = help.split_once("\nLIST is").unwrap().1.split_once("\nRuns until").unwrap().0;
    let words: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(words.len(), 17);
    for word in words {
        let example = word.replace("URL", "http://127.0.0.1:1/v2.1/track").replace("WORD", "503");
        assert!(example.parse::<vms_collector::Script>().is_ok(), "{word}");
    }
}

#[test]
fn certificate_and_key_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(&cert, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    Program::start(&["--quiet", "--cert", text(&cert), "--key", text(&key)]).port("https");
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (arguments, said) in [
        (["--port", "many"].as_slice(), "many"),
        (&["--port", &taken], "cannot listen on port"),
        (&["--cert", "cert.pem"], "--cert and --key go together"),
        (&["--cert", "no.pem", "--key", "no.pem"], "cannot use no.pem"),
        (&["--out", "no/such/folder/file"], "cannot write no/such/folder/file"),
        (&["--unknown"], "--unknown"),
        (&["--replies", "503,often"], "`often` is not understood"),
        (&["--tls", "fine"], "none of good, wrong-name, expired and self-signed"),
        (&["--tls", "good", "--cert", "a", "--key", "b"], "without --cert and --key"),
        (&["--ca", "ca.pem"], "--ca goes with --tls"),
        (&["--tls", "good", "--ca", "no/such/folder/file"], "cannot write no/such/folder/file"),
    ] {
        let Output { status, stdout, stderr } = command(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.as_slice()), (Some(1), b"".as_slice()), "{arguments:?}");
        assert!(stderr.starts_with("vms-collector: ") && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let help = command(&["--help"]).output().unwrap();
    assert!(help.status.success() && help.stdout.starts_with(b"A local endpoint"));
}
