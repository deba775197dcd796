//! Generates the C header from `src/ffi.rs`, and names the library for the linker.

use std::path::Path;
use std::{env, fs};

/// The rules of the boundary: the head of the header.
const RULES: &str = "\
/* vms-telemetry: usage telemetry for programs that connect to a Milestone XProtect VMS.
 *
 * Generated from src/ffi.rs; do not edit.
 *
 * The rules, which hold for every function:
 * - It returns a status: VMS_OK, VMS_OFF (done as well, and nothing recorded) or VMS_ERROR_*. Numbers are never reused.
 * - It may be called from any thread, at any time, any number of times. Nothing makes it crash or wait for the network.
 * - On an error nothing was done and no output was written (get_text and last_error write the length that they need).
 *   last_error then has the message, for the thread that made the call. No message holds a value of the caller's.
 * - A record begins with its size in bytes, which the caller sets (`info.size = sizeof info`), so that records can grow.
 *   Set the rest of it to zero first: zero means \"not given\" in every field, now and later.
 * - A text is UTF-8, ends with a NUL and has at most VMS_TEXT_LIMIT bytes.
 * - The caller owns every pointer. The library borrows it for the call, keeps none and hands out none, so there is
 *   nothing to free. A connection is a number, not a pointer: a wrong one is an error and no more.
 * - The library stays in the process once it is loaded; its thread never delays the end of the process.
 */";

fn main() {
    println!("cargo::rerun-if-changed=src/ffi.rs");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=include/vms_telemetry.h");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    write_header(Path::new(&root));
    // The C compiler's target, for the tests that build C programs.
    println!("cargo::rustc-env=VMS_TEST_TARGET={}", env::var("TARGET").expect("cargo sets it"));
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvms_telemetry.so");
        // dlclose must not take the code away under the background thread.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "windows") {
        describe();
        if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|abi| abi == "gnu") {
            // Two builds of one source are equal: no time of day in the file, and the system's import libraries from where
            // the build has them.
            println!("cargo::rustc-cdylib-link-arg=-Wl,--no-insert-timestamp");
            println!("cargo::rerun-if-env-changed=VMS_IMPORT_LIBRARIES");
            if let Ok(folder) = env::var("VMS_IMPORT_LIBRARIES") {
                println!("cargo::rustc-link-search=native={folder}");
            }
        } else {
            println!("cargo::rustc-cdylib-link-arg=/Brepro");
            println!("cargo::rustc-cdylib-link-arg=/guard:cf");
        }
    }
}

/// Gives the Windows library what its properties show.
fn describe() {
    let mut resource = winresource::WindowsResource::new();
    resource
        .set("ProductName", "vms-telemetry")
        .set("FileDescription", "Usage telemetry for Milestone XProtect modules")
        .set("CompanyName", "vms-telemetry contributors")
        .set("LegalCopyright", "\u{a9} vms-telemetry contributors. Apache-2.0.")
        .set("OriginalFilename", "vms_telemetry.dll")
        .set("InternalName", "vms_telemetry")
        .set_version_info(winresource::VersionInfo::FILETYPE, 2);
    resource.compile().expect("a resource compiler is there: windres, or rc.exe on Windows");
}

fn write_header(root: &Path) {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(RULES.to_owned()),
        include_guard: Some("VMS_TELEMETRY_H".to_owned()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::C99,
        style: cbindgen::Style::Both,
        ..cbindgen::Config::default()
    };
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/ffi.rs"))
        .generate()
        .expect("src/ffi.rs is readable for cbindgen")
        .write(&mut header);
    let path = root.join("include/vms_telemetry.h");
    if fs::read(&path).ok().as_deref() != Some(&header) {
        fs::create_dir_all(root.join("include")).expect("include/ can be created");
        fs::write(&path, header).expect("include/vms_telemetry.h can be written");
    }
}
