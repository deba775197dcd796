//! Tells the linker what each system's library needs, and Windows what its properties show.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
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
                // What was linked, for the test that looks where it came from.
                for argument in ["-Xlinker", &format!("-Map={folder}.map")] {
                    println!("cargo::rustc-cdylib-link-arg={argument}");
                }
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
