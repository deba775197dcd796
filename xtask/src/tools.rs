//! Folders of the repository, and running programs of others in them.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use walkdir::WalkDir;

use crate::stages::{hear, is_watched, say};

/// An error is a sentence for the person at the keyboard.
pub type Outcome<T> = Result<T, String>;

/// The folder of the repository, as cargo says it when it runs this program.
pub fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("xtask lies in the repository").to_owned()
}

/// Folder name of this computer's system and processor, as .NET names it.
pub fn runtime_identifier() -> String {
    let os = match env::consts::OS {
        "windows" => "win",
        "macos" => "osx",
        other => other,
    };
    let arch = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}-{arch}")
}

/// Prepares `dotnet`, which reports nothing to anybody.
pub fn dotnet() -> Command {
    let mut command = Command::new("dotnet");
    command.current_dir(root().join("powershell"));
    command.env("DOTNET_CLI_TELEMETRY_OPTOUT", "1").env("DOTNET_NOLOGO", "1");
    command
}

/// Says how to get a program that is not there.
fn hint(program: &str) -> &'static str {
    match program {
        "dotnet" => "the .NET SDK 10.0.401 or later is needed: https://dotnet.microsoft.com/download",
        "cargo" => "Rust is needed: https://rustup.rs",
        _ => "install it and try again",
    }
}

/// Does two things at once, the second on a thread of its own.
pub fn both<T, U: Send>(one: impl FnOnce() -> Outcome<T>, two: impl FnOnce() -> Outcome<U> + Send) -> Outcome<(T, U)> {
    thread::scope(|scope| {
        let two = scope.spawn(two);
        let one = one();
        let two = two.join().map_err(|_| "a defect of this program, see above".to_owned())?;
        Ok((one?, two?))
    })
}

/// Runs a command to its end, with its output on this terminal.
pub fn run(command: &mut Command) -> Outcome<()> {
    let program = name(command);
    if is_watched() {
        let (success, _) = listen(command)?;
        return if success { Ok(()) } else { Err(format!("{program} failed: {command:?}")) };
    }
    let status = command.status().map_err(|error| missing(&program, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed ({status}): {command:?}")) }
}

/// Runs a command to its end and gives what it printed, which this terminal shows as well. A failure of the command is
/// told apart from its output: tests that fail have printed their counts.
pub fn listen(command: &mut Command) -> Outcome<(bool, String)> {
    let program = name(command);
    let failed = |error: std::io::Error| format!("the output of {program} cannot be read: {error}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    if is_watched() {
        command.stderr(writer.try_clone().map_err(failed)?);
    }
    let mut child = command.stdout(writer).spawn().map_err(|error| missing(&program, &error))?;
    // Else this program would keep its end of the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut heard = String::new();
    for line in BufReader::new(reader).lines() {
        // A console under Wine moves its cursor about.
        let line = console::strip_ansi_codes(&line.map_err(failed)?).into_owned();
        hear(&line);
        heard += &line;
        heard.push('\n');
    }
    let status = child.wait().map_err(|error| format!("{program} cannot be waited for: {error}"))?;
    if !status.success() && is_watched() {
        say(&heard);
    }
    Ok((status.success(), heard))
}

/// Runs a command to its end and gives what it printed; what it complains about is shown.
pub fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    let program = name(command);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| missing(&program, &error))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{program} failed: {command:?}")) }
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

fn missing(program: &str, error: &std::io::Error) -> String {
    format!("{program} cannot be started ({error}): {}", hint(program))
}

/// Writes a generated file of the repository if its content differs. Returns whether it did.
pub fn write_if_changed(path: &str, content: &[u8]) -> Outcome<bool> {
    let file = root().join(path);
    if fs::read(&file).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    fs::write(&file, content).map(|()| true).map_err(|error| format!("{path} cannot be written: {error}"))
}

/// Writes a file, creating its folder.
pub fn write(path: &Path, content: &[u8]) -> Outcome<()> {
    let words = |error| format!("{} cannot be written: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(words)?;
    fs::write(path, content).map_err(words)
}

/// Writes a script that can be run.
#[cfg(unix)]
pub fn write_program(path: &Path, script: &str) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt;
    write(path, script.as_bytes())?;
    let words = |error| format!("{} cannot be made a program: {error}", path.display());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(words)
}

/// Copies a file, creating its folder.
pub fn copy(from: &Path, to: &Path) -> Outcome<()> {
    let words = |error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(words)?;
    fs::copy(from, to).map(|_| ()).map_err(words)
}

/// The files below a folder, in the order of their names, by their paths in it.
pub fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let words = |error: &dyn std::fmt::Display| format!("{} cannot be read: {error}", folder.display());
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| words(&error))?;
        if !entry.file_type().is_dir() {
            files.push(entry.path().strip_prefix(folder).map_err(|error| words(&error))?.to_owned());
        }
    }
    Ok(files)
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) -> Outcome<()> {
    files(from)?.iter().try_for_each(|file| copy(&from.join(file), &to.join(file)))
}

/// Gives a child an environment that is the same everywhere: a profile of its own, nobody's opt-out, no proxy, and no
/// reports of the tools that take part.
pub fn isolate(command: &mut Command, home: &Path) {
    for (name, _) in env::vars_os() {
        let upper = name.to_string_lossy().to_ascii_uppercase();
        if upper.starts_with("VMS_") || upper.ends_with("_PROXY") || upper == "DO_NOT_TRACK" {
            command.env_remove(name);
        }
    }
    for folder in ["HOME", "USERPROFILE", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "ProgramData"] {
        command.env(folder, home.join(folder));
    }
    command.env("POWERSHELL_TELEMETRY_OPTOUT", "1").env("DOTNET_CLI_TELEMETRY_OPTOUT", "1");
}

/// Removes a folder where there is one.
pub fn clear(folder: &Path) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be cleared: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a program is there.
pub fn starts(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}
