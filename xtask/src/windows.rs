//! The Windows half: the DLL, and the tests on it. On Windows with its own tools; elsewhere cross-built, with rustup's
//! standard library or with Debian's sources of it, and run under Wine.

use std::env;
#[cfg(unix)]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

#[cfg(unix)]
use crate::cargo::reproducible;
use crate::cargo::{cargo, shipped};
#[cfg(unix)]
use crate::tools::output;
use crate::tools::{Outcome, root, run, starts};

pub const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian's compiler, which comes with the sources of the standard library.
pub const DEBIANS_COMPILER: &str = "/usr/bin/rustc";
pub const LINKER: &str = "x86_64-w64-mingw32-gcc";
/// Makes import libraries.
pub const IMPORT_LIBRARY_TOOL: &str = "llvm-dlltool";

/// Name of the folder of Windows files, as .NET has it.
pub const RUNTIME_IDENTIFIER: &str = "win-x64";
/// The library's file name.
pub const LIBRARY: &str = "vms_telemetry.dll";

/// Whether this system can build for Windows and pack what it built.
pub fn can_build() -> bool {
    let sources = Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
        || std::fs::read_dir("/usr/src").is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("rustc"))
        });
    let linked = || starts(LINKER, "--version") && starts(IMPORT_LIBRARY_TOOL, "--help");
    cfg!(windows) || ((has_standard_library() || sources) && linked())
}

/// Whether this system can run Windows programs.
pub fn can_run() -> bool {
    let can_make = || starts("mmdebstrap", "--version") || starts("debootstrap", "--version");
    cfg!(windows) || (cfg!(target_os = "linux") && is_root() && (wine_root().is_dir() || can_make()))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

/// Whether `rustup target add` brought the standard library for Windows.
fn has_standard_library() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let found = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
        found.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    });
    *FOUND
}

/// The compiler for Windows.
pub fn compiler() -> &'static str {
    if has_standard_library() { "rustc" } else { DEBIANS_COMPILER }
}

/// Prepares cargo for Windows. Where it cross-builds, it does so in a target folder of its own, so that both systems' builds
/// may run at once.
pub fn windows_cargo(subcommand: &str) -> Outcome<Command> {
    let mut command = cargo();
    command.arg(subcommand);
    if !cfg!(windows) {
        command.args(["--target", TARGET]);
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
        command.env("CARGO_TARGET_DIR", cross_target());
        if !has_standard_library() {
            command.env("RUSTC", with_standard_library()?);
        }
    }
    Ok(command)
}

/// Builds the standard library from Debian's sources, once for all profiles and in the way in which the shipped library is
/// built, and gives a compiler that has it: a script, as cargo must not know the folder, which would be in its hashes.
#[cfg(unix)]
fn with_standard_library() -> Outcome<PathBuf> {
    use std::os::unix::fs::symlink;
    // One of two builds at once makes it, the other one waits.
    static MADE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _made = MADE.lock();
    let said = |arguments: &[&str]| -> Outcome<String> {
        Ok(String::from_utf8_lossy(&output(Command::new(DEBIANS_COMPILER).args(arguments))?).trim().to_owned())
    };
    let folder = cross_target().join("std");
    let (wrapper, stamp) = (folder.join("rustc"), folder.join("version"));
    let version = said(&["-vV"])?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == version) {
        return Ok(wrapper);
    }
    let failed = |error: std::io::Error| format!("{} cannot be made: {error}", folder.display());
    crate::tools::clear(&folder)?;
    crate::tools::write(&folder.join("Cargo.toml"), EMPTY_CRATE.as_bytes())?;
    crate::tools::write(&folder.join("src/lib.rs"), b"#![no_std]\n")?;
    let mut command = cargo();
    command.current_dir(&folder).args(["build", "--release", "--target", TARGET]);
    command.arg("-Zbuild-std=std,panic_unwind,test").env("RUSTC", DEBIANS_COMPILER).env("RUSTC_BOOTSTRAP", "1");
    // For link-time optimization and for none.
    reproducible(&mut command, &["-Cembed-bitcode=yes"])?.env("CARGO_TARGET_DIR", folder.join("target"));
    run(&mut command)?;
    let libraries = folder.join("lib/rustlib").join(TARGET).join("lib");
    for entry in fs::read_dir(folder.join("target").join(TARGET).join("release/deps")).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|kind| kind == "rlib") {
            crate::tools::copy(&file, &libraries.join(file.file_name().unwrap_or_default()))?;
        }
    }
    // Build scripts and macros run here.
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let of_host = Path::new(&said(&["--print", "sysroot"])?).join("lib/rustlib").join(host);
    symlink(of_host, folder.join("lib/rustlib").join(host)).map_err(failed)?;
    let script = format!("#!/bin/sh\nexec {DEBIANS_COMPILER} --sysroot \"${{0%/*}}\" \"$@\"\n");
    crate::tools::write_program(&wrapper, &script)?;
    crate::tools::write(&stamp, version.as_bytes())?;
    Ok(wrapper)
}

/// A Windows without a standard library does not build this repository.
#[cfg(windows)]
fn with_standard_library() -> Outcome<PathBuf> {
    Ok(compiler().into())
}

/// What the standard library is built for: a crate of nothing, with the release profile of the root's `Cargo.toml`.
#[cfg(unix)]
const EMPTY_CRATE: &str = "\
[workspace]
[package]
name = \"empty\"
edition = \"2024\"
[profile.release]
opt-level = \"z\"
codegen-units = 1
strip = true
";

/// Where all that is cross-built lies.
fn cross_target() -> PathBuf {
    crate::cargo::target().join("windows")
}

/// Where cargo leaves the files for Windows, by profile.
pub fn target() -> PathBuf {
    if cfg!(windows) { crate::cargo::target() } else { cross_target().join(TARGET) }
}

/// Builds the DLL and gives its path.
pub fn library() -> Outcome<PathBuf> {
    let mut command = windows_cargo("rustc")?;
    #[cfg(unix)]
    gather_imports(&mut command)?;
    shipped(&mut command)?;
    #[cfg(unix)]
    if !has_standard_library() {
        check_imports()?;
    }
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

/// What comes with the compiler itself has no imports; all else must come from below the target folder.
#[cfg(unix)]
fn check_imports() -> Outcome<()> {
    let map = cross_target().join("libraries.map");
    let map = fs::read_to_string(&map).map_err(|error| format!("{}: {error}", map.display()))?;
    let files = map.lines().filter_map(|line| line.strip_prefix("LOAD ")).map(Path::new);
    let linked: Vec<&Path> = files.filter(|file| file.has_root()).collect();
    let is_known = |file: &Path| file.starts_with(crate::cargo::target()) || file.starts_with("/usr/lib/gcc");
    match linked.iter().find(|file| !is_known(file)) {
        Some(file) => Err(format!("two builds of the DLL would differ: {} is linked from there", file.display())),
        None if linked.iter().any(|file| file.ends_with("libkernel32.a")) => Ok(()),
        None => Err("the linker's map names no import library".to_owned()),
    }
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
run=(/usr/lib/wine/wine64 \"$@\")
if [ \"$TERMINAL\" ]; then variables+=(TERM=xterm); run=(script --quiet --return --command \"${run[*]@Q}\" /dev/null); fi
exec timeout --kill-after=10 900 chroot \"$SANDBOX/root\" /usr/bin/env -i -C \"$PWD\" HOME=/root PATH=/usr/lib/wine:/usr/bin:/bin WINEDEBUG=-all \
LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp \"${variables[@]}\" \"${run[@]}\"";

/// Gives a program a terminal under Wine. Without one pwsh.exe ends at once, prints nothing and reports success; it does so as
/// well where another program starts it. With a terminal above both, such a child works with pipes.
pub fn on_terminal(command: &mut Command) -> &mut Command {
    command.env("TERMINAL", "1")
}

/// A path as Windows programs see it: Wine has the root folder as drive Z.
pub fn path(path: &Path) -> String {
    if cfg!(windows) { path.display().to_string() } else { format!("Z:{}", path.display()).replace('/', "\\") }
}
