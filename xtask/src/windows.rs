//! The Windows half: the DLL, and the tests on it. On Windows with its own tools; elsewhere cross-built with Debian's
//! packages, and run under Wine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{Outcome, cargo, root, run};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian's compiler, which comes with the sources of the standard library.
const COMPILER: &str = "/usr/bin/rustc";
const LINKER: &str = "x86_64-w64-mingw32-gcc";
/// Debian's packages for all of it.
const PACKAGES: &str = "rustc-web rust-web-src gcc-mingw-w64-x86-64 debootstrap";

/// Name of the folder of Windows files, as .NET has it.
pub const RUNTIME_IDENTIFIER: &str = "win-x64";
/// The library's file name.
pub const LIBRARY: &str = "vms_telemetry.dll";

/// Says what is missing for building on this system; `None`: nothing.
pub fn missing_to_build() -> Option<String> {
    let has_sources = Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
        || std::fs::read_dir("/usr/src").is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("rustc"))
        });
    let has_tools = has_sources && Command::new(LINKER).arg("--version").output().is_ok();
    (!cfg!(windows) && !has_tools)
        .then(|| format!("the Windows half needs Debian's packages: apt-get install {PACKAGES}"))
}

/// Says what is missing for running Windows programs on this system; `None`: nothing, or it can be made.
pub fn missing_to_run() -> Option<String> {
    let can_make =
        cfg!(target_os = "linux") && is_root() && Command::new("debootstrap").arg("--version").output().is_ok();
    let runs = cfg!(windows) || (is_root() && wine_root().is_dir()) || can_make;
    (!runs).then(|| format!("Wine needs root and debootstrap: apt-get install {PACKAGES}"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Prepares cargo for Windows. Where it cross-builds, it does so with the standard library's sources, in a target folder
/// of its own, so that both systems' builds may run at once.
pub fn windows_cargo(subcommand: &str) -> Command {
    let mut command = cargo();
    command.arg(subcommand);
    if !cfg!(windows) {
        command.args(["--target", TARGET, "-Zbuild-std=std,panic_unwind"]);
        command.env("RUSTC", COMPILER).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
        command.env("CARGO_TARGET_DIR", target());
    }
    command
}

/// Where cargo leaves the files for Windows.
fn target() -> PathBuf {
    crate::build::target().join("windows")
}

/// Builds the DLL and gives its path.
pub fn library() -> Outcome<PathBuf> {
    if let Some(words) = missing_to_build() {
        return Err(words);
    }
    let what = ["--release", "--locked", "--package", "vms-telemetry", "--lib", "--crate-type", "cdylib"];
    run(windows_cargo("rustc").args(what))?;
    Ok(target().join(TARGET).join("release").join(LIBRARY))
}

/// Compiles a C program of `tests/c` for Windows, as the tests cannot do it themselves under Wine.
pub fn c_program(name: &str, header: &Path, folder: &Path) -> Outcome<()> {
    let mut compiler = Command::new(LINKER);
    compiler
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o"])
        .arg(folder.join(name).with_extension("exe"));
    run(compiler.arg("-I").arg(header).arg(root().join("tests/c").join(name).with_extension("c")))
}

/// The folder with Wine, which is made once on a machine.
fn wine_root() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("vms-telemetry/wine-trixie")
}

/// Makes the folder with Wine where it is missing: about two minutes.
pub fn prepare() -> Outcome<()> {
    if cfg!(windows) || wine_root().is_dir() {
        return Ok(());
    }
    println!("making {} (once; two minutes)", wine_root().display());
    run(Command::new("bash").args(["-c", include_str!("wine-make.sh")]).env("WINE_ROOT", wine_root()))
}

/// Prepares a Windows program, under Wine where this is not Windows. It gets the variables that are given here, and no
/// others; its working folder is the repository.
pub fn program(path: &Path, arguments: &[&str], variables: &[(&str, String)]) -> Command {
    if cfg!(windows) {
        let mut command = Command::new(path);
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        return command;
    }
    let mut command = Command::new("bash");
    command.current_dir(root()).env("WINE_ROOT", wine_root()).env("REPOSITORY", root());
    command.args(["-c", include_str!("wine-sandbox.sh"), "wine-sandbox"]);
    // Inside: a shell that enters the folder, so that $SANDBOX is known.
    command.args(["bash", "-c", ENTER, "enter"]);
    command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg("--").arg(path).args(arguments);
    command
}

const ENTER: &str = "\
variables=()
while [ \"$1\" != -- ]; do variables+=(\"$1\"); shift; done
shift
exec timeout --kill-after=10 900 chroot \"$SANDBOX/root\" /usr/bin/env -i -C \"$PWD\" HOME=/root PATH=/usr/lib/wine:/usr/bin:/bin WINEDEBUG=-all \
LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp \"${variables[@]}\" /usr/lib/wine/wine64 \"$@\"";

/// A path as Windows programs see it: Wine has the root folder as drive Z.
pub fn path(path: &Path) -> String {
    if cfg!(windows) { path.display().to_string() } else { format!("Z:{}", path.display()).replace('/', "\\") }
}
