//! Windows.

use std::ffi::{OsStr, c_void};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    CheckTokenMembership, DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID, SetKernelObjectSecurity, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_APPEND_DATA, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES, GetFileInformationByHandle, READ_CONTROL, SYNCHRONIZE, WRITE_DAC,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::Win32::System::ProcessStatus::{
    GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS, PROCESS_MEMORY_COUNTERS_EX,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Gives the folder of `%LOCALAPPDATA%`, else the one that the system knows under that name.
pub fn local_app_data() -> Option<PathBuf> {
    absolute("LOCALAPPDATA").or_else(dirs::data_local_dir)
}

/// Gives the folder of `%ProgramData%`, else where it is on every ordinary system.
pub fn log_root() -> Option<PathBuf> {
    absolute("ProgramData").or_else(|| Some(PathBuf::from(r"C:\ProgramData")))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Gives the private memory of this process in bytes: `PrivateUsage`. Where the system leaves that at zero, as Wine
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

/// Creates a folder and its parents; the folder itself is for the current user, the system and administrators only.
///
/// # Errors
/// What the operating system says; an existing folder is none, and keeps its rights.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            // A file system without rights has none to set; the profile's own protect the folder otherwise.
            let _ = restrict(folder);
            Ok(())
        }
    }
}

/// Takes the rights that the folder inherited away, by its handle: paths of any length and kind have one.
fn restrict(folder: &Path) -> io::Result<()> {
    let handle = OpenOptions::new()
        .access_mode(READ_CONTROL | WRITE_DAC)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(folder)?;
    let rights = format!("D:P(A;OICI;FA;;;{})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", user_sid()?);
    let rights: Vec<u16> = OsStr::new(&rights).encode_wide().chain([0]).collect();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the text ends with a NUL, and the descriptor is ours to be written to; its size is not asked for.
    succeeded(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            rights.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    })?;
    let descriptor = Local(descriptor);
    // SAFETY: the handle is open, with the right to change the rights; the descriptor is a valid one.
    succeeded(unsafe {
        SetKernelObjectSecurity(handle.as_raw_handle() as HANDLE, DACL_SECURITY_INFORMATION, descriptor.0)
    })
}

/// Gives the current user's security id in its text form.
fn user_sid() -> io::Result<String> {
    let mut token: HANDLE = null_mut();
    // SAFETY: it has no preconditions; the handle is a constant that is never closed.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the token is ours to be written to.
    succeeded(unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the call above opened the handle, and nothing else closes it.
    let token = unsafe { OwnedHandle::from_raw_handle(token.cast::<c_void>()) };
    // The largest answer is a TOKEN_USER with a security id of 68 bytes behind it; `u64` gives it its alignment.
    let mut answer = [0_u64; 32];
    let mut length = 0;
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
    // SAFETY: the security id lies in the buffer, which is alive.
    unsafe { text_of(user.User.Sid) }
}

/// Gives a security id in its text form.
///
/// # Safety
/// It is a valid one.
unsafe fn text_of(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: the security id is valid, as the caller promised; the text is ours to be written to.
    succeeded(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    let text = Local(text.cast::<c_void>());
    let units = text.0.cast::<u16>();
    let mut sid = String::new();
    loop {
        // SAFETY: no unit before this one was NUL, and the text ends with one.
        let unit = unsafe { units.add(sid.len()) };
        // SAFETY: as above.
        match unsafe { unit.read() } {
            0 => return Ok(sid),
            // A security id is ASCII.
            unit => sid.push(char::from(unit as u8)),
        }
    }
}

/// Memory that the system handed out with `LocalAlloc`.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the system handed it out, and it is freed once.
        unsafe { LocalFree(self.0) };
    }
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Creates a file that was not there; the folder's rights are its own.
///
/// # Errors
/// What the operating system says.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Creates the folder of the raw log, which all users share: with the rights of `C:\ProgramData`, where everyone may
/// create files and change his own.
///
/// # Errors
/// What the operating system says; an existing folder is none.
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

/// Counts the names of a file.
fn links(file: &File) -> io::Result<u32> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the record is ours to be written to.
    succeeded(unsafe { GetFileInformationByHandle(file.as_raw_handle() as HANDLE, &raw mut facts) })?;
    Ok(facts.nNumberOfLinks)
}

/// Tells whether a file's owner is the current user or a group that owns what the user creates (administrators do).
fn is_own(file: &File) -> io::Result<bool> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the handle is open with the right to read this; both results are ours to be written to.
    let outcome = unsafe {
        GetSecurityInfo(
            file.as_raw_handle() as HANDLE,
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    if outcome != 0 {
        return Err(io::Error::from_raw_os_error(outcome as i32));
    }
    let _descriptor = Local(descriptor);
    // SAFETY: the owner lies in the descriptor, which is alive.
    if unsafe { text_of(owner) }? == user_sid()? {
        return Ok(true);
    }
    let mut member = 0;
    // SAFETY: no token means the thread's own; the owner lies in the descriptor, which is alive; the result is ours.
    succeeded(unsafe { CheckTokenMembership(null_mut(), owner, &raw mut member) })?;
    Ok(member != 0)
}

/// Tells whether the same operation may well succeed in a moment: a reader or a virus scanner holds the file.
pub fn is_momentary(error: &io::Error) -> bool {
    let code = error.raw_os_error().and_then(|code| u32::try_from(code).ok());
    matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION))
}

/// Keeps the library in the process: `FreeLibrary` must not take the code away under the background thread.
pub fn stay_loaded() {
    let mut module = null_mut();
    let inside: *const u16 = (stay_loaded as fn() as *const c_void).cast();
    // SAFETY: the address lies in this module, and the handle is ours to be written to.
    let _ = unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
            inside,
            &raw mut module,
        )
    };
}
