//! What tests need beside Rust and the .NET SDK. In CI all of it is owed; elsewhere what needs it is left out, and said.

use std::path::Path;
use std::process::Command;

use crate::tools::{Outcome, starts};
use crate::windows;

/// Something that this computer may lack.
pub struct Need {
    name: &'static str,
    is_met: bool,
    /// What is left out without it.
    without: &'static str,
    /// How to get it.
    hint: &'static str,
}

/// For the Windows library.
pub fn windows_build() -> Need {
    Need {
        name: "a compiler for Windows",
        is_met: windows::can_build(),
        without: "the Windows library, its packages and tests",
        hint: "Debian: rustc-web rust-web-src gcc-mingw-w64-x86-64 llvm; others: rustup target add \
               x86_64-pc-windows-gnu, mingw64-gcc, llvm",
    }
}

/// For running Windows programs.
pub fn windows_run() -> Need {
    Need {
        name: "Wine",
        is_met: windows::can_run(),
        without: "the tests on Windows",
        hint: "root, and Debian: mmdebstrap; made once in the user's cache folder (1.4 GB)",
    }
}

/// All that tests need.
pub fn all() -> Vec<Need> {
    let mut all = vec![windows_build(), windows_run()];
    if cfg!(target_os = "linux") {
        let namespaces = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
        let namespaces = namespaces.is_ok_and(|output| output.status.success());
        let ntlm = Path::new("/etc/gss/mech.d").read_dir().is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().contains("ntlmssp")))
        });
        let of_linux = [
            ("CMake and pkg-config", has_c_tools(), "the tests of the C development kit", "cmake pkg-config"),
            ("strace", starts("strace", "-V"), "traces of files and connections", "strace"),
            ("chattr", starts("chattr", "-V"), "files that cannot be deleted", "e2fsprogs, and root"),
            ("namespaces", namespaces, "full disks", "util-linux, and the right to make user namespaces"),
            (
                "Mono",
                starts("mono", "--version"),
                "the library on .NET Framework",
                "Debian: mono-runtime \
              libmono-system4.0-cil; Fedora: mono-core",
            ),
            ("Chromium", browser().is_some(), "the report in a browser", "Debian: chromium-headless-shell or chromium"),
            ("NTLM", ntlm, "logon as a Windows user", "Debian: gss-ntlmssp; Fedora: gssntlmssp"),
        ];
        all.extend(of_linux.map(|(name, is_met, without, hint)| Need { name, is_met, without, hint }));
    }
    all
}

/// A browser that can be driven without a screen.
pub fn browser() -> Option<&'static str> {
    ["chromium-headless-shell", "chromium"].into_iter().find(|program| starts(program, "--version"))
}

/// Whether this computer has what C developers build with.
pub fn has_c_tools() -> bool {
    starts("cmake", "--version") && starts("pkg-config", "--version")
}

/// Says what is left out here; an error in CI.
pub fn check(needs: &[Need]) -> Outcome<()> {
    let missing: Vec<String> = needs
        .iter()
        .filter(|need| !need.is_met)
        .map(|need| format!("  {} is missing, so left out: {} ({})", need.name, need.without, need.hint))
        .collect();
    match (missing.is_empty(), std::env::var_os("CI")) {
        (true, _) => Ok(()),
        (false, None) => {
            println!("{}", missing.join("\n"));
            Ok(())
        }
        (false, Some(_)) => Err(format!("CI is set, and nothing may be left out:\n{}", missing.join("\n"))),
    }
}
