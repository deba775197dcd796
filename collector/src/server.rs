//! The sockets: accepts connections, gives each a thread, routes requests, and ends all of them.
//!
//! - The number of connections is bounded, and so is the time that a silent one is kept.
//! - [`run`] returns only when every thread that it started has ended.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::Utc;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::envelope::is_guid;
use crate::http::{Answer, MAX_BODY, Request, Unread, read_request, write_answer};
use crate::ingest::judge;
use crate::store::Store;

/// Far more than one program opens; the next one is closed at once.
const MAX_CONNECTIONS: usize = 128;
/// Longer than clients keep an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// A client that was refused gets this long to take its answer.
const LINGER: Duration = Duration::from_secs(2);
/// Longest wait at `/received`, and the one without a `timeout`.
const MAX_WAIT: Duration = Duration::from_secs(600);
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

type Open = Mutex<HashMap<u64, TcpStream>>;

/// Accepts until the store is stopped and somebody connects once more; then closes what is open.
pub(crate) fn run(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, store: &Store) {
    let open = Open::default();
    thread::scope(|scope| {
        loop {
            let accepted = listener.accept();
            if store.stopped() {
                break;
            }
            let Ok((socket, _)) = accepted else {
                // Out of file handles, mostly: without a pause this would spin until one is free.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let number = store.connected();
            let Ok(handle) = socket.try_clone() else { continue };
            if sockets(&open).len() >= MAX_CONNECTIONS {
                continue;
            }
            sockets(&open).insert(number, handle);
            let open = &open;
            let thread = thread::Builder::new().spawn_scoped(scope, move || {
                // A connection that fails has nobody left to tell.
                let _ = converse(&socket, tls, store);
                sockets(open).remove(&number);
            });
            if thread.is_err() {
                sockets(open).remove(&number);
            }
        }
        for socket in sockets(&open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    });
}

fn sockets(open: &Open) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(mut socket: &TcpStream, tls: Option<&Arc<ServerConfig>>, store: &Store) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_write_timeout(Some(IDLE))?;
    if let Some(config) = tls {
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        serve(&mut stream, store)?;
        stream.conn.send_close_notify();
        // Not a flush, which would wait for the other side to finish a handshake that has failed.
        stream.conn.write_tls(&mut stream.sock)?;
    } else {
        serve(socket, store)?;
    }
    // Closing on unread bytes would reset the connection, and the client would lose the answer that refused them.
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(LINGER))?;
    io::copy(&mut Read::take(&mut socket, MAX_BODY as u64), &mut io::sink())?;
    Ok(())
}

/// Answers requests until the client goes or one of them ends the connection.
fn serve(stream: impl Read + Write, store: &Store) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (answer, keep_alive) = match read_request(&mut stream) {
            Ok(request) => (answer(&request, store), request.keep_alive),
            Err(Unread::Refused(answer)) => (answer, false),
            Err(Unread::Closed) => return Ok(()),
        };
        let answer = if keep_alive { answer } else { answer.with("Connection", "close") };
        write_answer(stream.get_mut(), &answer)?;
        if !keep_alive {
            return Ok(());
        }
    }
}

fn answer(request: &Request, store: &Store) -> Answer {
    let allowed = match request.path.as_str() {
        "/v2/track" | "/v2.1/track" => "POST",
        "/received" => "GET",
        path => return Answer::refusal(404, &format!("there is nothing at `{path}`")),
    };
    if request.method != allowed {
        let message = format!("the method is {}, not {allowed}", request.method);
        return Answer::refusal(405, &message).with("Allow", allowed);
    }
    if allowed == "GET" {
        return received(&request.query, store).unwrap_or_else(|message| Answer::refusal(400, &message));
    }
    let now = Utc::now();
    let verdict = judge(request, now);
    let answer = verdict.answer();
    store.record(request, now, verdict);
    answer
}

/// Answers `/received` with JSON lines, once what the query asks for has arrived or its time is over.
fn received(query: &str, store: &Store) -> Result<Answer, String> {
    let (mut ikey, mut count, mut timeout) = (None, 0, DEFAULT_WAIT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let bad = || format!("`{pair}` is none of ikey=GUID, count=N, timeout=SECONDS");
        match pair.split_once('=').ok_or_else(bad)? {
            ("ikey", text) if is_guid(text) => ikey = Some(text),
            ("count", text) => count = text.parse().map_err(|_| bad())?,
            ("timeout", text) => {
                let seconds = text.parse().map_err(|_| bad())?;
                timeout = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
            }
            _ => return Err(bad()),
        }
    }
    let items = store.wait(ikey, count, timeout.min(MAX_WAIT));
    let lines: String = items.iter().map(|item| format!("{}\n", item.to_json())).collect();
    Ok(Answer::new(200, "application/x-json-stream", lines.into_bytes()))
}
