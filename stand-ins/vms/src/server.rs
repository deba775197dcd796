//! The sockets: accepts connections, gives each a thread, and ends all of them.
//!
//! - The number of connections is bounded, and so is the time that a silent one is kept.
//! - [`run`] returns only when every thread that it started has ended.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::answer::Answer;
use crate::fault;
use crate::gateway;
use crate::negotiate::Connection;
use crate::vms::{Vms, lock};
use loopback::{Unread, read_request};

/// Far more than one program opens; the next one is closed at once.
const MAX_CONNECTIONS: usize = 256;
/// Forms and single items are all that clients send.
const MAX_BODY: usize = 256 * 1024;
/// As long as IIS keeps an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// A client that was refused gets this long to take its answer.
const LINGER: Duration = Duration::from_secs(2);

/// Accepts until it is stopped and somebody connects once more; then closes what is open.
pub(crate) fn run(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, vms: &Arc<Vms>) {
    let open = Mutex::new(HashMap::<u64, TcpStream>::new());
    thread::scope(|scope| {
        loop {
            let accepted = listener.accept();
            if vms.journal.stopped() {
                break;
            }
            let Ok((socket, _)) = accepted else {
                // Out of file handles, mostly: without a pause this would spin until one is free.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let number = vms.journal.connected();
            let Ok(handle) = socket.try_clone() else { continue };
            if lock(&open).len() >= MAX_CONNECTIONS {
                continue;
            }
            lock(&open).insert(number, handle);
            let open = &open;
            let thread = thread::Builder::new().spawn_scoped(scope, move || {
                // A connection that fails has nobody left to tell.
                let _ = converse(&socket, tls, vms);
                lock(open).remove(&number);
            });
            if thread.is_err() {
                lock(open).remove(&number);
            }
        }
        for socket in lock(&open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    });
}

fn converse(mut socket: &TcpStream, tls: Option<&Arc<ServerConfig>>, vms: &Arc<Vms>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_write_timeout(Some(IDLE))?;
    let in_order = if let Some(config) = tls {
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        let in_order = serve(&mut stream, vms)?;
        if in_order {
            stream.conn.send_close_notify();
        }
        // Not a flush, which would wait for the other side to finish a handshake that has failed.
        stream.conn.write_tls(&mut stream.sock)?;
        in_order
    } else {
        serve(socket, vms)?
    };
    if in_order {
        // Closing on unread bytes would reset the connection, and the client would lose the answer that refused them.
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LINGER))?;
        io::copy(&mut Read::take(&mut socket, MAX_BODY as u64), &mut io::sink())?;
    }
    Ok(())
}

/// Answers requests until the client goes or one of them ends the connection. Returns whether it ends in good order.
fn serve(stream: impl Read + Write, vms: &Arc<Vms>) -> io::Result<bool> {
    let mut stream = BufReader::new(stream);
    let mut connection = Connection::default();
    loop {
        let request = match read_request(&mut stream, MAX_BODY) {
            Ok(request) => request,
            Err(Unread::Closed) => return Ok(true),
            Err(Unread::Refused(status, _)) => {
                Answer::page(status).with("Connection", "close").write(stream.get_mut(), true)?;
                return Ok(true);
            }
        };
        vms.journal.record(&request);
        let (wait, hold, effect) = vms.faults.hit(&request.path);
        if hold {
            vms.journal.hold(&request.path);
        }
        if !wait.is_zero() && vms.journal.pause(wait) {
            return Ok(false);
        }
        let answer = gateway::answer(vms, &request, &mut connection);
        let answer = if request.keep_alive { answer } else { answer.with("Connection", "close") };
        if !fault::write(stream.get_mut(), answer, effect, &request, &vms.journal)? {
            return Ok(false);
        }
        if !request.keep_alive {
            return Ok(true);
        }
    }
}
