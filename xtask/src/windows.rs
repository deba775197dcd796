//! The Windows half: the DLL, and the tests on it. On Windows with its own tools; elsewhere cross-built with Debian's
//! packages, and run under Wine.

use std::env;
#[cfg(unix)]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(unix)]
use crate::tools::output;
use crate::tools::{Outcome, cargo, root, run};

pub const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian's compiler, which comes with the sources of the standard library.
pub const COMPILER: &str = "/usr/bin/rustc";
pub const LINKER: &str = "x86_64-w64-mingw32-gcc";
/// Makes import libraries.
pub const IMPORT_LIBRARY_TOOL: &str = "llvm-dlltool";
/// Debian's packages for all of it.
const PACKAGES: &str = "rustc-web rust-web-src gcc-mingw-w64-x86-64 llvm debootstrap";

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

/// Says what is missing for packing on this system; `None`: nothing.
pub fn missing_to_package() -> Option<String> {
    let has_tool = cfg!(windows) || Command::new(IMPORT_LIBRARY_TOOL).output().is_ok();
    missing_to_build()
        .or_else(|| (!has_tool).then(|| format!("{IMPORT_LIBRARY_TOOL} is missing: apt-get install llvm")))
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
        command.env("CARGO_TARGET_DIR", cross_target());
    }
    command
}

/// Where all that is cross-built lies.
fn cross_target() -> PathBuf {
    crate::build::target().join("windows")
}

/// Where cargo leaves the files for Windows, by profile.
pub fn target() -> PathBuf {
    if cfg!(windows) { crate::build::target() } else { cross_target().join(TARGET) }
}

/// Builds the DLL and gives its path.
pub fn library() -> Outcome<PathBuf> {
    if let Some(words) = missing_to_build() {
        return Err(words);
    }
    let what = ["--release", "--locked", "--package", "vms-telemetry", "--lib", "--crate-type", "cdylib"];
    let mut command = windows_cargo("rustc");
    gather_imports(&mut command)?;
    run(crate::build::reproducible(&mut command)?.args(what))?;
    Ok(target().join("release").join(LIBRARY))
}

/// Has all import libraries below the target folder. GNU's linker sorts imports by the paths of the files that they come
/// from; so the order within the DLL is the same wherever the repository and cargo's own folder lie.
#[cfg(unix)]
fn gather_imports(command: &mut Command) -> Outcome<()> {
    let found = output(Command::new(LINKER).arg("-print-file-name=libkernel32.a"))?;
    let found = PathBuf::from(String::from_utf8_lossy(&found).trim());
    let of_system = found.parent().ok_or_else(|| format!("{LINKER} has no import libraries"))?;
    let libraries = cross_target().join("libraries");
    let failed = |error: std::io::Error| format!("{} cannot be prepared: {error}", cross_target().display());
    fs::create_dir_all(cross_target()).map_err(failed)?;
    if fs::read_link(&libraries).ok().as_deref() != Some(of_system) {
        match fs::remove_file(&libraries) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => std::os::unix::fs::symlink(of_system, &libraries).map_err(failed)?,
        }
    }
    command.env("VMS_IMPORT_LIBRARIES", libraries);
    // The crate winapi brings its own, in cargo's folder; so told, it takes the system's.
    command.env("WINAPI_NO_BUNDLED_LIBRARIES", "1");
    Ok(())
}

/// Microsoft's linker needs no help.
#[cfg(windows)]
fn gather_imports(_: &mut Command) -> Outcome<()> {
    Ok(())
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
