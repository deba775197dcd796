//! What must never leave the process nor be written by it (E5): planted wherever a program could come by it, and looked
//! for in every byte.

use crate::common::child::{self, Host};
use crate::common::net::proxy;
use crate::common::{Home, arrived, key};
use serde_json::Value;
use vms_collector::{Collector, closed_port};

const HOST_NAME: &str = "PLANTED-HOST-7Q";
const USER_NAME: &str = "planted.user.7q";
const DOMAIN: &str = "PLANTEDDOMAIN7Q";
const PASSWORD: &str = "planted-Passw0rd-7q";
const TOKEN: &str = "eyJwbGFudGVkIjoiN3EifQ";
const SERVER: &str = "planted-server-7q.example";
const PROXY: &str = "planted-proxy-7q.example";
const FOLDER: &str = "planted-folder-7q";
const SITE: &str = "5EC2E751-7E00-4A11-8B22-0123456789AB";

const PLANTED: [&str; 9] = [HOST_NAME, USER_NAME, DOMAIN, PASSWORD, TOKEN, SERVER, PROXY, FOLDER, SITE];

/// The environment of a host in a company's network.
fn environment() -> Vec<(&'static str, String)> {
    let proxy = format!("http://{USER_NAME}:{PASSWORD}@{PROXY}:3128");
    let text = str::to_owned;
    vec![
        ("COMPUTERNAME", text(HOST_NAME)),
        ("HOSTNAME", text(HOST_NAME)),
        ("USER", text(USER_NAME)),
        ("LOGNAME", text(USER_NAME)),
        ("USERNAME", text(USER_NAME)),
        ("USERDOMAIN", text(DOMAIN)),
        ("USERDNSDOMAIN", text(DOMAIN)),
        ("LOGONSERVER", format!(r"\\{HOST_NAME}")),
        ("VMS_PASSWORD", text(PASSWORD)),
        ("VMS_ManagementServer__Address", format!("https://{SERVER}/")),
        ("VMS_ManagementServer__Token", text(TOKEN)),
        ("PSModulePath", format!("/{FOLDER}")),
        ("https_proxy", proxy.clone()),
        ("ALL_PROXY", proxy),
    ]
}

/// Lives a session through, with everything that can be said about a connection.
fn live(home: &Home, destination: &str, proxy: Option<&str>) -> Vec<String> {
    let environment = environment();
    let variables: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut host = Host::start(&mut child::command(home, destination, &variables));
    assert_eq!(host.ask(if proxy.is_some() { "init awaiting" } else { "init" }), "0");
    assert_eq!(host.ask("log true"), "0");
    for site in [SITE.to_owned(), SITE.to_lowercase(), format!("{{{SITE}}}"), format!(" {} ", SITE.replace('-', ""))] {
        assert_eq!(host.ask(&format!("connect-site {site}")), "0");
        assert_eq!(host.ask("disconnect"), "0");
    }
    // No id at all: what a confused host hands over is not repeated anywhere, nor in the message.
    for confused in [SERVER, PASSWORD, "..\\..\\planted-folder-7q"] {
        assert_eq!(host.ask(&format!("connect-site {confused}")), "10 site_id: it is not a GUID");
    }
    proxy.into_iter().for_each(|proxy| assert_eq!(host.ask(&format!("proxy {proxy}")), "0"));
    host.ask("settle");
    let said = [2, 3, 8, 9].map(|which| host.ask(&format!("text {which}"))).to_vec();
    host.end();
    said
}

/// Finds a planted word, or a name of this computer, in some content. Case does not matter.
fn found(content: &[u8]) -> Option<String> {
    let small = content.to_ascii_lowercase();
    let has = |bytes: &[u8]| small.windows(bytes.len()).any(|window| window == bytes);
    let planted = PLANTED.map(str::to_lowercase).into_iter().find(|word| {
        let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        has(word.as_bytes()) || has(word.replace('-', "").as_bytes()) || has(&wide)
    });
    let site: uuid::Uuid = SITE.parse().unwrap();
    let has_site = |bytes: [u8; 16]| content.windows(16).any(|window| window == bytes);
    let site =
        (has_site(site.into_bytes()) || has_site(site.to_bytes_le())).then(|| "the bytes of the site".to_owned());
    // The real ones may be words like "root", so short ones are looked for as whole values.
    let real = real_names().into_iter().find(|name| {
        let name = name.to_lowercase();
        has(format!("\"{name}\"").as_bytes()) || (name.len() > 8 && has(name.as_bytes()))
    });
    planted.or(site).or(real)
}

/// Fails where any of that stands in `place`.
fn search(place: &str, content: &[u8]) {
    let found = found(content);
    assert_eq!(found, None, "in {place}:\n{}", String::from_utf8_lossy(content));
}

/// The names of this computer and its user.
fn real_names() -> Vec<String> {
    let variables = ["COMPUTERNAME", "HOSTNAME", "USER", "LOGNAME", "USERNAME"].map(|name| std::env::var(name).ok());
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let user = if cfg!(unix) { Some("root".to_owned()) } else { None };
    let names = variables.into_iter().chain([file, user]).flatten().map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Searches every file of a profile, and the name of each: only that of a site's id may hold the site (I2).
fn search_files(home: &Home) -> Vec<String> {
    let files = home.files();
    for file in &files {
        search(file, &std::fs::read(home.path().join(file)).unwrap());
        if !file.ends_with(&format!("/site-{}.uuid", SITE.to_lowercase())) {
            search("the name of a file", file.as_bytes());
        }
    }
    files
}

/// Looks at every text of a JSON document for the parts of an address.
fn no_address(value: &Value) {
    match value {
        Value::String(text) => {
            assert!(!text.contains("://") && !text.contains("127.0.0.1") && !text.contains('@'), "{text}");
            assert!(!text.contains('\\') && !text.starts_with('/'), "{text}");
        }
        Value::Array(values) => values.iter().for_each(no_address),
        Value::Object(members) => members.values().for_each(no_address),
        _ => {}
    }
}

#[test]
fn e5_i2_nothing_planted_is_sent_or_written() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let said = live(&home, &collector.connection_string(&key), None);
    let received = arrived(&collector, &key, 9);
    for item in received {
        search("an envelope", item.envelope.to_string().as_bytes());
        no_address(&item.envelope);
        // Where it was sent to, the request has to say.
        let headers = item.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Host"));
        let headers: String = headers.map(|(name, value)| format!("{name}: \"{value}\"\n")).collect();
        search("the headers", headers.as_bytes());
        search("the address", format!("{}?{}", item.path, item.query).as_bytes());
    }
    search("what the user is told", said.join("\n").replace(&*home.path().to_string_lossy(), "").as_bytes());
    let files = search_files(&home);
    for part in ["appsettings.user.json", "telemetry.uuid", "site-5ec2e751-7e00-4a11-8b22-0123456789ab.uuid", ".log"] {
        assert!(files.iter().any(|file| file.ends_with(part)), "{part} in {files:?}");
    }
    assert_eq!(files.iter().filter(|file| file.contains("/site-")).count(), 1);
}

#[test]
fn e5_d5_nothing_planted_is_written_where_proxy_and_service_fail() {
    // A proxy that refuses, and says too much.
    let words = format!("{USER_NAME} may not reach {SERVER} from {HOST_NAME}");
    let answer = format!("HTTP/1.1 403 {words}\r\nContent-Length: {}\r\n\r\n{words}", words.len());
    let (proxy, refusing) = proxy(answer, None);
    let home = Home::new();
    let destination = format!("InstrumentationKey={};IngestionEndpoint=https://{SERVER}/", key());
    let said = live(&home, &destination, Some(&format!("http://{USER_NAME}:{PASSWORD}@{proxy}")));
    assert_eq!(said[3], "the proxy did not connect to the server (HTTP 403)");
    // The request to the proxy has to name the server; nothing else holds it.
    assert!(refusing.join().unwrap()[0].starts_with(&format!("CONNECT {SERVER}:443 ")));
    search("what the user is told", said.join("\n").as_bytes());
    let files = search_files(&home);
    assert!(files.iter().any(|file| file.ends_with("/retry.json")), "{files:?}");
    assert_eq!(home.pending().len(), 9);
}

/// Texts that a confused or hostile host or server may hand over, each with something that must not leave.
fn hostile() -> Vec<String> {
    let long = |text: &str| text.repeat(8_192 / text.len());
    let texts = [
        &format!("https://{SERVER}/ {DOMAIN}\\{USER_NAME} 10.1.2.3"),
        &format!("build of {USER_NAME}@{HOST_NAME}"),
        &format!("\u{1B}[31m{HOST_NAME}"),
        &format!("{HOST_NAME}\r\n{USER_NAME}"),
        &format!("\u{202E}{HOST_NAME}"),
        &format!("{HOST_NAME}:8081"),
        &format!("/home/{USER_NAME}"),
        &format!("C:\\Users\\{USER_NAME}"),
        &format!("XProtect {SITE}"),
        &format!("XProtect {{{}}}", SITE.replace('-', "").to_lowercase()),
        "XProtect on 10.1.2.3",
        "XProtect on fe80::1",
        &long(HOST_NAME),
        &long("\u{1D5B7}"),
        &long("\""),
    ];
    texts.map(str::to_owned).to_vec()
}

/// Each text that a host chooses, in every place at once. What does not fit is left out, and the whole envelope is what it is
/// without.
#[test]
fn e6_texts_that_hold_more_than_a_name_or_a_version_are_left_out() {
    let (nobody, instrumentation) = (closed_port().unwrap(), key());
    let envelopes = |text: Option<&str>| -> Vec<Value> {
        let home = Home::new();
        let variables: Vec<_> = text.map(|text| (child::EVERY_TEXT, text)).into_iter().collect();
        let destination = nobody.connection_string(&instrumentation);
        let mut host = Host::start(&mut child::command(&home, &destination, &variables));
        assert_eq!(host.ask("init awaiting"), "0");
        assert_eq!(host.ask("log true"), "0");
        assert_eq!(host.ask("connect"), "0");
        assert_eq!(host.ask("disconnect"), "0");
        host.end();
        search_files(&home);
        let events = home.events();
        let envelope = |event| vms_telemetry::envelope::envelope(event, instrumentation.parse().unwrap(), event.time);
        events.iter().map(|event| serde_json::from_str(&envelope(event).to_string()).unwrap()).collect()
    };
    let fitting = envelopes(Some("26.2.1+abc"));
    let versions = ["AssemblyVersion", "ProductVersion", "ProductName", "OSDescription", "FrameworkDescription"];
    for text in hostile() {
        let hostile = envelopes(Some(&text));
        assert_eq!(hostile.len(), 3);
        for (hostile, fitting) in hostile.iter().zip(&fitting) {
            search("an envelope", hostile.to_string().as_bytes());
            no_address(hostile);
            assert!(hostile.to_string().len() <= 4_096);
            let names = |value: &Value, path: &str| -> Vec<String> {
                value.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect()
            };
            let (properties, tags) = ("/data/baseData/properties", "/tags");
            let mut expected = names(fitting, properties);
            expected.retain(|name| !versions.contains(&name.as_str()));
            assert_eq!(names(hostile, properties), expected, "{text:.60}");
            let mut expected = names(fitting, tags);
            expected.retain(|name| name != "ai.application.ver");
            assert_eq!(names(hostile, tags), expected, "{text:.60}");
            for rest in ["/data/baseData/name", "/data/baseData/ver", "/iKey", "/name", "/data/baseType"] {
                assert_eq!(hostile.pointer(rest), fitting.pointer(rest), "{text:.60}");
            }
        }
    }
    // The test can tell: what fits is there.
    assert_eq!(fitting[1].pointer("/data/baseData/properties/ProductName").unwrap(), "26.2.1+abc");
    assert_eq!(fitting[0].pointer("/tags/ai.application.ver").unwrap(), "26.2.1+abc");
}

/// A folder lies in the way of the file whose name has the site's id, or the system cannot read it.
#[test]
fn e5_an_error_about_a_sites_file_does_not_name_the_site() {
    let nobody = closed_port().unwrap();
    for is_folder in [true, false] {
        let home = Home::new();
        let (command, file) = (
            child::command(&home, &nobody.connection_string(&key()), &[]),
            home.paths().site_id(SITE.parse().unwrap()),
        );
        std::fs::create_dir_all(home.paths().folder()).unwrap();
        let mut command = match is_folder {
            true => {
                std::fs::create_dir_all(file.join("in the way")).unwrap();
                command
            }
            #[cfg(target_os = "linux")]
            false if child::can_trace() => child::faulty(&command, "openat", "EIO", &[file]),
            false => return,
        };
        let mut host = Host::start(&mut command);
        assert_eq!(host.ask("init awaiting"), "0");
        assert_eq!(host.ask(&format!("connect-site {SITE}")), "0");
        let failure = host.ask("text 8");
        search("the last failure", failure.replace(&*home.path().to_string_lossy(), "").as_bytes());
        assert!(failure.contains("site-<id>.uuid"), "{failure}");
        host.end();
    }
}

#[test]
fn e5_the_search_finds_what_is_there() {
    for word in PLANTED {
        let wide: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in [format!("x{}y", word.to_uppercase()).into_bytes(), wide] {
            assert_eq!(found(&content), Some(word.to_lowercase()));
        }
    }
    for name in real_names() {
        assert!(found(format!("{{\"Name\":\"{name}\"}}").as_bytes()).is_some(), "{name}");
    }
    assert_eq!(found(b"{\"Name\":\"na\"}"), None);
}
