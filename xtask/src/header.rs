//! The C header, generated from `src/abi.rs` (numbers and structs) and `src/ffi.rs` (functions).

use crate::tools::{Outcome, root, write_if_changed};

/// The rules of the boundary: the head of the header.
const RULES: &str = "\
/* vms-telemetry: usage telemetry for programs that connect to a Milestone XProtect VMS.
 *
 * Generated from src/abi.rs and src/ffi.rs. Do not edit.
 *
 * The host program is the program that loads this library. These rules apply to every function:
 * - It returns a status. VMS_OK: done. VMS_OFF, VMS_UNSURE: done as well, and nothing was recorded. VMS_WARNING: done, and
 *   last_error has a warning. VMS_ERROR_* (10 and above): not done. Numbers are not reused.
 * - You can call it from any thread, any number of times. Do not call it from DllMain. Do not call it in a child process of
 *   fork that has not called exec: locks and threads are not valid there.
 * - It does not wait for the network, except the functions under \"Connection to a VMS\", which have a timeout, and on_disconnect
 *   of such a connection (at most 1 second). It does not wait for another process, except set_config (at most 2 seconds).
 * - If it returns an error, it did nothing and wrote no output. get_text and last_error still write the length that they need.
 *   last_error has the message, for the thread that made the call. No message contains a value that the caller passed.
 * - A struct begins with its size in bytes, which the caller sets (`info.size = sizeof info`), so that structs can grow.
 *   Set the rest of it to zero first. Zero means \"not given\" in every field, now and later.
 * - A string is UTF-8, ends with a NUL and has at most VMS_TEXT_LIMIT bytes.
 * - The caller owns every pointer. The library uses it during the call, keeps none and returns none, so there is nothing to
 *   free. A connection is a number, not a pointer. A wrong number is an error, nothing worse.
 * - The library stays in the process after it is loaded. Its thread does not delay the end of the process.
 */";

/// The parts of the header, each by the declaration that it begins with.
const PARTS: [(&str, &str); 11] = [
    ("#define VMS_OK ", "Statuses"),
    ("#define VMS_ERROR_UNREACHABLE ", "Statuses of find_vms and connect_vms: why there is no connection to the VMS"),
    ("#define VMS_UNSET ", "Values of members"),
    ("#define VMS_TEXT_LIBRARY_VERSION ", "Strings of get_text"),
    ("#define VMS_TEXT_LIMIT ", "Limits"),
    ("typedef struct VmsSessionInfo ", "Structs"),
    ("typedef struct VmsLogon ", "Structs for \"Connection to a VMS\""),
    (
        "int32_t init_session(",
        "Telemetry: call init_session first, then on_connect and on_disconnect for each connection",
    ),
    ("int32_t get_config(", "Reading state"),
    ("int32_t last_error(", "Errors"),
    (
        "int32_t reserve_connection(",
        "Connection to a VMS, if the library makes the logon. Call reserve_connection, then find_vms for a Windows user,\n * \
         connect_vms, and on_disconnect at the end. These functions work whether or not telemetry is on.",
    ),
];

/// Generates the header anew if it differs from the one that is there. Returns whether it did.
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
    let sources = cbindgen::Builder::new().with_config(config);
    let sources = sources.with_src(root().join("src/abi.rs")).with_src(root().join("src/ffi.rs"));
    let mut header = Vec::new();
    sources.generate().map_err(|error| format!("no header can be made: {error}"))?.write(&mut header);
    // What Rust calls safety is for C what the arguments have to be.
    let mut header = String::from_utf8_lossy(&header).replace("// # Safety\n// ", "// Arguments: ");
    for (declaration, title) in PARTS {
        let declared = header.find(&format!("\n{declaration}"));
        let comment = declared.and_then(|at| header.get(..at)?.rfind("\n\n"));
        let comment = comment.ok_or_else(|| format!("the header does not declare \"{declaration}\""))?;
        header.insert_str(comment + 1, &format!("\n/* {title} */\n"));
    }
    write_if_changed("include/vms_telemetry.h", header.as_bytes())
}
