//! What differs between operating systems, one file a system, all with the same functions.
//!
//! - `local_app_data` and `log_root`: the folders that everything else lies in;
//! - `private_bytes`: what .NET's `Process.PrivateMemorySize64` says (E1);
//! - `create_private_folder`, `create_new`: a folder and a file that are for the current user only (I1);
//! - `create_log_folder`, `open_own_log`: the raw log, in a folder that users may share (L3);
//! - `is_momentary`: whether a failed file operation is worth another try at once;
//! - `stay_loaded`: the library stays in the process, so that its thread never loses its code.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
#[expect(unsafe_code, reason = "the system's own interface is C")]
mod windows;
#[cfg(windows)]
pub use windows::*;
