//! What the tests share: envelopes, and a client that sends exactly the bytes it is given.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use chrono::Utc;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

pub const KEY: &str = "11111111-2222-4333-8444-555555555555";
pub const OTHER_KEY: &str = "aaaaaaaa-2222-4333-8444-555555555555";

/// Returns an envelope of now with one property and one measurement.
pub fn envelope(ikey: &str, event: &str) -> String {
    let time = Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    format!(
        r#"{{"name":"AppEvents","time":"{time}","iKey":"{ikey}","tags":{{"ai.cloud.role":"na"}},"data":{{"baseType":"EventData","baseData":{{"ver":2,"name":"{event}","properties":{{"Edition":"Corporate"}},"measurements":{{"ElapsedMs":153.25}}}}}}}}"#
    )
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Returns the bytes of a request with a body of known length.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns the bytes of a request with an event of each name.
pub fn track(ikey: &str, events: &[&str]) -> Vec<u8> {
    let lines: Vec<String> = events.iter().map(|event| envelope(ikey, event)).collect();
    post("/v2.1/track", "Content-Type: application/x-json-stream\r\n", lines.join("\n").as_bytes())
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub struct Client<S>(BufReader<S>);

impl Client<TcpStream> {
    pub fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Tells whether nothing has come that was not read.
    pub fn silent(&mut self) -> bool {
        self.0.get_ref().set_nonblocking(true).unwrap();
        let silent = self.0.fill_buf().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.0.get_ref().set_nonblocking(false).unwrap();
        silent
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub fn into_inner(self) -> impl Read {
        self.0
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    pub fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "closed after {head:?}");
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    pub fn ask(&mut self, bytes: &[u8]) -> Answer {
        self.send(bytes);
        self.answer()
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// Returns all bytes that come until the other side closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Tells whether these bytes make the other side close the connection, whatever it says before.
    pub fn ended_by(&mut self, text: &str) -> bool {
        self.send(text.as_bytes());
        let mut said = Vec::new();
        let closed = self.0.read_to_end(&mut said);
        closed.is_err() || !said.starts_with(b"HTTP")
    }

    /// Tells whether the other side has closed the connection in good order.
    pub fn ended(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}
