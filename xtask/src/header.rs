//! The C header, generated from `src/abi.rs` (numbers and structs) and `src/ffi.rs` (functions).

use crate::tools::{Outcome, root, write_if_changed};

/// The rules of the boundary: the head of the header.
const RULES: &str = include_str!("texts/header-rules.txt");

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
        header: Some(RULES.trim_end().to_owned()),
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
