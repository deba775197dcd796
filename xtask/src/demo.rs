//! `cargo xtask demo`: a real PowerShell imports the module, connects to a demo VMS and disconnects; a local collector shows
//! what arrived beside what the documentation promises and what the VMS has.

use std::process::Command;
use std::time::Duration;

use comfy_table::Table;
use serde_json::{Map, Value, json};
use vms_collector::{Collector, Received};
use vms_demo::{Config, DemoVms, Disabled, Site, User};

use crate::build::{self, Built};
use crate::fields::{self, Event, Field};
use crate::stages::{stage, table};
use crate::tools::{self, Outcome, isolate};

/// Any key: the collector takes all.
const KEY: &str = "11111111-2222-4333-8444-555555555555";
/// How long the events may take once PowerShell is gone: they arrive within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the script does. It waits until the VMS is counted and until all is sent, so that there is something to be seen; a
/// script that ends earlier would leave its events for the next one.
const SCRIPT: &str = "\
Import-Module '{module}'
$reader = [pscredential]::new('reader', [Net.NetworkCredential]::new('', '{password}').SecurePassword)
$connection = Connect-Vms {address} -BasicUser -Credential $reader
$connection | Out-Host
for ($i = 0; $i -lt 400 -and $connection.IsCounting; $i++) { [Threading.Thread]::Sleep(50) }
Disconnect-Vms
for ($i = 0; $i -lt 400 -and (Get-VmsModuleConfig).PendingEvents -gt 0; $i++) { [Threading.Thread]::Sleep(50) }
";
/// The password of the demo's user.
const PASSWORD: &str = "not-a-secret";

/// Builds everything and runs the demonstration.
pub fn run() -> Outcome<()> {
    println!("This takes two or three minutes the first time, and some seconds later on.");
    let built = stage("build", || build::all(false, build::SHIPPED))?;
    show(&built)
}

/// Runs the demonstration; an error where what arrived is not what is promised.
pub fn show(built: &Built) -> Outcome<()> {
    let collector =
        Collector::start().map_err(|error| format!("the collector cannot listen on this computer: {error}"))?;
    println!("collector: {}", collector.connection_string(KEY));
    let vms = vms()?;
    println!("VMS:       {}", vms.url());
    let home = tempfile::tempdir().map_err(|error| format!("no temporary folder is to be had: {error}"))?;
    let script = SCRIPT.replace("{module}", &built.module.display().to_string());
    let mut shell = powershell(&script.replace("{address}", &vms.url()).replace("{password}", PASSWORD));
    isolate(&mut shell, home.path());
    shell.env("VMS_ApplicationInsights__ConnectionString", collector.connection_string(KEY));
    println!("{}", String::from_utf8_lossy(&tools::output(&mut shell)?));
    let received = collector.wait_for(Some(KEY), 3, PATIENCE);
    let promises = fields::list()?.events;
    let mut troubles = Vec::new();
    if received.len() != promises.len() {
        troubles.push(format!("{} events are promised, {} arrived", promises.len(), received.len()));
    }
    let counts = json!(vms.counts());
    for item in &received {
        compare(item, &promises, &counts, &mut troubles);
    }
    if troubles.is_empty() {
        println!("\nAll that arrived is what docs/telemetry-fields.md promises, and each count is the VMS's own.");
        Ok(())
    } else {
        Err(troubles.join("\n"))
    }
}

/// Starts a VMS of middle size: more than a page of cameras, and some of it disabled.
fn vms() -> Outcome<DemoVms> {
    let site = Site {
        child_sites: 2,
        recording_servers: 4,
        hardware: 300,
        disabled: Disabled { hardware: 5, devices: 10, ..Disabled::default() },
        ..Site::default()
    };
    let config = Config { site, users: vec![User::basic("reader", PASSWORD)], ..Config::default() };
    DemoVms::start(config).map_err(|error| format!("the demo VMS cannot listen on this computer: {error}"))
}

/// Prepares a PowerShell that runs a script; where none is to be had, the host program on its engine.
fn powershell(script: &str) -> Command {
    let program = build::powershell().unwrap_or_else(|_| build::program("VmsHost"));
    println!("shell:     {}", program.display());
    let mut shell = Command::new(program);
    shell.args(["-NoProfile", "-NonInteractive", "-Command", script]);
    shell
}

/// Prints an event beside its promise and what the VMS itself counts, and notes where they differ.
fn compare(item: &Received, promises: &[Event], counts: &Value, troubles: &mut Vec<String>) {
    let data = &item.envelope["data"]["baseData"];
    let event = data["name"].as_str().unwrap_or_default();
    println!("\n{event}  ({})\n", item.envelope["time"].as_str().unwrap_or_default());
    let mut shown = table(&["field", "value", "the VMS itself", "what it says"]);
    if !item.accepted() {
        troubles.push(format!("{event}: the collector refused it: {}", item.refusal.as_deref().unwrap_or_default()));
    }
    let Some(promise) = promises.iter().find(|promise| promise.name == event) else {
        troubles.push(format!("{event}: nobody promised it"));
        return;
    };
    let none = Map::new();
    let part = |name: &str| data[name].as_object().unwrap_or(&none);
    for Field { name, is_measurement, meaning } in &promise.fields {
        let value = part(if *is_measurement { "measurements" } else { "properties" }).get(name);
        if let Some(value) = value {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let count = counts.get(name);
            shown.add_row([name, &text, &count.map(Value::to_string).unwrap_or_default(), meaning]);
            if count.is_some_and(|count| value != count) {
                troubles.push(format!("{event}: {name} is not what the VMS has"));
            }
        } else {
            troubles.push(format!("{event}: {name} is promised and did not arrive"));
        }
    }
    for (part, are_measurements) in [(part("properties"), false), (part("measurements"), true)] {
        for (name, value) in part {
            let right_type = if are_measurements { value.is_number() } else { value.is_string() };
            let mut promised = promise.fields.iter().map(|field| (&field.name, field.is_measurement));
            if !right_type || !promised.any(|field| field == (name, are_measurements)) {
                troubles.push(format!("{event}: {name} is not promised"));
            }
        }
    }
    tags(&item.envelope["tags"], event, &mut shown, troubles);
    println!("{shown}");
}

/// Shows the tags, and checks those that must not tell anything.
fn tags(tags: &Value, event: &str, shown: &mut Table, troubles: &mut Vec<String>) {
    for (name, value) in tags.as_object().into_iter().flatten() {
        shown.add_row([name, value.as_str().unwrap_or_default()]);
    }
    for silent in ["ai.cloud.role", "ai.cloud.roleInstance", "ai.user.authUserId", "ai.internal.nodeName"] {
        if tags[silent] != "na" {
            troubles.push(format!("{event}: the tag {silent} must be \"na\""));
        }
    }
}
