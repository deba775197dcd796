//! The C development kit: a folder for any place, as `pkg-config` and CMake find it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::archive::{self, Files};
use super::{System, archive::file};
use crate::tools::{Outcome, root, run};
use crate::windows;

/// Puts the kit of a system together.
pub fn files(system: &System) -> Outcome<Files> {
    let mut files = Files::new();
    let sources = archive::read(&root().join("packaging/c"))?;
    for (name, content) in sources {
        let content = String::from_utf8_lossy(&content).replace("@VERSION@", super::version()).replace(
            "@LIBRARY@",
            if system.is_windows() { "bin/vms_telemetry.dll" } else { "lib/libvms_telemetry.so" },
        );
        let place = match name.as_str() {
            "vms-telemetry.pc" => "lib/pkgconfig/vms-telemetry.pc".to_owned(),
            name if name.ends_with(".cmake") => format!("lib/cmake/VmsTelemetry/{name}"),
            name => name.to_owned(),
        };
        files.insert(place, content.into_bytes());
    }
    let header = root().join("include/vms_telemetry.h");
    files.insert("include/vms_telemetry.h".to_owned(), file(&header)?);
    let library = file(&system.library)?;
    if system.is_windows() {
        files.insert("bin/vms_telemetry.dll".to_owned(), library);
        files.insert("lib/vms_telemetry.lib".to_owned(), import_library(system, &header)?);
    } else {
        let name = system.library.file_name().unwrap_or_default().to_string_lossy();
        files.insert(format!("lib/{name}"), library);
    }
    Ok(files)
}

/// Makes the import library: the short form that Microsoft's linker makes itself, and GNU's takes as well. GNU's own
/// `dlltool` makes another form, from which Microsoft's linker with /OPT:REF drops what it needs.
fn import_library(system: &System, header: &Path) -> Outcome<Vec<u8>> {
    if cfg!(windows) {
        return file(&system.library.with_extension("dll.lib"));
    }
    let text = String::from_utf8_lossy(&file(header)?).into_owned();
    let functions = text.lines().filter_map(|line| line.strip_prefix("int32_t ")?.split('(').next());
    let mut definition = format!("LIBRARY {}\nEXPORTS\n", windows::LIBRARY);
    functions.for_each(|name| definition += &format!("  {name}\n"));
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let (source, library) = (folder.path().join("vms_telemetry.def"), folder.path().join("vms_telemetry.lib"));
    fs::write(&source, definition).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut tool = Command::new(windows::IMPORT_LIBRARY_TOOL);
    run(tool.args(["--machine", "i386:x86-64", "--input-def"]).arg(&source).arg("--output-lib").arg(&library))?;
    file(&library)
}
