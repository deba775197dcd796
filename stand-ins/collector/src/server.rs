//! The sockets: accepts connections, gives each a thread, and ends all of them.
//!
//! - The number of connections is bounded, and so is the time that a silent one is kept.
//! - [`run`] returns only when every thread that it started has ended.

use std::collections::HashMap;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::answer::{Answer, write_answer};
use crate::routes;
use crate::store::Store;
use loopback::{Unread, read_request};

/// Far more than one program opens; the next one is closed at once.
const MAX_CONNECTIONS: usize = 128;
/// Body as sent: room for 64 items of the largest size.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Longer than clients keep an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// How long a read waits before it looks for the end: on Windows, closing a socket does not end a read that waits on it.
const LOOK: Duration = if cfg!(windows) { Duration::from_millis(100) } else { IDLE };
/// A client that was refused gets this long to take its answer.
const LINGER: Duration = Duration::from_secs(2);

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
    socket.set_read_timeout(Some(LOOK))?;
    socket.set_write_timeout(Some(IDLE))?;
    let patient = Patient { socket, store };
    if let Some(config) = tls {
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, patient);
        serve(&mut stream, store)?;
        stream.conn.send_close_notify();
        // Not a flush, which would wait for the other side to finish a handshake that has failed.
        stream.conn.write_tls(&mut stream.sock)?;
    } else {
        serve(patient, store)?;
    }
    // Closing on unread bytes would reset the connection, and the client would lose the answer that refused them.
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(LINGER))?;
    io::copy(&mut Read::take(&mut socket, MAX_BODY as u64), &mut io::sink())?;
    Ok(())
}

/// A socket whose reads end with the store, or when [`IDLE`] is over.
struct Patient<'a> {
    socket: &'a TcpStream,
    store: &'a Store,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match self.socket.read(buffer) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                        && !self.store.stopped()
                        && began.elapsed() < IDLE => {}
                read => return read,
            }
        }
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Answers requests until the client goes or one of them ends the connection.
fn serve(stream: impl Read + Write, store: &Store) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (answer, keep_alive) = match read_request(&mut stream, MAX_BODY) {
            Ok(request) => {
                let answer = routes::answer(&request, store);
                let keep_alive = request.keep_alive && answer.keeps_alive();
                (answer, keep_alive)
            }
            Err(Unread::Refused(status, rule)) => (Answer::refusal(status, &rule), false),
            Err(Unread::Closed) => return Ok(()),
        };
        let answer = if keep_alive { answer } else { answer.with("Connection", "close") };
        write_answer(stream.get_mut(), &answer, |time| store.pause(time))?;
        if !keep_alive {
            return Ok(());
        }
    }
}
