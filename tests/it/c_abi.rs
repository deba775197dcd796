//! The library from C: as it is shipped where `cargo xtask test` runs this.

use std::collections::BTreeSet;
use std::io::Read;
use std::mem::offset_of;
use std::net::TcpListener;

use crate::common::child::{self, Host};
use crate::common::{Home, arrived, key, names, native, skip};
use object::Object;
use vms_collector::Collector;
use vms_demo::{Config, DemoVms, Site, User};
use vms_telemetry::abi::*;

/// Runs a C program to its end and returns what it printed.
fn run(name: &str, home: &Home, connection_string: &str) -> String {
    let output = child::output(&mut native::program(&native::compile(name), home, connection_string));
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
    let names = names(&arrived(&collector, &key, 3));
    assert_eq!(names, ["NewSession", "NewVmsSession", "CloseVmsSession"]);
}

/// E4: the first connection ends when another logon replaces it.
#[test]
fn p3_a4_e4_a_c_program_logs_on_to_a_vms_and_replaces_the_connection() {
    let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
    let users = vec![User::basic("reader", "not-a-secret")];
    let site = Site { child_sites: 2, grandchild_sites: 0, ..Site::default() };
    let vms = DemoVms::start(Config { users, site, ..Config::default() }).unwrap();
    let program = native::compile("logon");
    let mut command = native::program(&program, &home, &collector.connection_string(&key));
    let output = child::output(command.arg(vms.url()));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], [vms.url(), format!("{}IDP/connect/token", vms.url())]);
    assert_eq!(lines[2..5], [&vms.url(), &vms.site_id(), "DEMO-VMS"]);
    assert_eq!(lines[5..7], ["XProtect Corporate 2025 R1", "25.1.1804.0"]);
    let children: BTreeSet<&str> = lines[7..9].iter().map(|line| line.strip_prefix("child ").unwrap()).collect();
    assert_eq!(children.len(), 2);
    assert!(lines[9].starts_with("encrypted 1, counting 1, policy 1, reported 2, "), "{printed}");
    let counted: u64 = lines[9].split(' ').rev().nth(1).unwrap().parse().unwrap();
    let counts = vms.counts();
    assert!(counted > counts.recording_servers + counts.child_sites + counts.hardware, "{printed}");
    let events = arrived(&collector, &key, 3);
    let data = |index: usize| events[index].envelope["data"]["baseData"].clone();
    assert_eq!((data(1)["name"].as_str(), data(2)["name"].as_str()), (Some("NewVmsSession"), Some("CloseVmsSession")));
    assert_eq!(data(1)["measurements"]["CameraCount"], counts.cameras);
}

/// The server takes the connection and never answers, so only the other thread can end the call.
#[test]
fn p3_a1_a_c_program_ends_a_call_from_another_thread() {
    for call in ["find", "connect"] {
        let (home, collector, key) = (Home::new(), Collector::start().unwrap(), key());
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let program = native::compile("logon");
        let mut command = native::program(&program, &home, &collector.connection_string(&key));
        command.arg(format!("http://{}", server.local_addr().unwrap())).arg(call);
        let mut host = Host::try_start(&mut command);
        let (mut connection, _) = server.accept().unwrap();
        assert!(connection.read(&mut [0; 256]).unwrap() > 0);
        assert_eq!(host.ask(""), "ended");
        host.end();
        // The connection to the server is closed; nothing of it was reported.
        assert!(!matches!(connection.read(&mut [0; 256]), Ok(1..)));
        assert_eq!(arrived(&collector, &key, 1).len(), 1);
    }
}

/// Writes what `tests/c/layout.c` prints of a struct. A member that is missing here does not compile.
macro_rules! layout {
    ($lines:ident, $name:ident { $($member:ident),* }) => {
        let size_of_each = |$name { $($member),* }: $name| [$((stringify!($member), size_of_val(&$member))),*];
        // SAFETY: integers and pointers may be zero.
        let sizes = size_of_each(unsafe { std::mem::zeroed() });
        $lines.push(format!("{} {}", stringify!($name), size_of::<$name>()));
        let offsets = [$(offset_of!($name, $member)),*];
        for ((member, size), offset) in sizes.into_iter().zip(offsets) {
            $lines.push(format!("{}.{member} {offset} {size}", stringify!($name)));
        }
    };
}

#[test]
fn a2_the_header_has_the_structs_of_the_library() {
    let home = Home::new();
    let printed = run("layout", &home, "");
    let mut lines = Vec::new();
    layout!(
        lines,
        VmsSessionInfo {
            size,
            names_proxy,
            assembly_version,
            framework_description,
            os_description,
            connection_string,
            environment,
            hold_seconds
        }
    );
    layout!(lines, VmsCount { known, value });
    layout!(
        lines,
        VmsConnectionInfo {
            size,
            user_type,
            is_oauth_connection,
            encryption_enabled,
            usage_data_policy,
            reserved,
            site_id,
            product_version,
            product_name,
            child_sites,
            recorders,
            hardware_count,
            camera_count,
            microphone_count,
            speaker_count,
            metadata_count,
            input_count,
            output_count
        }
    );
    layout!(lines, VmsConfigChange { size, enable_telemetry, log_telemetry, hold_sending, proxy, this_session_only });
    layout!(lines, VmsConfig { size, telemetry_enabled, telemetry_layer, log_telemetry, log_layer, pending_events });
    layout!(
        lines,
        VmsLogon {
            size,
            user_type,
            secure_only,
            skip_certificate_check,
            include_child_sites,
            timeout_seconds,
            server_address,
            user_name,
            password,
            access_token,
            replaces
        }
    );
    layout!(lines, VmsSite { size, reserved, id, version, name });
    layout!(
        lines,
        VmsServer {
            size,
            encryption_enabled,
            child_sites,
            reserved,
            address,
            token_endpoint,
            product_name,
            site_id,
            site_name,
            product_version,
            gateway,
            tls_version
        }
    );
    layout!(lines, VmsConnectionState { size, counting, usage_data_policy, reported, items_counted });
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines);
    // Each struct of the header is among them.
    let header = std::fs::read_to_string(native::header().join("vms_telemetry.h")).unwrap();
    let structs = header.lines().filter_map(|line| line.strip_prefix("typedef struct ")?.strip_suffix(" {"));
    assert_eq!(
        structs.filter(|name| !printed.contains(&format!("\n{name} ")) && !printed.starts_with(name)).count(),
        0
    );
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
    let header = std::fs::read_to_string(native::header().join("vms_telemetry.h")).unwrap();
    let declared: BTreeSet<String> = header
        .lines()
        .filter_map(|line| line.strip_prefix("int32_t "))
        .map(|line| line.split('(').next().unwrap().to_owned())
        .collect();
    assert_eq!(exports, declared);
    assert_eq!(declared.len(), 17, "{declared:?}");
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
    if native::shipped().is_none() {
        return skip("this library is not the one that is shipped: cargo xtask test");
    }
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
