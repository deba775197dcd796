//! The client of tests: it sends exactly the bytes that it is given. It panics if an answer is not as it should be.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::tls::Authority;

/// An answer as it came.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body, without the framing of chunks.
    pub body: String,
}

impl Response {
    /// Reads the body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:.200}", self.body))
    }

    /// Returns the values of the headers of that name.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

/// A connection.
pub struct Client<S> {
    stream: BufReader<S>,
    /// The bearer token that goes with each [`Client::get`].
    pub token: Option<String>,
}

impl Client<TcpStream> {
    /// Connects over HTTP.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Tells whether nothing has come that was not read.
    pub fn silent(&mut self) -> bool {
        self.stream.get_ref().set_nonblocking(true).unwrap();
        let silent = self.stream.fill_buf().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.stream.get_ref().set_nonblocking(false).unwrap();
        silent
    }
}

impl Client<StreamOwned<ClientConnection, TcpStream>> {
    /// Connects over HTTPS, to a server of this name, and trusts the authority.
    #[must_use]
    pub fn secure(port: u16, name: &'static str, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().to_vec().into()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        Self::over(StreamOwned::new(session, TcpStream::connect(("127.0.0.1", port)).unwrap()))
    }
}

impl<S: Read + Write> Client<S> {
    /// Speaks over a stream that is open.
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream), token: None }
    }

    /// Returns the stream.
    pub fn stream(&mut self) -> &mut BufReader<S> {
        &mut self.stream
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Sends a request without a body.
    pub fn send_get(&mut self, target: &str) {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"));
    }

    /// Sends bytes and reads the answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.answer().expect("an answer")
    }

    /// Asks for something, with the token if there is one.
    pub fn get(&mut self, target: &str) -> Response {
        self.send_get(target);
        self.answer().expect("an answer")
    }

    /// Sends a body with these headers, each with its line end.
    pub fn post(&mut self, target: &str, headers: &str, body: impl AsRef<[u8]>) -> Response {
        self.ask(post(target, headers, body))
    }

    /// Reads an answer, or `None` if the connection ends before its end.
    pub fn answer(&mut self) -> Option<Response> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let mut answer = Response { status, head, body: String::new() };
        let mut body = Vec::new();
        if answer.headers("transfer-encoding") == ["chunked"] {
            while let Some(mut chunk) = self.chunk() {
                if chunk.is_empty() {
                    answer.body = String::from_utf8(body).unwrap();
                    return Some(answer);
                }
                body.append(&mut chunk);
            }
            return None;
        }
        let length = answer.headers("content-length").first().map_or(0, |length| length.parse().unwrap());
        body.resize(length, 0);
        self.stream.read_exact(&mut body).ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size.checked_add(2)?];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    /// Returns all bytes that come until the connection ends, in good order or not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Tells whether the other side has closed the connection in good order.
    pub fn ended(&mut self) -> bool {
        self.stream.read(&mut [0]).unwrap() == 0
    }
}

/// Returns the bytes of a request with a body of known length.
pub fn post(target: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = body.as_ref().len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}
