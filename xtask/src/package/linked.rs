//! What is linked into the native library: the crates and the runtimes of the toolchain, their licences, and the list of
//! them all (SBOM). The managed part has no dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use super::{System, archive};
use crate::cargo::{self, metadata};
use crate::tools::{Outcome, files, output, root};
use crate::windows;

/// Where Debian keeps the notices of what its Windows linker adds.
const MINGW_NOTICES: &str = "/usr/share/doc/mingw-w64-x86-64-dev/copyright";

/// A part of the library that others wrote.
struct Part {
    name: String,
    version: String,
    licence: String,
    /// Where the sources are.
    sources: String,
    /// Its name for tools, as "pkg:cargo/ring@0.17.14".
    purl: String,
    /// SHA-256 of the package that was built.
    checksum: Option<String>,
    /// The texts of its licences.
    texts: Vec<String>,
    /// The systems whose library has it.
    systems: BTreeSet<String>,
    /// The parts that it needs.
    needs: BTreeSet<String>,
}

/// All parts, by name and version.
pub struct Linked(BTreeMap<String, Part>);

impl Linked {
    /// Asks cargo and the toolchain; an error where a part comes without the text of its licence.
    pub fn read(systems: &[System]) -> Outcome<Self> {
        let metadata = metadata()?;
        let checksums = checksums()?;
        let mut parts = BTreeMap::new();
        for system in systems {
            let mut path: Vec<String> = Vec::new();
            for (depth, name, version) in cargo::linked(&system.target)? {
                let id = format!("{name} {version}");
                path.truncate(depth);
                if let Some(parent) = path.last().and_then(|parent| parts.get_mut(parent)) {
                    let parent: &mut Part = parent;
                    parent.needs.insert(id.clone());
                }
                path.push(id.clone());
                if !parts.contains_key(&id) {
                    parts.insert(id.clone(), package(&metadata, &name, &version, &checksums)?);
                }
                if let Some(part) = parts.get_mut(&id) {
                    part.systems.insert(system.rid.clone());
                }
            }
            for part in runtimes(system)? {
                let id = format!("{} {}", part.name, part.version);
                parts.entry(id).or_insert(part).systems.insert(system.rid.clone());
            }
        }
        Ok(Self(parts))
    }

    /// The list of parts for some systems, as CycloneDX.
    pub fn sbom(&self, systems: &[&System]) -> Vec<u8> {
        let chosen: BTreeMap<&String, &Part> = self.of(systems).collect();
        let own = |part: &Part| part.purl.is_empty();
        let reference = |part: &Part| if own(part) { part.name.clone() } else { part.purl.clone() };
        let mut components = Vec::new();
        let mut dependencies = Vec::new();
        for part in chosen.values() {
            let needs: Vec<String> =
                part.needs.iter().filter_map(|id| chosen.get(id)).map(|part| reference(part)).collect();
            let runtimes = chosen.values().filter(|other| own(part) && other.purl.starts_with("pkg:generic/"));
            let needs: Vec<String> = needs.into_iter().chain(runtimes.map(|part| reference(part))).collect();
            dependencies.push(json!({ "ref": reference(part), "dependsOn": needs }));
            if !own(part) {
                components.push(component(part));
            }
        }
        let library = json!({
            "type": "library",
            "bom-ref": "vms-telemetry",
            "name": "vms-telemetry",
            "version": super::version(),
            "licenses": [{ "expression": "Apache-2.0" }],
        });
        let bom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": library },
            "components": components,
            "dependencies": dependencies,
        });
        let mut text = serde_json::to_vec_pretty(&bom).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The texts of all licences for some systems, each once.
    pub fn licences(&self, systems: &[&System]) -> Vec<u8> {
        let mut page = HEAD.to_owned();
        // Texts that differ in their line ends and indentation only are one.
        let mut texts: BTreeMap<String, (Vec<String>, &str)> = BTreeMap::new();
        for part in self.of(systems).map(|(_, part)| part).filter(|part| !part.purl.is_empty()) {
            let id = format!("{} {}", part.name, part.version);
            page += &format!("  {id}: {} ({})\n", part.licence, part.sources);
            for text in &part.texts {
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                texts.entry(words).or_insert_with(|| (Vec::new(), text)).0.push(id.clone());
            }
        }
        let mut texts: Vec<(Vec<String>, &str)> = texts.into_values().collect();
        texts.sort();
        for (parts, text) in texts {
            page += &format!("\n{}\n{}\n{}\n\n{text}\n", "=".repeat(80), parts.join(", "), "=".repeat(80));
        }
        page.into_bytes()
    }

    fn of<'a>(&'a self, systems: &'a [&System]) -> impl Iterator<Item = (&'a String, &'a Part)> {
        self.0.iter().filter(|(_, part)| systems.iter().any(|system| part.systems.contains(&system.rid)))
    }
}

const HEAD: &str = "\
The native library of vms-telemetry contains these works of others, each under its own licence; the texts follow. The
managed part contains none.

";

fn component(part: &Part) -> Value {
    let systems: Vec<Value> =
        part.systems.iter().map(|rid| json!({ "name": "vms-telemetry:system", "value": rid })).collect();
    let mut component = json!({
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "licenses": [{ "expression": part.licence }],
        "externalReferences": [{ "type": "distribution", "url": part.sources }],
        "properties": systems,
    });
    if let Some(checksum) = &part.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// SHA-256 of each package, by name and version, as Cargo.lock has it.
fn checksums() -> Outcome<BTreeMap<String, String>> {
    let lock = String::from_utf8_lossy(&archive::file(&root().join("Cargo.lock"))?).into_owned();
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
        line.map(|value| value.trim_end_matches('"').to_owned())
    };
    let entry =
        |block| Some((format!("{} {}", field(block, "name")?, field(block, "version")?), field(block, "checksum")?));
    Ok(lock.split("[[package]]").filter_map(entry).collect())
}

fn package(metadata: &Metadata, name: &str, version: &str, checksums: &BTreeMap<String, String>) -> Outcome<Part> {
    let this = |package: &&Package| *package.name == name && package.version.to_string() == version;
    let package = metadata.packages.iter().find(this).ok_or_else(|| format!("cargo does not know {name} {version}"))?;
    let is_own = package.source.is_none();
    let mut texts = if is_own { Vec::new() } else { texts_of(package)? };
    if texts.is_empty() && !is_own {
        // A part of a larger work that has the text: it comes from the same repository.
        for sibling in metadata.packages.iter().filter(|other| other.repository == package.repository) {
            texts.append(&mut texts_of(sibling)?);
        }
        if texts.is_empty() || package.repository.is_none() {
            return Err(format!("{name} {version} comes without the text of its licence"));
        }
    }
    texts.sort();
    texts.dedup();
    Ok(Part {
        name: name.to_owned(),
        version: version.to_owned(),
        // An old way of writing it.
        licence: package.license.as_deref().unwrap_or_default().replace('/', " OR "),
        sources: format!("https://crates.io/crates/{name}/{version}"),
        purl: if is_own { String::new() } else { format!("pkg:cargo/{name}@{version}") },
        checksum: checksums.get(&format!("{name} {version}")).cloned(),
        texts,
        systems: BTreeSet::new(),
        needs: BTreeSet::new(),
    })
}

/// The texts of a package's licences; what it contains of others has its own, in folders below.
fn texts_of(package: &Package) -> Outcome<Vec<String>> {
    const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
    const NO_TEXTS: [&str; 6] = ["rs", "toml", "json", "html", "yml", "sh"];
    let folder = package.manifest_path.parent().unwrap_or(&package.manifest_path).as_std_path();
    let is_licence = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        let is_text = !path.extension().is_some_and(|kind| NO_TEXTS.contains(&kind.to_string_lossy().as_ref()));
        is_text && NAMES.iter().any(|known| name.starts_with(known))
    };
    files(folder)?.iter().filter(is_licence).map(|path| text(&folder.join(path))).collect()
}

fn text(path: &Path) -> Outcome<String> {
    let content = String::from_utf8_lossy(&archive::file(path)?).replace("\r\n", "\n");
    Ok(content.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned())
}

/// What the toolchain adds: the standard library, and for Windows, where GNU's linker is used, the start of a program.
fn runtimes(system: &System) -> Outcome<Vec<Part>> {
    let part = |name: &str, version: String, licence: &str, sources: &str, texts| Part {
        purl: format!("pkg:generic/{name}@{version}"),
        name: name.to_owned(),
        version,
        licence: licence.to_owned(),
        sources: sources.to_owned(),
        checksum: None,
        texts,
        systems: BTreeSet::new(),
        needs: BTreeSet::new(),
    };
    let is_cross_built = system.rid == windows::RUNTIME_IDENTIFIER && !cfg!(windows);
    let compiler = if is_cross_built { windows::compiler() } else { "rustc" };
    let version = said(Command::new(compiler).arg("--version"))?;
    let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let licences =
        PathBuf::from(said(Command::new("rustc").args(["--print", "sysroot"]))?).join("share/doc/rust/licenses");
    // The toolchain's text of the MIT licence is a form without the names of its holders: we take the other one.
    let texts = ["Apache-2.0", "Unicode-3.0"].map(|name| text(&licences.join(format!("{name}.txt"))));
    let texts = texts.into_iter().collect::<Outcome<Vec<_>>>()?;
    let std_licence = "(MIT OR Apache-2.0) AND Unicode-3.0";
    let mut parts = vec![part("rust-std", version, std_licence, "https://github.com/rust-lang/rust", texts)];
    if is_cross_built {
        let macros =
            said(Command::new(windows::LINKER).args(["-include", "_mingw.h", "-dM", "-E", "-x", "c", "/dev/null"]))?;
        let number = |name: &str| {
            let line = macros.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
            line.unwrap_or_default().trim().to_owned()
        };
        let version = format!("{}.{}", number("__MINGW64_VERSION_MAJOR"), number("__MINGW64_VERSION_MINOR"));
        let notices = vec![text(Path::new(MINGW_NOTICES))?];
        parts.push(part("mingw-w64-runtime", version, "ZPL-2.1", "https://www.mingw-w64.org", notices));
        let version = said(Command::new(windows::LINKER).arg("-dumpfullversion"))?;
        let licence = "GPL-3.0-or-later WITH GCC-exception-3.1";
        let texts = ["GPL-3.0-or-later", "GCC-exception-3.1"].map(|name| text(&licences.join(format!("{name}.txt"))));
        let texts = texts.into_iter().collect::<Outcome<Vec<_>>>()?;
        parts.push(part("libgcc", version, licence, "https://gcc.gnu.org", texts));
    }
    Ok(parts)
}

fn said(command: &mut Command) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&output(command)?).trim().to_owned())
}
