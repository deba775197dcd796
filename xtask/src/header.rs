//! The C header, generated from `src/ffi.rs`.

use std::fs;

use crate::tools::{Outcome, root};

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

/// Generates the header anew where it differs from the one that is there, and tells whether it did.
pub fn generate() -> Outcome<bool> {
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
    let (source, path) = (root().join("src/ffi.rs"), root().join("include/vms_telemetry.h"));
    let bindings = cbindgen::Builder::new().with_config(config).with_src(&source).generate();
    let mut header = Vec::new();
    bindings.map_err(|error| format!("no header can be made of {}: {error}", source.display()))?.write(&mut header);
    if fs::read(&path).ok().as_deref() == Some(&header) {
        return Ok(false);
    }
    fs::write(&path, header).map(|()| true).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
