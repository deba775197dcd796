//! What the stand-ins of services are made of: HTTP/1.1 servers on the loopback address that fail only as told, and the
//! client that their tests use.
//!
//! `server` accepts a connection and `request` reads each request into a value; the [`Service`] makes an [`Answer`] of it,
//! which is written as it says: whole, slowly, or cut at a byte. [`Journal`] has what arrived, holds requests, and wakes
//! those who wait for either.
//!
//! - Nothing that a client sends can stop a server: sizes, connections and waits are bounded.
//! - A server that is dropped has ended each of its threads and freed its port.

mod answer;
pub mod client;
mod journal;
mod request;
mod server;
pub mod tls;

pub use answer::{Answer, Stream, repeat};
pub use journal::{Journal, lock};
pub use request::{Request, find};
pub use server::{Listener, Server, Service};
