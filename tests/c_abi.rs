//! The library as it is shipped, from C: `out/native`, which `cargo xtask build` makes.

mod common;

use std::collections::BTreeSet;

use common::{Home, arrived, key, native};
use demo_vms::{Config, DemoVms, Site, User};
use object::Object;
use vms_collector::Collector;

/// Runs a C program to its end and gives what it printed.
fn run(name: &str, home: &Home, connection_string: &str) -> String {
    let output = native::program(&native::compile(name, home.path()), home, connection_string).output().unwrap();
    let (printed, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{printed}{complained}", output.status);
    assert_eq!(complained, "", "a library writes nothing to the console");
    printed
}

#[test]
fn a2_a3_a4_a_c_program_calls_everything_with_good_null_and_garbage_input() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let printed = run("smoke", &home, &collector.connection_string(&key));
    assert!(printed.trim_end().ends_with("all checks passed"), "{printed}");
    let names: Vec<_> = arrived(&collector, &key, 3)
        .iter()
        .map(|item| item.envelope["data"]["baseData"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["NewSession", "NewVmsSession", "CloseVmsSession"]);
}

/// P3, A4: every host gets the logon, the inventory and its event; here one in C.
#[test]
fn p3_a4_a_c_program_logs_on_to_a_vms() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let users = vec![User::basic("reader", "not-a-secret")];
    let site = Site { child_sites: 1, grandchild_sites: 0, ..Site::default() };
    let vms = DemoVms::start(Config { users, site, ..Config::default() }).unwrap();
    let program = native::compile("logon", home.path());
    let mut command = native::program(&program, &home, &collector.connection_string(&key));
    let output = command.arg(vms.url()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    let counts = vms.counts();
    let items = counts.recording_servers + counts.child_sites + counts.hardware;
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("stage 6, failure 0, encrypted 1, policy 1, reported 2, "), "{printed}");
    let counted: u64 = lines[0].split(' ').rev().nth(1).unwrap().parse().unwrap();
    assert!(counted > items, "{printed}");
    assert_eq!(lines[1..4], [&vms.site_id(), "DEMO-VMS", "XProtect Corporate 2025 R1"]);
    assert_eq!(lines[4..6], ["25.1.1804.0", &vms.url()]);
    assert_eq!(lines[6].split('\t').count(), 3);
    let events = arrived(&collector, &key, 3);
    let data = |index: usize| events[index].envelope["data"]["baseData"].clone();
    assert_eq!((data(1)["name"].as_str(), data(2)["name"].as_str()), (Some("NewVmsSession"), Some("CloseVmsSession")));
    assert_eq!(data(1)["measurements"]["CameraCount"], counts.cameras);
}

#[test]
fn s2_a3_many_threads_share_one_session() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let printed = run("threads", &home, &collector.connection_string(&key));
    assert!(printed.trim_end().ends_with("all checks passed"), "{printed}");
    let received = arrived(&collector, &key, 1 + 8 * 2);
    let news = received.iter().filter(|item| item.envelope["data"]["baseData"]["name"] == "NewSession").count();
    assert_eq!(news, 1);
}

/// A1.
#[test]
fn a1_the_library_exports_what_the_header_declares_and_nothing_else() {
    let content = std::fs::read(native::library()).unwrap();
    let exports: BTreeSet<String> = object::File::parse(&*content)
        .unwrap()
        .exports()
        .unwrap()
        .map(|export| match export.unwrap().name() {
            object::read::NameOrOrdinal::Name(name) => String::from_utf8(name.to_vec()).unwrap(),
            object::read::NameOrOrdinal::Ordinal(ordinal) => format!("without a name: {ordinal}"),
        })
        .collect();
    let header = std::fs::read_to_string(native::folder().join("vms_telemetry.h")).unwrap();
    let declared: BTreeSet<String> = header
        .lines()
        .filter_map(|line| line.strip_prefix("int32_t "))
        .map(|line| line.split('(').next().unwrap().to_owned())
        .collect();
    assert_eq!(exports, declared);
    assert_eq!(declared.len(), 12, "{declared:?}");
}

/// What every supported Windows has (Windows 10, Server 2016, Server Core): a new import needs a thought.
#[test]
fn a1_the_windows_library_needs_nothing_that_a_supported_windows_lacks() {
    const SYSTEM: [&str; 14] = [
        "advapi32.dll",
        "api-ms-win-core-synch-l1-2-0.dll",
        "bcrypt.dll",
        "bcryptprimitives.dll",
        "combase.dll",
        "crypt32.dll",
        "kernel32.dll",
        "msvcrt.dll",
        "ntdll.dll",
        "oleaut32.dll",
        "psapi.dll",
        "secur32.dll",
        "shell32.dll",
        "ws2_32.dll",
    ];
    // The tests of the Windows half run on the Windows library; those here on this system's.
    let content = std::fs::read(native::library()).unwrap();
    assert!(content.len() <= 3 << 20, "{} bytes", content.len());
    if cfg!(windows) {
        let file = object::read::pe::PeFile64::parse(&*content).unwrap();
        let table = file.import_table().unwrap().unwrap();
        let mut descriptors = table.descriptors().unwrap();
        while let Some(descriptor) = descriptors.next().unwrap() {
            let name = table.name(descriptor.name.get(object::LittleEndian)).unwrap();
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            assert!(SYSTEM.contains(&name.as_str()), "{name}");
        }
        let flags = file.nt_headers().optional_header.dll_characteristics.get(object::LittleEndian);
        // Addresses are random in 64 bits, and data is not executed.
        assert_eq!(flags.0 & 0x160, 0x160);
        let utf16: Vec<u8> = "ProductVersion".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(content.windows(utf16.len()).any(|bytes| bytes == utf16), "the version resource");
    }
}
