//! Items as the configuration API shows them. All names and addresses are invented.

use serde_json::{Value, json};

use crate::model::config::Config;
use crate::model::kind::Kind;

const CHANGED: &str = "2026-02-03T04:05:06.0000000Z";
const NEVER: &str = "0001-01-01T00:00:00.0000000";

/// Returns an item of the generated site as JSON. It is put together as text: thousands of them are asked for at once.
pub(crate) fn item(config: &Config, kind: Kind, number: u32) -> String {
    let site = &config.site;
    let name = match kind {
        Kind::Site => json!(site.name).to_string(),
        _ => format!(r#""{} {}""#, kind.title(), number.saturating_add(1)),
    };
    let id = match kind {
        Kind::Site => json!(site.id(kind, number)).to_string(),
        _ => format!(r#""{}""#, site.id(kind, number)),
    };
    let head = match kind {
        Kind::Site => format!(r#""displayName":{name},"id":{id},"name":{name}"#),
        // Neither a name of its own nor a flag.
        Kind::ChildSite => format!(r#""displayName":{name},"id":{id}"#),
        _ => {
            let enabled = site.enabled(kind, number);
            format!(r#""displayName":{name},"enabled":{enabled},"id":{id},"name":{name}"#)
        }
    };
    // Neither level of sites names its parent.
    let parent = match site.parent(kind, number).filter(|_| kind != Kind::ChildSite) {
        Some((parent, number)) => {
            let id = json!(site.id(parent, number));
            format!(r#""parent":{{"type":"{}","id":{id}}},"#, parent.resource())
        }
        None => String::new(),
    };
    let (body, resource) = (members(config, kind, number, &name), kind.resource());
    let text = format!(
        r#"{{{head},"description":"","lastModified":"{CHANGED}",{body},"relations":{{{parent}"self":{{"type":"{resource}","id":{id}}}}}}}"#
    );
    if !config.quirks.numbers_as_strings && !config.quirks.booleans_as_strings {
        return text;
    }
    let mut item = value(&text);
    loosen(config, &mut item);
    item.to_string()
}

/// Reads an item back.
pub(crate) fn value(item: &str) -> Value {
    serde_json::from_str(item).unwrap_or_default()
}

/// Returns the members that a kind has for itself.
fn members(config: &Config, kind: Kind, number: u32, name: &str) -> String {
    let site = &config.site;
    let version = || json!(site.version);
    let device = || {
        let channel = site.channel(kind, number);
        format!(r#""channel":{channel},"createdDate":"{NEVER}","gisPoint":"POINT EMPTY","shortName":"","icon":0"#)
    };
    let storage = || format!(r#""recordingStorage":{{"type":"storages","id":"{}"}}"#, other_id(config, 22));
    const PREBUFFER: &str =
        r#""recordingEnabled":true,"prebufferEnabled":true,"prebufferInMemory":true,"prebufferSeconds":3"#;
    match kind {
        Kind::Site => format!(
            r#""timeZone":"Romance Standard Time","computerName":{name},"domainName":"","lastStatusHandshake":"{CHANGED}","physicalMemory":0,"platform":"[Not Available]","processors":0,"serviceAccount":"S-1-5-20","synchronizationStatus":0,"masterSiteAddress":"","version":{}"#,
            version()
        ),
        Kind::ChildSite => format!(
            r#""connectionState":"Attached","version":{},"serviceAccount":"S-1-5-20","synchronizationStatus":201"#,
            version()
        ),
        Kind::RecordingServer => format!(
            r#""hostName":"rec-{number}","portNumber":7563,"webServerUri":"http://rec-{number}.example.test:7563/","activeWebServerUri":"","publicAccessEnabled":false,"timeZoneName":"","multicastServerAddress":"0.0.0.0","shutdownOnStorageFailure":false,"synchronizationTime":-1"#
        ),
        Kind::Hardware => format!(
            r#""address":"{}","userName":"demo","model":"StableFPS","passwordLastModified":"{NEVER}","hardwareDriverPath":{{"type":"hardwareDrivers","id":"{}"}}"#,
            address(number),
            other_id(config, 21)
        ),
        Kind::Camera => format!(
            r#"{},"coverageDirection":0,"coverageDepth":4.57,"coverageFieldOfView":0,{PREBUFFER},"edgeStorageEnabled":false,"edgeStoragePlaybackEnabled":false,"manualRecordingTimeoutEnabled":true,"manualRecordingTimeoutMinutes":5,"recordingFramerate":5,"recordKeyframesOnly":false,"recordOnRelatedDevices":true,"ptzEnabled":false,"failoverSetting":"FullSupport",{}"#,
            device(),
            storage()
        ),
        Kind::Microphone | Kind::Speaker | Kind::Metadata => format!("{},{PREBUFFER},{}", device(), storage()),
        Kind::InputEvent | Kind::Output => device(),
    }
}

/// Returns the only element of `licenseInformations`.
pub(crate) fn license(config: &Config) -> Value {
    let id = config.site.id(Kind::Site, 0);
    json!({
        "displayName": config.site.product, "slc": "M01-DEMO-0000-0000", "sku": "DEMO", "careLevel": "Basic",
        "careId": "", "activationAutomatic": false,
        "relations": { "self": { "type": "licenseInformations", "id": id } },
    })
}

/// Returns the products of `licenseInstalledProducts`: an add-on, and the VMS itself, whose plug-in id is all zeros.
pub(crate) fn products(config: &Config) -> Vec<Value> {
    let product = |name: &str, plugin: String| {
        json!({
            "displayName": name, "productDisplayName": name, "pluginId": plugin, "slc": "M01-DEMO-0000-0000",
            "expirationDate": NEVER, "carePlus": "", "carePremium": "",
        })
    };
    let vms = product(&config.site.product, "00000000-0000-0000-0000-000000000000".to_owned());
    vec![product("Demo Add-on", other_id(config, 23)), vms]
}

/// Returns an id of something that is not generated.
pub(crate) fn other_id(config: &Config, number: u64) -> String {
    let hash = config.site.hash(Kind::Site, 0, number);
    format!("{:08x}-0000-4000-8000-{:012x}", hash >> 32, hash & 0xffff_ffff_ffff)
}

/// Writes numbers and booleans as strings where that is asked for.
pub(crate) fn loosen(config: &Config, value: &mut Value) {
    match value {
        Value::Number(number) if config.quirks.numbers_as_strings => *value = Value::String(number.to_string()),
        Value::Bool(flag) if config.quirks.booleans_as_strings => {
            *value = Value::String(if *flag { "True" } else { "False" }.to_owned());
        }
        Value::Object(members) => members.values_mut().for_each(|member| loosen(config, member)),
        _ => {}
    }
}

/// Returns an address in a range that documentation may use.
fn address(number: u32) -> String {
    let [.., second, third, last] = number.to_be_bytes();
    format!("http://198.{}.{third}.{last}/", if second & 1 == 0 { 18 } else { 19 })
}
