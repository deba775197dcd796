//! Archives that are the same each time: files in the order of their names, one date, no owner.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::tools::Outcome;

/// The files of a package by their names in it, with slashes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The first moment that a zip file can name, 1980-01-01, in seconds since 1970.
const FIRST_DAY: u64 = 315_532_800;
const MODE: u32 = 0o644;

/// Packs files as zip.
pub fn zip(files: &Files) -> Outcome<Vec<u8>> {
    let words = |error: &dyn std::fmt::Display| format!("a zip file cannot be written: {error}");
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(MODE);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(name, options).map_err(|error| words(&error))?;
        zip.write_all(content).map_err(|error| words(&error))?;
    }
    Ok(zip.finish().map_err(|error| words(&error))?.into_inner())
}

/// Packs files as tar, gzipped, in a folder.
pub fn tar_gz(folder: &str, files: &Files) -> Outcome<Vec<u8>> {
    let words = |error| format!("a tar file cannot be written: {error}");
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(FIRST_DAY);
        tar.append_data(&mut header, format!("{folder}/{name}"), content.as_slice()).map_err(words)?;
    }
    tar.into_inner().and_then(GzEncoder::finish).map_err(words)
}

/// Puts all names below a folder.
pub fn below(folder: &str, files: &Files) -> Files {
    files.iter().map(|(name, content)| (format!("{folder}/{name}"), content.clone())).collect()
}

/// Writes files below a folder.
pub fn write(folder: &Path, files: &Files) -> Outcome<()> {
    files.iter().try_for_each(|(name, content)| crate::tools::write(&folder.join(name), content))
}

/// Reads all files below a folder.
pub fn read(folder: &Path) -> Outcome<Files> {
    let name = |path: &Path| path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    crate::tools::files(folder)?.iter().map(|path| Ok((name(path), file(&folder.join(path))?))).collect()
}

/// Reads a file.
pub fn file(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}
