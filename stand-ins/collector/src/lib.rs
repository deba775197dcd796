//! A local endpoint that speaks the Application Insights ingestion protocol, for demonstrations and tests.
//!
//! A request goes one way: the crate `loopback` reads it into a value, `routes` knows what it is for, `ingest` judges it (each
//! item by `envelope`), `reply` changes the `verdict` if `script` says so, `store` keeps each item and wakes those who wait
//! for it, and then the answer is written. So an item that was answered can be read at once.
//!
//! - Listens on loopback only, and keeps everything that arrived until it is dropped.
//! - It is stricter than the service: an envelope with any member or tag that it does not know is refused.
//! - It fails only as told: [`Reply`] lists how it can, [`closed_port`], [`black_hole`] and [`tls`] what happens before a
//!   request arrives.
//!
//! ```
//! use vms_collector::{Collector, Reply, RetryAfter};
//!
//! let collector = Collector::start()?;
//! let text = collector.connection_string("11111111-2222-4333-8444-555555555555");
//! assert!(text.ends_with(&format!(";IngestionEndpoint=http://127.0.0.1:{}/", collector.port())));
//! // The next request is refused, the one after it told to wait, and then all is well again.
//! collector.script(&[Reply::Status(503), Reply::RetryAfter(429, RetryAfter::Seconds(120))]);
//! # Ok::<(), std::io::Error>(())
//! ```

mod collector;
mod envelope;
mod ingest;
mod received;
mod reply;
mod routes;
mod script;
mod store;
mod unreachable;
mod verdict;

pub use collector::{Builder, Collector};
pub use loopback::tls;
pub use received::Received;
pub use reply::{Reply, RetryAfter};
pub use script::{Script, ScriptError};
pub use unreachable::{Unreachable, black_hole, closed_port};
