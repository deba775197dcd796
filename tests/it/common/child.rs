//! Hosts and other programs as processes of their own, with nothing of this process's environment but what a process needs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};

use super::Home;

/// The variable with what the host hands over as each text that it may choose. As in `tests/child/host.rs`.
pub const EVERY_TEXT: &str = "TEST_EVERY_TEXT";
/// The actual id of the site that a host connects to when it is not told another. As in `tests/child/host.rs`.
pub const SITE: &str = "dddddddd-0000-4000-8000-00000000000d";
/// What a process needs in order to start at all; the rest of this process's environment is not for its children.
const KEPT: [&str; 7] = ["PATH", "SystemRoot", "windir", "TEMP", "TMP", "TMPDIR", "WINEDEBUG"];

/// Written to while a process is started. Until its program runs it has a copy of all open files of this process, and with them
/// the locks, which are not free before it has closed them as well.
pub static STARTING: RwLock<()> = RwLock::new(());

/// Starts a program.
pub fn spawn(command: &mut Command) -> Child {
    let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program to its end.
pub fn output(command: &mut Command) -> Output {
    spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).wait_with_output().unwrap()
}

/// Prepares a program: the profile of the test, and these variables as its whole environment.
pub fn program(program: impl AsRef<OsStr>, home: &Home, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let (local, state) = (home.path().join("local"), home.path().join("state"));
    command.env("HOME", home.path()).env("XDG_DATA_HOME", &local).env("XDG_STATE_HOME", &state);
    command.env("LOCALAPPDATA", &local).env("ProgramData", &state).envs(variables.iter().copied());
    command
}

/// Prepares a host: `tests/child/host.rs`, which cargo builds with the tests.
pub fn command(home: &Home, destination: &str, variables: &[(&str, &str)]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let host = tests.ancestors().nth(2).unwrap().join("examples/child").with_extension(std::env::consts::EXE_EXTENSION);
    assert!(host.exists(), "{} is missing: cargo build --example child", host.display());
    let mut command = program(host, home, variables);
    command.arg(destination);
    command
}

/// Prepares a host that another program runs, with the host's own environment.
pub fn run_by(mut program: Command, host: &Command) -> Command {
    program.arg(host.get_program()).args(host.get_args()).env_clear();
    program.envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
    program
}

/// Prepares a host whose system calls are traced, to this file.
pub fn traced(host: &Command, expression: &str, file: &Path) -> Command {
    let mut strace = strace(file);
    strace.args(["-e", expression]);
    run_by(strace, host)
}

/// Prepares a host in which each use of these paths by a system call fails with an error, such as "openat" and "EMFILE". Without
/// paths it is each use of the call.
pub fn faulty(host: &Command, call: &str, error: &str, paths: &[PathBuf]) -> Command {
    let mut strace = strace("/dev/null".as_ref());
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}")]);
    strace.args(paths.iter().flat_map(|path| ["-P".as_ref(), path.as_os_str()]));
    run_by(strace, host)
}

/// Returns whether system calls can be traced here; where they cannot, the test is skipped.
pub fn can_trace() -> bool {
    // A program that is missing would be a panic of `spawn`.
    let can = output(Command::new("sh").args(["-c", "strace -o /dev/null true"])).status.success();
    if !can {
        super::skip("strace is missing, or may not trace here: apt-get install strace");
    }
    can
}

fn strace(file: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(file);
    strace
}

/// A running host.
pub struct Host {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Host {
    /// Starts a host with nothing in its environment but the user's folders.
    pub fn new(home: &Home, destination: &str) -> Self {
        Self::start(&mut command(home, destination, &[]))
    }

    /// Starts a host; it waits for words, and no session has begun.
    pub fn start(command: &mut Command) -> Self {
        let mut host = Self::try_start(command);
        assert_eq!(host.answer().as_deref(), Some("ready"), "{command:?}");
        host
    }

    /// Starts a host that may end before it is ready: its first answer tells.
    pub fn try_start(command: &mut Command) -> Self {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { words: child.stdin.take(), child, answers }
    }

    /// Starts a host that sees a folder (`$1` in the script) as the script mounts it, for this one process; `None` if this system
    /// does not let the user do so.
    #[cfg(target_os = "linux")]
    pub fn in_namespace(host: &Command, script: &str, folder: &Path) -> Option<Self> {
        Self::isolated("--mount", host, script, folder)
    }

    /// Starts a host in a namespace of a kind that `unshare` knows, after a script; `None` if this system does not let the user do
    /// so.
    #[cfg(target_os = "linux")]
    pub fn isolated(kind: &str, host: &Command, script: &str, folder: &Path) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args((!is_root()).then_some("--map-root-user")).arg(kind);
        command.args(["sh", "-c", &format!("{script} && shift && exec \"$@\""), "sh"]).arg(folder);
        let mut host = Self::try_start(&mut run_by(command, host));
        let ready = host.answer();
        if ready.is_none() {
            super::skip("this system does not let this user have a namespace for one process");
        }
        ready.map(|_| host)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its private memory in bytes, as the system says to others.
    #[cfg(target_os = "linux")]
    pub fn private_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let kibibytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_end_matches("kB").trim().parse().unwrap()
        };
        (kibibytes("VmData:") + kibibytes("VmStk:")) * 1024
    }

    /// Returns its private memory in bytes, as the system says to others.
    #[cfg(windows)]
    pub fn private_bytes(&self) -> u64 {
        use std::os::windows::io::AsRawHandle;
        use windows_sys::Win32::System::ProcessStatus::{GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS_EX};
        let mut counters =
            PROCESS_MEMORY_COUNTERS_EX { cb: size_of::<PROCESS_MEMORY_COUNTERS_EX>() as u32, ..Default::default() };
        // SAFETY: the handle is open, and the record is ours, writable, and as large as is said.
        let done = unsafe { GetProcessMemoryInfo(self.child.as_raw_handle(), (&raw mut counters).cast(), counters.cb) };
        assert_ne!(done, 0);
        // Wine leaves the first at zero.
        counters.PrivateUsage.max(counters.PagefileUsage) as u64
    }

    /// Returns where a folder is that only the host sees as it is.
    #[cfg(target_os = "linux")]
    pub fn sees(&self, folder: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.id().to_string()).join("root");
        root.join(folder.strip_prefix("/").unwrap())
    }

    /// Stops it, as a debugger or Ctrl+Z does. On Windows it just waits: what it has stays with it as well.
    pub fn stop(&self) {
        #[cfg(unix)]
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap(),
            rustix::process::Signal::STOP,
        )
        .unwrap();
    }

    /// Lets it go on after that.
    #[cfg(unix)]
    pub fn go_on(&self) {
        let process = rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    }

    /// Starts a host whose session has begun, whether or not it recorded that.
    pub fn begin(command: &mut Command) -> Self {
        let mut host = Self::start(command);
        assert!(["0", "1", "2"].contains(&&*host.ask("init")));
        host
    }

    /// Tells it to do something.
    pub fn tell(&mut self, words: &str) {
        writeln!(self.words.as_mut().unwrap(), "{words}").unwrap();
    }

    /// Waits for its next answer; `None` when it has ended.
    pub fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.answers.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    /// Tells it to do something and waits until it is done.
    pub fn ask(&mut self, words: &str) -> String {
        self.tell(words);
        self.answer().unwrap_or_else(|| panic!("the host died of \"{words}\""))
    }

    /// Lets it end as a process does whose host returns from `main`.
    pub fn end(mut self) {
        drop(self.words.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills it, and gives the answers that it still got out.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let answers = std::iter::from_fn(|| self.answer()).collect();
        self.child.wait().unwrap();
        answers
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After `end` and `kill` there is nothing left to kill; a test that fails leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells whether this process is root's.
#[cfg(unix)]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|myself| std::os::unix::fs::MetadataExt::uid(&myself) == 0)
}

/// Returns who may do what with a file, in the system's own notation.
#[cfg(windows)]
pub fn access_control_list(path: &Path) -> String {
    use std::os::windows::ffi::OsStrExt;
    use std::ptr::null_mut;
    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT,
    };
    use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;
    let path: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let (mut descriptor, mut text, mut length) = (null_mut(), null_mut(), 0);
    // SAFETY: the path ends with a NUL, and the descriptor can be written to; it is left to the end of this process.
    let outcome = unsafe {
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    assert_eq!(outcome, 0);
    // SAFETY: the descriptor is a valid one, and text and length can be written to.
    let done = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            &raw mut length,
        )
    };
    assert_ne!(done, 0);
    // SAFETY: the text has this length, with a NUL at its end.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length as usize) })
        .trim_end_matches('\0')
        .to_owned()
}
