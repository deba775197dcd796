//! The library against the stand-ins of its two services: scenarios, each in a profile of its own.
//!
//! One program, so that it is linked once. Tests run beside each other in it: what changes the state of a process (its environment,
//! its limits, the session of the C ABI) is done in a process of its own, see `common::child`.

mod common;

mod c_abi;
#[cfg(target_os = "linux")]
mod chaos;
mod consent;
#[cfg(target_os = "linux")]
mod cost;
mod crash;
mod delivery;
#[cfg(target_os = "linux")]
mod disks;
mod ends;
mod http;
mod https;
mod machine_policy;
mod opt_outs;
mod paths;
mod processes;
mod receipts;
mod secrets;
mod session;
mod silence;
mod unsure;
mod vms;
mod vms_client;
