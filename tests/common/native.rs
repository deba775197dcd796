//! The library as it is shipped, and C programs on it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Home;

/// The folder with the library and its header.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os("VMS_TEST_NATIVE").expect("run `cargo xtask test`, which builds the library first");
    PathBuf::from(folder)
}

pub fn library() -> PathBuf {
    folder().join(format!("{}vms_telemetry{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Compiles a C program of `tests/c` against the header, with every warning an error. Where these tests run under Wine
/// there is no compiler, and the program was compiled beforehand in the same way.
pub fn compile(name: &str, folder: &Path) -> PathBuf {
    if let Some(compiled) = std::env::var_os("VMS_TEST_PROGRAMS") {
        return PathBuf::from(compiled).join(name).with_extension(std::env::consts::EXE_EXTENSION);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let program = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let target = env!("VMS_TEST_TARGET");
    let tool = cc::Build::new().target(target).host(target).opt_level(0).cargo_metadata(false).get_compiler();
    let mut command = tool.to_command();
    if tool.is_like_msvc() {
        command.args(["/nologo", "/std:c11", "/W4", "/WX"]).arg(format!("/Fe:{}", program.display()));
        command.arg(format!("/Fo:{}", folder.join("object.obj").display())).arg("/I").arg(self::folder()).arg(source);
    } else {
        command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread", "-o"]).arg(&program);
        command.arg("-I").arg(self::folder()).arg(source).arg("-ldl");
    }
    assert!(command.status().unwrap().success(), "{command:?}");
    program
}

/// Prepares a C program: a profile of its own, nobody's opt-out, and a place for its events.
pub fn program(program: &Path, home: &Home, connection_string: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(library()).env_remove("DO_NOT_TRACK");
    for folder in ["HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "ProgramData"] {
        command.env(folder, home.path().join(folder));
    }
    command.env("VMS_ApplicationInsights__ConnectionString", connection_string);
    command
}

/// A running `tests/c/host.c`.
pub struct Host {
    child: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Host {
    /// Starts it; its session has begun when this returns.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut host = Self { words: child.stdin.take(), child, answers };
        assert_eq!(host.answer(), "started");
        host
    }

    /// Says a word to it.
    pub fn say(&mut self, word: &str) {
        writeln!(self.words.as_mut().unwrap(), "{word}").unwrap();
    }

    /// Waits for its next line.
    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for its end.
    pub fn end(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}
