//! The sockets: accepts connections, gives each a thread, and ends all of them.

use std::collections::HashMap;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::answer::Answer;
use crate::journal::{Journal, lock};
use crate::request::{MAX_BODY, Request, Unread, read_request};

/// Far more than one program opens; the next one is closed at once.
const MAX_CONNECTIONS: usize = 128;
/// Longer than clients keep an idle connection.
const IDLE: Duration = Duration::from_secs(120);
/// How long a read waits before it looks for the end: on Windows, closing a socket does not end a read that waits on it.
const LOOK: Duration = if cfg!(windows) { Duration::from_millis(100) } else { IDLE };
/// A client that was refused gets this long to read its answer.
const LINGER: Duration = Duration::from_secs(2);

/// What answers the requests of a server.
pub trait Service: Send + Sync + 'static {
    /// What the service remembers.
    type Entries: Send;
    /// What it remembers of one connection.
    type Connection: Default;

    /// Returns where it remembers.
    fn journal(&self) -> &Journal<Self::Entries>;

    /// Answers a request.
    fn answer(&self, request: &Request, connection: &mut Self::Connection) -> Answer;

    /// Refuses what breaks a rule of HTTP.
    fn refuse(&self, status: u16, rule: &str) -> Answer;
}

/// A port of the loopback address that does not answer yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// Takes a port, or a free one for 0, for HTTPS if there is a configuration.
    ///
    /// # Errors
    /// The port is taken or may not be used.
    pub fn bind(port: u16, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        Self::new(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?, tls)
    }

    /// Takes a socket that listens already.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn new(socket: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        Ok(Self { address: socket.local_addr()?, socket, tls })
    }

    /// Returns the address of its root, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn serve<S: Service>(self, service: S) -> io::Result<Server<S>> {
        let (url, address, service) = (self.url(), self.address, Arc::new(service));
        let accepting = thread::Builder::new().spawn({
            let service = Arc::clone(&service);
            move || self.run(&*service)
        })?;
        Ok(Server { url, address, service, accepting: Some(accepting) })
    }

    /// Accepts until the server is stopped and one more client connects; then closes what is open.
    fn run<S: Service>(&self, service: &S) {
        let open = Mutex::new(HashMap::<u64, TcpStream>::new());
        let journal = service.journal();
        thread::scope(|scope| {
            loop {
                let accepted = self.socket.accept();
                if journal.stopped() {
                    break;
                }
                let Ok((socket, _)) = accepted else {
                    // Out of file handles, mostly: without a pause this would spin until one is free.
                    thread::sleep(Duration::from_millis(50));
                    continue;
                };
                let number = journal.connected();
                let Ok(handle) = socket.try_clone() else { continue };
                if lock(&open).len() >= MAX_CONNECTIONS {
                    continue;
                }
                lock(&open).insert(number, handle);
                let open = &open;
                let thread = thread::Builder::new().spawn_scoped(scope, move || {
                    // A connection that fails has no client left to tell.
                    let _ = self.converse(&socket, service);
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

    fn converse<S: Service>(&self, mut socket: &TcpStream, service: &S) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(IDLE))?;
        let patient = Patient { socket, service };
        if let Some(config) = &self.tls {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, patient);
            serve(&mut stream, service)?;
            stream.conn.send_close_notify();
            // Not a flush, which would wait for the other side to finish a handshake that has failed.
            stream.conn.write_tls(&mut stream.sock)?;
        } else {
            serve(patient, service)?;
        }
        // Closing on unread bytes would reset the connection, and the client would lose the answer that refused them.
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(LINGER))?;
        io::copy(&mut Read::take(&mut socket, MAX_BODY as u64), &mut io::sink())?;
        Ok(())
    }
}

/// A socket whose reads end with the server, or when [`IDLE`] is over.
struct Patient<'a, S> {
    socket: &'a TcpStream,
    service: &'a S,
}

impl<S: Service> Read for Patient<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            match self.socket.read(buffer) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                        && !self.service.journal().stopped()
                        && began.elapsed() < IDLE => {}
                read => return read,
            }
        }
    }
}

impl<S> Write for Patient<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Answers requests until the client goes or one of them ends the connection.
fn serve<S: Service>(stream: impl Read + Write, service: &S) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut connection = S::Connection::default();
    loop {
        let (answer, keep_alive, knows_chunks) = match read_request(&mut stream) {
            Ok(request) => {
                let answer = service.answer(&request, &mut connection);
                let keep_alive = request.keep_alive && answer.keeps_alive();
                (answer, keep_alive, request.modern)
            }
            Err(Unread::Refused(status, rule)) => (service.refuse(status, &rule), false, true),
            Err(Unread::Closed) => return Ok(()),
        };
        let is_cut = !answer.keeps_alive();
        let answer = if keep_alive { answer } else { answer.with("Connection", "close") };
        let written = answer.write(stream.get_mut(), knows_chunks, &|time| service.journal().pause(time));
        if is_cut {
            // The rest is what the client is not to have, so its error is none.
            return Ok(());
        }
        written?;
        if !keep_alive {
            return Ok(());
        }
    }
}

/// A running server. Dropping it closes every connection and frees the port.
pub struct Server<S: Service> {
    url: String,
    address: SocketAddr,
    service: Arc<S>,
    accepting: Option<JoinHandle<()>>,
}

impl<S: Service> Server<S> {
    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the address of its root, such as `http://127.0.0.1:4711/`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns what answers.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }
}

impl<S: Service> Drop for Server<S> {
    fn drop(&mut self) {
        self.service.journal().stop();
        // The accepting thread sleeps until a client connects; if this fails, another client's connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}
