//! What the tests share: envelopes and requests with them.

use std::io::Write;
use std::time::Duration;

use chrono::Utc;
use flate2::{Compression, write::GzEncoder};
pub use loopback::client::{Client, post};

/// Longer than anything on loopback takes; a test that waits this long fails.
pub const SOON: Duration = Duration::from_secs(30);
pub const JSON: &str = "Content-Type: application/json\r\n";
pub const STREAM: &str = "Content-Type: application/x-json-stream\r\n";

pub const KEY: &str = "11111111-2222-4333-8444-555555555555";
pub const OTHER_KEY: &str = "aaaaaaaa-2222-4333-8444-555555555555";

/// Returns an envelope of now with one property and one measurement.
pub fn envelope(ikey: &str, event: &str) -> String {
    let time = Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ");
    format!(
        r#"{{"name":"AppEvents","time":"{time}","iKey":"{ikey}","tags":{{"ai.cloud.role":"na"}},"data":{{"baseType":"EventData","baseData":{{"ver":2,"name":"{event}","properties":{{"Edition":"Corporate"}},"measurements":{{"ElapsedMs":153.25}}}}}}}}"#
    )
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Returns the bytes of a request with an event of each name.
pub fn track(ikey: &str, events: &[&str]) -> Vec<u8> {
    let lines: Vec<String> = events.iter().map(|event| envelope(ikey, event)).collect();
    post("/v2.1/track", STREAM, lines.join("\n"))
}
