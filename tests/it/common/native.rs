//! The library as it is shipped, and C programs on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{Home, child};

/// The folder with the library as it is shipped and its header, which `cargo xtask test` names.
pub fn shipped() -> Option<PathBuf> {
    std::env::var_os("VMS_TEST_NATIVE").map(PathBuf::from)
}

/// The library: as it is shipped, else the one that cargo built with these tests.
pub fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = shipped().unwrap_or_else(|| tests.parent().unwrap().to_owned());
    folder.join(format!("{}vms_telemetry{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// The folder of the header.
pub fn header() -> PathBuf {
    shipped().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
}

/// Compiles a C program of `tests/c` against the header, with every warning an error, once for all tests. Where these tests run
/// under Wine there is no compiler, and the program was compiled beforehand in the same way.
pub fn compile(name: &str) -> PathBuf {
    static COMPILED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if let Some(compiled) = std::env::var_os("VMS_TEST_PROGRAMS") {
        return PathBuf::from(compiled).join(name).with_extension(std::env::consts::EXE_EXTENSION);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let folder = Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or_default());
    let program = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if compiled.contains(name) {
        return program;
    }
    let mut command = compiler();
    if cfg!(target_env = "msvc") {
        command.args(["/nologo", "/std:c11", "/W4", "/WX"]).arg(format!("/Fe:{}", program.display()));
        command.arg(format!("/Fo:{}", program.with_extension("obj").display())).arg("/I").arg(header()).arg(source);
    } else {
        command.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread", "-o"]).arg(&program);
        command.arg("-I").arg(header()).arg(source).arg("-ldl");
        // A sanitizer's, which the library under test needs.
        let more = std::env::var("VMS_TEST_C_FLAGS").unwrap_or_default();
        command.args(more.split_whitespace());
    }
    let output = child::output(&mut command);
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    compiled.insert(name.to_owned());
    program
}

/// The C compiler of this system; it is started in order to learn what it is.
pub fn compiler() -> Command {
    let _starting = child::STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let target = env!("VMS_TEST_TARGET");
    cc::Build::new().target(target).host(target).opt_level(0).cargo_metadata(false).get_compiler().to_command()
}

/// Prepares a C program with a profile, and a place for its events.
pub fn program(program: &Path, home: &Home, connection_string: &str) -> Command {
    let variables = [("VMS_ApplicationInsights__ConnectionString", connection_string)];
    let mut command = child::program(program, home, &variables);
    command.arg(library());
    command
}
