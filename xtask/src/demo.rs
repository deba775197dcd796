//! `cargo xtask demo`: a real PowerShell imports the module, connects and disconnects; a local collector shows what
//! arrived beside what the documentation promises.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};
use vms_collector::{Collector, Received};

use crate::build;
use crate::tools::{self, Outcome, isolate, root};

/// Any key: the collector takes all.
const KEY: &str = "11111111-2222-4333-8444-555555555555";
/// How long the events may take once PowerShell is gone: they arrive within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the script does. The connection's facts are made up. It stays until all is sent; a script that ends earlier
/// would leave its events for the next one.
const SCRIPT: &str = "\
Import-Module '{module}'
Connect-Vms -SiteId 'dddddddd-0000-4000-8000-00000000000d' -UserType WindowsUser -IsOAuthConnection \
-EncryptionEnabled -ProductName 'XProtect Corporate (demonstration)' -ProductVersion '26.2.1.1' \
-UsageDataPolicy On -ChildSites 2 -Recorders 4 -HardwareCount 120 -CameraCount 150 -MicrophoneCount 75 \
-SpeakerCount 8 -MetadataCount 30 -InputCount 16 -OutputCount 4 | Out-Null
Disconnect-Vms
for ($i = 0; $i -lt 400 -and (Get-VmsModuleConfig).PendingEvents -gt 0; $i++) { [Threading.Thread]::Sleep(50) }
";

/// Builds everything and runs the demonstration; an error where what arrived is not what is promised.
pub fn run() -> Outcome<()> {
    let built = build::all(false)?;
    let collector =
        Collector::start().map_err(|error| format!("the collector cannot listen on this computer: {error}"))?;
    println!("collector: {}", collector.connection_string(KEY));
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let mut shell = powershell(&SCRIPT.replace("{module}", &built.module.display().to_string()));
    isolate(&mut shell, home.path());
    shell.env("VMS_ApplicationInsights__ConnectionString", collector.connection_string(KEY));
    tools::run(&mut shell)?;
    let received = collector.wait_for(Some(KEY), 3, PATIENCE);
    let promises =
        promises(&std::fs::read_to_string(root().join("docs/telemetry-fields.md")).map_err(|error| error.to_string())?);
    let mut troubles = Vec::new();
    if received.len() != promises.len() {
        troubles.push(format!("{} events are promised, {} arrived", promises.len(), received.len()));
    }
    for item in &received {
        show(item, &promises, &mut troubles);
    }
    if troubles.is_empty() {
        println!("\nAll that arrived is what docs/telemetry-fields.md promises.");
        Ok(())
    } else {
        Err(troubles.join("\n"))
    }
}

/// Prepares a PowerShell that runs a script: `pwsh` where it is on the PATH, else the host program on its engine.
fn powershell(script: &str) -> Command {
    let has_pwsh = Command::new("pwsh")
        .args(["-NoProfile", "-Command", "exit 0"])
        .output()
        .is_ok_and(|output| output.status.success());
    let mut shell = if has_pwsh { Command::new("pwsh") } else { Command::new(build::program("VmsHost")) };
    println!("shell:     {}", Path::new(shell.get_program()).display());
    if has_pwsh {
        shell.args(["-NoProfile", "-NonInteractive"]);
    }
    shell.args(["-Command", script]);
    shell
}

/// A row of the documentation: event, field, sort and meaning.
struct Promise {
    event: String,
    fields: Vec<(String, String, String)>,
}

/// Reads the tables of the documentation.
fn promises(page: &str) -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    for line in page.lines() {
        if let Some(event) = line.strip_prefix("## ") {
            promises.push(Promise { event: event.trim_matches('`').to_owned(), fields: Vec::new() });
        } else if let (Some(row), Some(promise)) = (line.strip_prefix("| `"), promises.last_mut()) {
            let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            if let [name, sort, about] = cells.as_slice() {
                promise.fields.push((name.trim_matches('`').to_owned(), (*sort).to_owned(), (*about).to_owned()));
            }
        }
    }
    promises
}

/// Prints an event beside its promise, and notes where the two differ.
fn show(item: &Received, promises: &[Promise], troubles: &mut Vec<String>) {
    let data = &item.envelope["data"]["baseData"];
    let event = data["name"].as_str().unwrap_or_default();
    println!("\n{event}  ({})", item.envelope["time"].as_str().unwrap_or_default());
    if !item.accepted() {
        troubles.push(format!("{event}: the collector refused it: {}", item.refusal.as_deref().unwrap_or_default()));
    }
    let Some(promise) = promises.iter().find(|promise| promise.event == event) else {
        troubles.push(format!("{event}: nobody promised it"));
        return;
    };
    let none = Map::new();
    let part = |name: &str| data[name].as_object().unwrap_or(&none);
    for (name, sort, about) in &promise.fields {
        let value = part(if sort == "measurement" { "measurements" } else { "properties" }).get(name);
        if let Some(value) = value {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            println!("  {name:20} {text:50} {about}");
        } else if name != "OccurredAt" {
            troubles.push(format!("{event}: {name} is promised and did not arrive"));
        }
    }
    let arrived = [("property", part("properties")), ("measurement", part("measurements"))];
    for (sort, name, value) in
        arrived.into_iter().flat_map(|(sort, part)| part.iter().map(move |(name, value)| (sort, name, value)))
    {
        let right_type = if sort == "measurement" { value.is_number() } else { value.is_string() };
        if !right_type || !promise.fields.iter().any(|(field, promised, _)| field == name && promised == sort) {
            troubles.push(format!("{event}: the {sort} {name} is not promised"));
        }
    }
    tags(&item.envelope["tags"], event, troubles);
}

/// Prints the tags, and checks those that must not tell anything.
fn tags(tags: &Value, event: &str, troubles: &mut Vec<String>) {
    for (name, value) in tags.as_object().into_iter().flatten() {
        println!("  {name:20} {}", value.as_str().unwrap_or_default());
    }
    for silent in ["ai.cloud.role", "ai.cloud.roleInstance", "ai.user.authUserId", "ai.internal.nodeName"] {
        if tags[silent] != "na" {
            troubles.push(format!("{event}: the tag {silent} must be \"na\""));
        }
    }
}
