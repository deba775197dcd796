//! The endpoint over real sockets, and the program.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod common;
mod https;
mod program;
mod protocol;
mod replies;
mod script;
mod unreachable;
