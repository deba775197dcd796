//! What differs between operating systems: one file for each, with the same functions.
//!
//! - `local_app_data` and `log_root`: the folders that everything else is in;
//! - `machine_policy`: the opt-out of the administrator of this computer (C13), and `MACHINE_POLICY`, where it is;
//! - `processor_count`: logical processors that this process may use;
//! - `private_bytes`: the same as .NET's `Process.PrivateMemorySize64` (E1);
//! - `create_private_folder`, `private_file`: a folder and a file for the current user only (I1);
//! - `file_names`: the plain files of a folder;
//! - `copy_rights`: owner, mode and access control list of a file that is replaced (F6);
//! - `create_log_folder`, `open_own_log`: the telemetry log, in a folder that users may share (L3);
//! - `is_transient`: whether a failed file operation may succeed if it is retried at once;
//! - `stay_loaded`: keeps the library in the process, as unloading it would remove the code of its running thread.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
#[expect(unsafe_code, reason = "the system's own interface is C")]
mod windows;
#[cfg(windows)]
pub use windows::*;
