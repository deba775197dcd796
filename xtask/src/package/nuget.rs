//! NuGet packages, written here: `dotnet pack` gives one of their parts a random name.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::archive::Files;

/// What a package says of itself.
pub struct About<'a> {
    pub id: &'a str,
    pub version: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    pub home: &'a str,
    pub release_notes: &'a str,
    pub tags: Vec<String>,
    /// Further lines: what only one of the packages has.
    pub more: &'a str,
}

/// Adds to the files what makes them a package.
pub fn package(about: &About, mut files: Files) -> Files {
    let nuspec = nuspec(about).into_bytes();
    let properties = format!(
        "{XML}<coreProperties xmlns=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n  <dc:creator>{AUTHORS}</dc:creator>\n  \
         <dc:identifier>{}</dc:identifier>\n</coreProperties>\n",
        about.id
    );
    let hash = hex(&Sha256::digest(&nuspec));
    let core = format!("package/services/metadata/core-properties/{}.psmdcp", &hash[..32]);
    let relations = format!(
        "{XML}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\n  \
         <Relationship Type=\"http://schemas.microsoft.com/packaging/2010/07/manifest\" Target=\"/{}.nuspec\" Id=\"R1\" />\n  \
         <Relationship Type=\"http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties\" \
         Target=\"/{core}\" Id=\"R2\" />\n</Relationships>\n",
        about.id
    );
    files.insert(format!("{}.nuspec", about.id), nuspec);
    files.insert(core, properties.into_bytes());
    files.insert("_rels/.rels".to_owned(), relations.into_bytes());
    let types = types(&files);
    files.insert("[Content_Types].xml".to_owned(), types.into_bytes());
    files
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
const AUTHORS: &str = "vms-telemetry contributors";

fn nuspec(about: &About) -> String {
    format!(
        "{XML}<package xmlns=\"http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd\">
  <metadata>
    <id>{}</id>
    <version>{}</version>
    <title>{}</title>
    <authors>{AUTHORS}</authors>
    <owners>{AUTHORS}</owners>
    <requireLicenseAcceptance>false</requireLicenseAcceptance>
    <license type=\"expression\">Apache-2.0</license>
    <licenseUrl>https://licenses.nuget.org/Apache-2.0</licenseUrl>
    <projectUrl>{}</projectUrl>
    <description>{}</description>
    <releaseNotes>{}</releaseNotes>
    <copyright>(c) {AUTHORS}. Apache-2.0.</copyright>
    <tags>{}</tags>
{}  </metadata>
</package>
",
        about.id,
        about.version,
        escape(about.title),
        escape(about.home),
        escape(about.description),
        escape(about.release_notes),
        about.tags.join(" "),
        about.more
    )
}

/// Each kind of file needs a type; nobody reads it.
fn types(files: &Files) -> String {
    let kinds: BTreeSet<&str> = files.keys().filter_map(|name| Some(name.rsplit_once('.')?.1)).collect();
    let mut types = format!("{XML}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\n");
    for kind in kinds {
        let sort = match kind {
            "rels" => "application/vnd.openxmlformats-package.relationships+xml",
            "psmdcp" => "application/vnd.openxmlformats-package.core-properties+xml",
            _ => "application/octet",
        };
        types += &format!("  <Default Extension=\"{kind}\" ContentType=\"{sort}\" />\n");
    }
    types + "</Types>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
