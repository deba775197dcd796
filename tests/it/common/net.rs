//! Proxies and servers by hand, for what the stand-ins do not do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// Starts a proxy for one connection. It answers with this, and then passes on what both sides say to a port of this computer if
/// that is given, whatever name it was asked for. Returns its authority, and the head of the request once it is over.
pub fn proxy(answer: String, server: Option<u16>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let mut near = BufReader::new(listener.accept().unwrap().0);
        let head = near.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let near = near.into_inner();
        (&near).write_all(answer.as_bytes()).unwrap();
        if let Some(port) = server {
            join(&near, &TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        head
    });
    (authority, asked)
}

/// Passes on what each side sends, until both have ended, in whatever way.
pub fn join(near: &TcpStream, far: &TcpStream) {
    let pass = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pass(near, far));
        pass(far, near);
    });
}

/// A name that the system refuses to look up, as a label has at most 63 characters: no name server is asked.
pub fn unknown_name() -> String {
    format!("{}.example", "x".repeat(64))
}
