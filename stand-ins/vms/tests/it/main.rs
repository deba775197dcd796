//! The VMS over real sockets, and the program.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;
mod faults;
mod logon;
mod ntlm;
mod program;
mod rest;
mod windows_logon;
