//! What differs between operating systems, one file a system, all with the same functions.
//!
//! - `local_app_data` and `log_root`: the folders that everything else lies in;
//! - `private_bytes`: what .NET's `Process.PrivateMemorySize64` says (E1);
//! - `create_private_folder`: a folder that only the current user can enter (I1);
//! - `is_momentary`: whether a failed file operation is worth another try at once.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;
