//! Usage telemetry of a PowerShell module for Milestone XProtect: three events, sent to Azure Application Insights unless the
//! user, an environment variable, the administrator of the computer or the VMS has opted out.
//!
//! # The rules
//! - Only the closed list of fields in [`event`] is stored, logged or sent. The request around it is in [`mod@envelope`].
//! - Consent is checked before an event is recorded, and again before the first byte of a request.
//! - No call waits for Application Insights. The logon to a VMS, and the counts when it is closed (1 s at most), wait for the VMS.
//!
//! # How an event is sent
//! ```text
//!  host (C, .NET, PowerShell)
//!    │  init_session, on_connect, on_disconnect, set_config     ffi, abi     the C ABI, all that is unsafe
//!    ▼
//!  session ── consent? ─────────────────────────────────────── consent      on, off or unsure: environment, settings, policies
//!    │      └ ids ──────────────────────────────────────────── identity     random, 16 bytes on disk
//!    │      └ connections ──────────────────────────────────── connections  the open ones, counted in the background
//!    ▼ record                                                   event        the closed list of fields
//!  spool ── one file for each event ────────────────────────── files        whole files, and locks
//!    │      └ the same, for the user to read ───────────────── log          if the user asked for it
//!    ▼ background thread, while something is pending            sender       when
//!  delivery ── envelope ── gzip ── POST ────────────────────── transport    one request with its redirections
//!    │                       └ consent? ────────────────────── gate         below TLS: no byte without it
//!    ▼
//!  response ── what the response means for each item ───────── receipts     what was sent, for the user to see
//! ```
//! Other modules:
//! - [`destination`] (the connection string) and [`proxy`]: where events go; [`endpoint`]: a test of the way there;
//! - [`http`] and [`tls`], with `certificate`: the network for both clients;
//! - [`vms`]: the client of a VMS, without telemetry;
//! - [`environment`] and [`settings`]: what the user chose;
//! - for tests only, `fuzz`: what the fuzzer feeds; `consent_model`: the opt-out protocol, with every interleaving;
//! - [`paths`], [`platform`], [`error`]: every path, the operating system, the messages.
//!
//! Comments cite the requirements in `docs/contract.md` by their ids, such as (D4).

#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]
#![warn(
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

#[warn(missing_docs)]
pub mod abi;
mod certificate;
pub mod connections;
pub mod consent;
#[cfg(test)]
mod consent_model;
pub mod delivery;
pub mod destination;
pub mod endpoint;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod event;
#[expect(unsafe_code, reason = "the boundary to C, and the only such file beside the platform's")]
#[warn(missing_docs)]
pub mod ffi;
pub mod files;
#[cfg(any(test, fuzzing))]
#[allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target says so if a promise is broken"
)]
pub mod fuzz;
pub mod gate;
pub mod http;
pub mod identity;
pub mod log;
pub mod paths;
pub mod platform;
pub mod proxy;
pub mod receipts;
pub mod response;
pub mod sender;
pub mod session;
pub mod settings;
pub mod spool;
pub mod tls;
pub mod transport;

pub mod vms;
