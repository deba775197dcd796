//! Usage telemetry of a PowerShell module for Milestone XProtect: three anonymous events, sent to Azure Application
//! Insights unless somebody, anywhere, has said no.
//!
//! # The promise
//! Nothing but the fields of the closed table in [`event`] is ever spooled, logged or sent. Consent is asked before an
//! event is recorded and again before the first byte of a request goes out. The network is never on a path that a user
//! waits for.
//!
//! # The way of an event
//! ```text
//!  host (C, .NET, PowerShell)
//!    │  init_session, on_connect, on_disconnect, set_config      ffi        the C ABI, all that is unsafe
//!    ▼
//!  vms ── logs on to a VMS, reads its privacy option and counts it, for hosts that want it
//!    │
//!  session ── consent? ─────────────────────────────────────── config     defaults < settings < environment; any no wins
//!    │      └ ids ──────────────────────────────────────────── identity   random, 16 bytes on disk
//!    ▼ record                                                   event      the closed table of fields
//!  spool ── one file an event ──────────────────────────────── durable    whole files or none
//!    │      └ the same, for the user to read ───────────────── log        where the user asked for it
//!    ▼ background thread, while something waits                 sender     lock, batch, back-off
//!  envelope ── gzip ── consent? ── POST ────────────────────── transport  verdict per item
//! ```
//! Beside them: [`tls`] chooses the operating system's way of encrypting, [`settings`] reads and edits the file that holds the user's choice, [`paths`] owns every path, [`host`]
//! and [`platform`] know the computer, [`error`] has the words for what goes wrong.

#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]
#![warn(
    missing_docs,
    unreachable_pub,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes_without_reason
)]
#![cfg_attr(test, expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly"))]

pub mod config;
pub mod durable;
pub mod envelope;
pub mod error;
pub mod event;
#[expect(unsafe_code, reason = "the boundary to C, and the only such file beside the platform's")]
pub mod ffi;
pub mod host;
pub mod identity;
pub mod log;
pub mod paths;
pub mod platform;
pub mod sender;
pub mod session;
pub mod settings;
pub mod spool;
pub mod tls;
pub mod transport;
pub mod vms;
