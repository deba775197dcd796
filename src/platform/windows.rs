//! Windows.

use std::ffi::c_void;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use tempfile::NamedTempFile;
use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED, ERROR_PATH_NOT_FOUND,
    ERROR_SHARING_VIOLATION, ERROR_SUCCESS, HANDLE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_FILE_OBJECT, SetNamedSecurityInfoW};
use windows_sys::Win32::Security::{
    ACL, CheckTokenMembership, DACL_SECURITY_INFORMATION, EqualSid, GetSecurityDescriptorControl, GetTokenInformation,
    OBJECT_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSID,
    SE_DACL_PROTECTED, TOKEN_QUERY, TOKEN_USER, TokenUser, UNPROTECTED_DACL_SECURITY_INFORMATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_APPEND_DATA, FILE_ATTRIBUTE_ARCHIVE, FILE_ATTRIBUTE_HIDDEN,
    FILE_ATTRIBUTE_NOT_CONTENT_INDEXED, FILE_ATTRIBUTE_SYSTEM, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
    GetFileInformationByHandle, READ_CONTROL, SYNCHRONIZE, SetFileAttributesW,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::Win32::System::ProcessStatus::{
    GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS, PROCESS_MEMORY_COUNTERS_EX,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use crate::consent::MachinePolicy;
use crate::environment::Environment;
use crate::error::{Error, Result};

/// Where the administrator of this computer can turn telemetry off.
pub const MACHINE_POLICY: &str = r"HKLM\SOFTWARE\Policies\Milestone\MilestonePSTools, EnableTelemetry";

/// The attributes of a file that new content does not change.
const KEPT_ATTRIBUTES: u32 = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

/// Returns the folder of `%LOCALAPPDATA%`, else the one that the system knows under that name.
pub fn local_app_data(_: &Environment) -> Option<PathBuf> {
    absolute("LOCALAPPDATA").or_else(dirs::data_local_dir)
}

/// Returns the folder of `%ProgramData%`, else where it is on every ordinary system.
pub fn log_root(_: &Environment) -> Option<PathBuf> {
    absolute("ProgramData").or_else(|| Some(PathBuf::from(r"C:\ProgramData")))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Reads the policy: a DWORD, 0 for an opt-out and 1 for none.
pub fn machine_policy() -> Result<MachinePolicy> {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Policies\Milestone\MilestonePSTools");
    match key.and_then(|key| key.get_value("EnableTelemetry")) {
        Ok(value) => Ok(match u32::try_from(value) {
            Ok(0) => MachinePolicy::OptOut,
            Ok(1) => MachinePolicy::Silent,
            _ => MachinePolicy::Unclear,
        }),
        // The system's error is in the lower half.
        Err(error) => match error.code().0.cast_unsigned() & 0xFFFF {
            ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => Ok(MachinePolicy::Silent),
            code => {
                let error = io::Error::from_raw_os_error(code.cast_signed());
                Err(Error::file("read", Path::new(MACHINE_POLICY))(error))
            }
        },
    }
}

/// Returns name and version of the system, as .NET words them.
pub fn os_description() -> Option<String> {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\Windows NT\CurrentVersion").ok()?;
    let number = |name| key.get_u32(name).unwrap_or_default();
    let build = key.get_string("CurrentBuildNumber").ok()?;
    Some(format!(
        "Microsoft Windows {}.{}.{build}",
        number("CurrentMajorVersionNumber"),
        number("CurrentMinorVersionNumber")
    ))
}

pub fn processor_count() -> Option<u32> {
    std::thread::available_parallelism().ok().and_then(|count| count.get().try_into().ok())
}

/// Returns the private memory of this process in bytes: `PrivateUsage`. Where the system leaves that at zero, as Wine
/// does, `PagefileUsage`, which is the same number since Windows 8.
pub fn private_bytes() -> Option<u64> {
    let size = u32::try_from(size_of::<PROCESS_MEMORY_COUNTERS_EX>()).ok()?;
    let mut counters = PROCESS_MEMORY_COUNTERS_EX { cb: size, ..Default::default() };
    // SAFETY: it has no preconditions; the handle is a constant that is never closed.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the record is ours, writable, and as large as `size` says.
    let done = unsafe { GetProcessMemoryInfo(process, (&raw mut counters).cast::<PROCESS_MEMORY_COUNTERS>(), size) };
    let bytes = if counters.PrivateUsage == 0 { counters.PagefileUsage } else { counters.PrivateUsage };
    (done != 0 && bytes != 0).then_some(bytes as u64)
}

/// Creates a folder and its parents. It inherits the rights of `%LOCALAPPDATA%`: the user, the system and administrators.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Copies the access control list and the attributes of `from` to `to`, which will replace it. `ReplaceFileW` would do both, but
/// for a short time there is no file, which another process would take for "nobody has opted out".
pub fn copy_rights(from: &Path, old: &Metadata, to: &NamedTempFile) -> io::Result<()> {
    match copy_access_control_list(from, to.path()) {
        // The file system has none.
        Err(error) if has_code(&error, &[ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED]) => {}
        other => other?,
    }
    let attributes = old.file_attributes() & KEPT_ATTRIBUTES;
    // SAFETY: the path ends with a NUL.
    succeeded(unsafe { SetFileAttributesW(wide(to.path()).as_ptr(), attributes | FILE_ATTRIBUTE_ARCHIVE) })
}

fn copy_access_control_list(from: &Path, to: &Path) -> io::Result<()> {
    let from = OpenOptions::new().access_mode(READ_CONTROL).open(from)?;
    let (descriptor, _, list) = security(&from, DACL_SECURITY_INFORMATION)?;
    let (mut control, mut revision) = (0, 0);
    // SAFETY: the descriptor is alive; both results are ours to be written to.
    succeeded(unsafe { GetSecurityDescriptorControl(descriptor.0, &raw mut control, &raw mut revision) })?;
    let inheritance = match control & SE_DACL_PROTECTED {
        0 => UNPROTECTED_DACL_SECURITY_INFORMATION,
        _ => PROTECTED_DACL_SECURITY_INFORMATION,
    };
    let to = wide(to);
    // SAFETY: the path ends with a NUL; the list is in the descriptor, which is alive; there is no owner, group or audit list.
    system(unsafe {
        SetNamedSecurityInfoW(
            to.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION | inheritance,
            null_mut(),
            null_mut(),
            list,
            null(),
        )
    })
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Memory that the system handed out with `LocalAlloc`.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the system handed it out, and it is freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// Reads parts of a file's security descriptor. Its owner and its access control list are pointers into it, NULL if not asked for.
fn security(file: &File, parts: OBJECT_SECURITY_INFORMATION) -> io::Result<(Local, PSID, *mut ACL)> {
    let (mut owner, mut list, mut descriptor) = (null_mut(), null_mut(), null_mut());
    // SAFETY: the handle is open; all three results are ours to be written to.
    system(unsafe {
        GetSecurityInfo(
            file.as_raw_handle() as HANDLE,
            SE_FILE_OBJECT,
            parts,
            &raw mut owner,
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        )
    })?;
    Ok((Local(descriptor), owner, list))
}

/// Turns an error code into an error.
fn system(code: u32) -> io::Result<()> {
    if code == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(code as i32)) }
}

fn has_code(error: &io::Error, codes: &[u32]) -> bool {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok()).is_some_and(|code| codes.contains(&code))
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns how a file is opened; a new one inherits the folder's rights.
pub fn private_file() -> OpenOptions {
    OpenOptions::new()
}

/// Lists the names of a folder's plain files.
pub fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let files = fs::read_dir(folder)?.flatten().filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(files.filter_map(|file| file.file_name().into_string().ok()).collect())
}

/// Creates the folder of the telemetry log, which all users share: with the rights of `C:\ProgramData`, where everyone may
/// create files and change his own.
pub fn create_log_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Opens a log file for appending, creating it. A link is not followed, and a file of another user, or one that has
/// another name somewhere else, is refused.
///
/// # Errors
/// What the operating system says, or what is wrong with the file.
pub fn open_own_log(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .access_mode(FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | READ_CONTROL | SYNCHRONIZE)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)?;
    // Where the name is a link, the open file is the link itself, and no plain file.
    if file.metadata()?.is_file() && links(&file)? == 1 && is_own(&file)? {
        Ok(file)
    } else {
        Err(io::Error::other("it is not an ordinary file of this user"))
    }
}

/// Returns whether a file belongs to the current user, or to a group that owns what the user creates.
pub fn is_own_file(path: &Path) -> io::Result<bool> {
    let access = FILE_READ_ATTRIBUTES | READ_CONTROL;
    is_own(&OpenOptions::new().access_mode(access).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?)
}

/// Counts the names of a file.
fn links(file: &File) -> io::Result<u32> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the record is ours to be written to.
    succeeded(unsafe { GetFileInformationByHandle(file.as_raw_handle() as HANDLE, &raw mut facts) })?;
    Ok(facts.nNumberOfLinks)
}

/// Returns whether a file's owner is the current user or a group that owns what the user creates (administrators do).
fn is_own(file: &File) -> io::Result<bool> {
    let (_descriptor, owner, _) = security(file, OWNER_SECURITY_INFORMATION)?;
    // SAFETY: the owner is in the descriptor, which is alive.
    if unsafe { is_current_user(owner) }? {
        return Ok(true);
    }
    let mut member = 0;
    // SAFETY: no token means the thread's own; the owner is in the descriptor, which is alive; the result is ours.
    succeeded(unsafe { CheckTokenMembership(null_mut(), owner, &raw mut member) })?;
    Ok(member != 0)
}

/// Returns whether a security id is the current user's own. Windows finds it among the token's members as well; Wine does not.
///
/// # Safety
/// It is a valid one.
unsafe fn is_current_user(id: PSID) -> io::Result<bool> {
    let mut token: HANDLE = null_mut();
    // SAFETY: it has no preconditions; the handle is a constant that is never closed.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the token is ours to be written to.
    succeeded(unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the call above opened the handle, and nothing else closes it.
    let token = unsafe { OwnedHandle::from_raw_handle(token.cast::<c_void>()) };
    // The largest answer is a TOKEN_USER with a security id of 68 bytes behind it; `u64` gives it its alignment.
    let (mut answer, mut length) = ([0_u64; 32], 0);
    // SAFETY: the buffer is ours, writable, and as large as is said.
    succeeded(unsafe {
        GetTokenInformation(
            token.as_raw_handle() as HANDLE,
            TokenUser,
            answer.as_mut_ptr().cast::<c_void>(),
            size_of_val(&answer) as u32,
            &raw mut length,
        )
    })?;
    // SAFETY: the call above wrote a TOKEN_USER to the start of the buffer, which is aligned for it.
    let user = unsafe { answer.as_ptr().cast::<TOKEN_USER>().read() };
    // SAFETY: one is in the buffer, which is alive; the other is valid, as the caller promised.
    Ok(unsafe { EqualSid(user.User.Sid, id) } != 0)
}

/// Returns whether a retry may succeed: a reader or a virus scanner has the file open.
pub fn is_transient(error: &io::Error) -> bool {
    has_code(error, &[ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION])
}

/// Keeps the library in the process: `FreeLibrary` must not take the code away under the background thread.
pub fn stay_loaded() {
    let mut module = null_mut();
    let inside: *const u16 = (stay_loaded as fn() as *const c_void).cast();
    // SAFETY: the address is in this module, and the handle is ours to be written to.
    let _ = unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
            inside,
            &raw mut module,
        )
    };
}
