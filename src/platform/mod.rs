//! What differs between operating systems, one file a system, all with the same functions.
//!
//! - `local_app_data` and `log_root`: the folders that everything else is in;
//! - `machine_policy`: what the administrator of this computer says (C13), and `MACHINE_POLICY`, where it is;
//! - `processor_count`: logical processors that this process may use;
//! - `private_bytes`: what .NET's `Process.PrivateMemorySize64` says (E1);
//! - `create_private_folder`, `private_file`: a folder and a file that are for the current user only (I1);
//! - `file_names`: the plain files of a folder;
//! - `copy_rights`: new content that takes the place of another program's file has its rights (F6);
//! - `create_log_folder`, `open_own_log`: the telemetry log, in a folder that users may share (L3);
//! - `is_transient`: whether a failed file operation is worth another try at once;
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
