//! Addresses behind which nobody is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::collector::connection_string;

/// On loopback a connection that can be made is made at once, so one that takes this long is dropped.
const AT_ONCE: Duration = Duration::from_millis(200);
/// More than any system makes of the smallest backlog.
const MAX_BACKLOG: usize = 512;

/// A port of the loopback address that no client gets through to, as long as this value lives.
pub struct Unreachable {
    address: SocketAddr,
    /// Held, so that nobody else is given the port.
    socket: Socket,
    /// They fill the backlog.
    _waiting: Vec<TcpStream>,
}

impl Unreachable {
    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the address of its root, over HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the connection string that makes a client with this instrumentation key try to send there.
    #[must_use]
    pub fn connection_string(&self, ikey: &str) -> String {
        connection_string(ikey, &self.url())
    }

    /// Ends this: from now on the socket listens.
    pub(crate) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(128)?;
        Ok(self.socket.into())
    }
}

/// Returns a port where connections are refused.
///
/// The port stays taken, by a socket that does not listen, so that no other process gets it and no client connects to
/// itself.
///
/// # Errors
/// There is no free port.
pub fn closed_port() -> io::Result<Unreachable> {
    let (socket, address) = bound()?;
    Ok(Unreachable { address, socket, _waiting: Vec::new() })
}

/// Returns a port where connections time out, as behind a firewall that drops packets.
///
/// It listens, with a backlog that is full and never emptied. Linux drops what comes then, and so does Wine on it; Windows
/// itself refuses after some two seconds of its own attempts, and there a connection is only sure to fail late.
///
/// # Errors
/// There is no free port, or the system lets the backlog grow without end.
pub fn black_hole() -> io::Result<Unreachable> {
    let (socket, address) = bound()?;
    socket.listen(0)?;
    let mut waiting = Vec::new();
    while waiting.len() < MAX_BACKLOG {
        match TcpStream::connect_timeout(&address, AT_ONCE) {
            Ok(stream) => waiting.push(stream),
            Err(_) => return Ok(Unreachable { address, socket, _waiting: waiting }),
        }
    }
    Err(io::Error::other("the backlog does not fill"))
}

fn bound() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket has no address"))?;
    Ok((socket, address))
}
