//! This test program as a process of its own: a host that does through the C ABI what it is told, line by line.
//!
//! A test file that starts such hosts has the test `a_child_in_its_role`, which calls [`serve`].

use std::ffi::{CString, c_char};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::ptr::null;

use vms_telemetry::abi::{self, VmsConfig, VmsConfigChange, VmsConnectionInfo, VmsCount, VmsSessionInfo};
use vms_telemetry::ffi;
use vms_telemetry::files::{self, LockMode};

use super::Home;

const DESTINATION: &str = "TEST_DESTINATION";
/// The variable with what the host hands over as each text that it may choose.
pub const EVERY_TEXT: &str = "TEST_EVERY_TEXT";
/// What a process needs in order to start at all; the rest of this process's environment is not for its children.
const KEPT: [&str; 7] = ["PATH", "SystemRoot", "windir", "TEMP", "TMP", "TMPDIR", "WINEDEBUG"];
/// How answers begin: libtest writes to the same pipe.
const ANSWER: &str = "> ";
/// The actual id of the site that a host connects to when it is not told another.
pub const SITE: &str = "dddddddd-0000-4000-8000-00000000000d";

/// Prepares a host: the profile of the test, and these variables as its whole environment.
pub fn command(home: &Home, destination: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_child_in_its_role", "--ignored", "--nocapture"]).env_clear();
    command.envs(KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let (local, state) = (home.path().join("local"), home.path().join("state"));
    command.env("HOME", home.path()).env("XDG_DATA_HOME", &local).env("XDG_STATE_HOME", &state);
    command.env("LOCALAPPDATA", &local).env("ProgramData", &state);
    command.env(DESTINATION, destination).envs(variables.iter().copied());
    command
}

/// Prepares a host that another program runs, with the host's own environment.
pub fn run_by(mut program: Command, host: &Command) -> Command {
    program.arg(host.get_program()).args(host.get_args()).env_clear();
    program.envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
    program
}

/// Prepares a host whose system calls are traced, to this file.
pub fn traced(host: &Command, expression: &str, file: &std::path::Path) -> Command {
    let mut strace = strace(file);
    strace.args(["-e", expression]);
    run_by(strace, host)
}

/// Prepares a host in which each use of these paths by a system call fails with an error, such as "openat" and "EMFILE". Without
/// paths it is each use of the call.
pub fn faulty(host: &Command, call: &str, error: &str, paths: &[std::path::PathBuf]) -> Command {
    let mut strace = strace("/dev/null".as_ref());
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}")]);
    strace.args(paths.iter().flat_map(|path| ["-P".as_ref(), path.as_os_str()]));
    run_by(strace, host)
}

fn strace(file: &std::path::Path) -> Command {
    let found = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(found, "this test needs strace: apt-get install strace");
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
    /// Starts a host; it waits for words, and no session has begun.
    pub fn start(command: &mut Command) -> Self {
        let mut host = Self::try_start(command);
        assert_eq!(host.answer().as_deref(), Some("ready"), "{command:?}");
        host
    }

    /// Starts a host that may end before it is ready: its first answer tells.
    pub fn try_start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { words: child.stdin.take(), child, answers }
    }

    /// Starts a host that sees a folder (`$1` in the script) as the script mounts it, for this one process; `None` if this system
    /// does not let the user do so.
    #[cfg(target_os = "linux")]
    pub fn in_namespace(host: &Command, script: &str, folder: &std::path::Path) -> Option<Self> {
        Self::isolated("--mount", host, script, folder)
    }

    /// Starts a host in a namespace of a kind that `unshare` knows, after a script; `None` if this system does not let the user do
    /// so.
    #[cfg(target_os = "linux")]
    pub fn isolated(kind: &str, host: &Command, script: &str, folder: &std::path::Path) -> Option<Self> {
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

    /// Returns where a folder is that only the host sees as it is.
    #[cfg(target_os = "linux")]
    pub fn sees(&self, folder: &std::path::Path) -> std::path::PathBuf {
        let root = std::path::Path::new("/proc").join(self.id().to_string()).join("root");
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
        while self.answers.read_line(&mut line).unwrap() > 0 {
            // libtest may stand before the first answer on its line.
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return Some(answer.trim_end().to_owned());
            }
            line.clear();
        }
        None
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

/// The host's side: does what standard input says, up to its end.
pub fn serve() {
    let Ok(destination) = std::env::var(DESTINATION) else {
        return;
    };
    say("ready");
    let (mut connection, mut locks) = (0, Vec::new());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        say(&match verb {
            "init" => outcome(init(&destination, rest)),
            "connect" => outcome(connect(abi::VMS_POLICY_ON, SITE, rest, &mut connection)),
            "connect-site" => outcome(connect(abi::VMS_POLICY_ON, rest, "", &mut connection)),
            "connect-policy" => outcome(connect(rest.parse().unwrap(), SITE, "", &mut connection)),
            "disconnect" => outcome(ffi::on_disconnect(connection)),
            "record" => outcome(
                (0..rest.parse().unwrap())
                    .map(|_| connect(abi::VMS_POLICY_ON, SITE, "", &mut connection).max(ffi::on_disconnect(connection)))
                    .fold(0, i32::max),
            ),
            "telemetry" => outcome(change(truth(rest), 0, 0, None)),
            "log" => outcome(change(0, truth(rest), 0, None)),
            "hold" => outcome(change(0, 0, truth(rest), None)),
            "proxy" => outcome(change(0, 0, 0, Some(rest))),
            // Many changes of both kinds; a test kills it on the way.
            "churn" => outcome(
                (0..rest.parse().unwrap())
                    .map(|turn| change(1 + turn % 2, 1 + turn / 2 % 2, 0, None))
                    .fold(0, i32::max),
            ),
            "set" => {
                let (name, value) = rest.split_once('=').unwrap();
                // SAFETY: no other thread of this process reads or writes the environment now.
                unsafe { std::env::set_var(name, value) };
                "0".to_owned()
            }
            "config" => config(),
            "text" => text(rest.parse().unwrap()),
            "settle" => settle(),
            // Takes a lock, and keeps it until the process ends.
            "lock" => {
                let (mode, path) = rest.split_once(' ').unwrap();
                let mode = if mode == "shared" { LockMode::Shared } else { LockMode::Exclusive };
                locks.push(files::lock(path.as_ref(), mode, std::time::Instant::now()).unwrap());
                "0".to_owned()
            }
            #[cfg(unix)]
            "files" => limit(rustix::process::Resource::Nofile, rest),
            #[cfg(unix)]
            "threads" => limit(rustix::process::Resource::Nproc, rest),
            // A server that accepts connections and never reads.
            "deaf" => {
                let server = std::net::TcpListener::bind(("127.0.0.1", rest.parse().unwrap())).unwrap();
                std::thread::spawn(move || server.incoming().collect::<Vec<_>>());
                "0".to_owned()
            }
            // Leaves a mark in a system-call trace.
            "mark" => format!("{}", std::fs::exists(format!("/vms-mark-{rest}")).unwrap()),
            _ => panic!("{line}"),
        });
    }
}

fn say(answer: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ANSWER}{answer}").unwrap();
    out.flush().unwrap();
}

/// Gives a status as an answer, an error with its message.
fn outcome(status: i32) -> String {
    match status {
        abi::VMS_OK | abi::VMS_OFF | abi::VMS_UNSURE => status.to_string(),
        // SAFETY: the buffer has the capacity that is said, and the length can be written to.
        _ => format!(
            "{status} {}",
            given(|buffer, capacity, length| unsafe { ffi::last_error(buffer, capacity, length) })
        ),
    }
}

/// Gives the text that a function writes.
fn given(give: impl Fn(*mut c_char, usize, *mut usize) -> i32) -> String {
    let (mut buffer, mut length) = (vec![0_u8; 16_384], 0);
    assert_eq!(give(buffer.as_mut_ptr().cast::<c_char>(), buffer.len(), &raw mut length), abi::VMS_OK);
    buffer.truncate(length);
    String::from_utf8(buffer).unwrap()
}

fn truth(text: &str) -> u32 {
    if text == "true" { abi::VMS_TRUE } else { abi::VMS_FALSE }
}

/// Lets this process have no more of something ("none"), or as much as ever.
#[cfg(unix)]
fn limit(resource: rustix::process::Resource, much: &str) -> String {
    let before = rustix::process::getrlimit(resource);
    let current = if much == "none" { Some(0) } else { before.maximum };
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current, ..before }).unwrap();
    "0".to_owned()
}

/// Starts the session. `how` is empty, "awaiting" (a proxy is named later) or "own NAME=value|NAME=value" (the same, and the host has
/// an environment of its own).
fn init(destination: &str, how: &str) -> i32 {
    let own = how.strip_prefix("own").map(|entries| entries.trim_start().split('|'));
    let own: Option<Vec<_>> = own.map(|entries| entries.map(|entry| CString::new(entry).unwrap()).collect());
    let entries: Vec<_> = own.iter().flatten().map(|entry| entry.as_ptr()).chain([null()]).collect();
    let (version, destination) = (CString::new("1.2.3").unwrap(), CString::new(destination).unwrap());
    let text = every_text();
    let text = text.as_ref().map(|text| text.as_ptr());
    let info = VmsSessionInfo {
        size: size_of::<VmsSessionInfo>() as u32,
        names_proxy: u32::from(!how.is_empty()) * abi::VMS_TRUE,
        assembly_version: text.unwrap_or(version.as_ptr()),
        framework_description: text.unwrap_or(null()),
        os_description: text.unwrap_or(null()),
        connection_string: destination.as_ptr(),
        environment: if own.is_some() { entries.as_ptr() } else { null() },
    };
    // SAFETY: the record has its size, and its texts live for the call.
    unsafe { ffi::init_session(&raw const info) }
}

/// Returns what the host hands over as each text that it may choose, if a test wants that.
fn every_text() -> Option<CString> {
    std::env::var(EVERY_TEXT).ok().map(|text| CString::new(text).unwrap())
}

fn connect(policy: u32, site: &str, product: &str, connection: &mut u64) -> i32 {
    let (site, product) = (CString::new(site).unwrap(), CString::new(product).unwrap());
    let text = every_text();
    let text = text.as_ref().map(|text| text.as_ptr());
    let none = VmsCount { known: 0, value: 0 };
    let info = VmsConnectionInfo {
        size: size_of::<VmsConnectionInfo>() as u32,
        user_type: abi::VMS_USER_WINDOWS,
        is_oauth_connection: abi::VMS_TRUE,
        encryption_enabled: abi::VMS_TRUE,
        usage_data_policy: policy,
        reserved: 0,
        site_id: site.as_ptr(),
        product_version: text.unwrap_or(null()),
        product_name: text.unwrap_or(product.as_ptr()),
        child_sites: none,
        recorders: none,
        hardware_count: none,
        camera_count: VmsCount { known: abi::VMS_TRUE, value: 4 },
        microphone_count: none,
        speaker_count: none,
        metadata_count: none,
        input_count: none,
        output_count: none,
    };
    // SAFETY: the record has its size, its texts live for the call, and the number can be written to.
    unsafe { ffi::on_connect(&raw const info, connection) }
}

fn change(telemetry: u32, log: u32, hold: u32, proxy: Option<&str>) -> i32 {
    let proxy = proxy.map(|proxy| CString::new(proxy).unwrap());
    let change = VmsConfigChange {
        size: size_of::<VmsConfigChange>() as u32,
        enable_telemetry: telemetry,
        log_telemetry: log,
        hold_sending: hold,
        proxy: proxy.as_ref().map_or(null(), |proxy| proxy.as_ptr()),
    };
    // SAFETY: the record has its size, and its text lives for the call.
    unsafe { ffi::set_config(&raw const change) }
}

/// Gives whether telemetry is on, the layer that decided it, and how many events wait.
fn config() -> String {
    let mut config = VmsConfig {
        size: size_of::<VmsConfig>() as u32,
        telemetry_enabled: 0,
        telemetry_layer: 0,
        log_telemetry: 0,
        log_layer: 0,
        pending_events: 0,
    };
    // SAFETY: the record has its size and can be written to.
    assert_eq!(unsafe { ffi::get_config(&raw mut config) }, abi::VMS_OK);
    let on = match config.telemetry_enabled {
        abi::VMS_TRUE => "on",
        abi::VMS_FALSE => "off",
        _ => "unsure",
    };
    format!("{on} layer {} pending {}", config.telemetry_layer, config.pending_events)
}

fn text(which: u32) -> String {
    // SAFETY: the buffer has the capacity that is said, and the length can be written to.
    given(|buffer, capacity, length| unsafe { ffi::get_text(which, buffer, capacity, length) })
}

/// Waits until nothing is left to be sent and the library's thread is gone, or until an attempt failed. The ABI does not
/// tell whether there is a thread, and only Linux makes it easy to find out.
fn settle() -> String {
    let is_ours = |task: std::io::Result<std::fs::DirEntry>| {
        let name = task.and_then(|task| std::fs::read_to_string(task.path().join("comm"))).unwrap_or_default();
        name.trim_end() == vms_telemetry::sender::THREAD
    };
    let runs = || cfg!(target_os = "linux") && std::fs::read_dir("/proc/self/task").unwrap().any(is_ours);
    let rests = || config().ends_with(" pending 0") && !runs();
    super::wait_until(|| rests() || !text(abi::VMS_TEXT_DELIVERY_FAILURE).is_empty());
    "settled".to_owned()
}
