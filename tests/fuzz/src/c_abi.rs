//! The C ABI as a sequence of calls, with what a confused host program hands over: sizes that are wrong, NULL, texts that are none,
//! numbers that nobody gave out, buffers that are too small. Each buffer is as large as the call is told, and not a byte larger, so
//! that the address sanitizer sees a byte too many.

use std::ffi::c_char;
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use vms_telemetry::abi::*;
use vms_telemetry::ffi;

/// Nobody listens there, so no request leaves this computer.
const CONNECTION_STRING: &str =
    "InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint=http://127.0.0.1:1/";
/// The statuses in the header, without VMS_ERROR_INTERNAL, which is a defect.
const STATUSES: [i32; 25] =
    [0, 1, 2, 3, 10, 11, 12, 13, 14, 20, 21, 22, 23, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51];

/// A text: NULL, a GUID, or bytes up to a NUL.
#[derive(Arbitrary, Debug)]
enum Text<'a> {
    Null,
    Guid,
    Bytes(&'a [u8]),
    Long(u8, u16),
}

/// Where a VMS is said to be. Only addresses of this computer where nobody listens: looking up a name would leave it.
#[derive(Arbitrary, Debug)]
enum Address<'a> {
    Null,
    Plain,
    Path(&'a [u8]),
}

/// The size that a struct says it has, and has.
#[derive(Arbitrary, Debug)]
enum Size {
    Right,
    /// A few bytes more or less, as those of another version.
    Near(i8),
    Other(u16),
}

/// The number of a connection: one that was given out, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Given(u8),
    Other(u64),
}

#[derive(Arbitrary, Debug)]
struct Logon<'a> {
    size: Size,
    words: [u32; 5],
    address: Address<'a>,
    texts: [Text<'a>; 3],
    replaces: Number,
    server: Option<Size>,
}

#[derive(Arbitrary, Debug)]
enum Call<'a> {
    Init(Size, u32, [Text<'a>; 3], u32, Option<Vec<Text<'a>>>),
    Connect(Size, [u32; 5], [Text<'a>; 3], [(u8, u32); 9], bool),
    Disconnect(Number),
    SetConfig(Size, [u32; 4], Option<Address<'a>>),
    GetConfig(Size),
    GetText(u32, Buffer),
    GetEvent(u32, u32, Buffer),
    LastError(Buffer),
    LastAdvice(Buffer),
    TestEndpoint,
    ClearData(u32),
    Reserve(bool),
    Find(Number, Logon<'a>),
    LogOn(Number, Logon<'a>),
    GetChildSite(Number, u32, Size),
    GetConnection(Number, Size),
    Settle(Number, u8),
    Null(u8),
}

#[derive(Arbitrary, Debug)]
struct Buffer {
    capacity: Capacity,
    has_length: bool,
}

/// How large a buffer is.
#[derive(Arbitrary, Debug)]
enum Capacity {
    /// As the call asks for, or a few bytes more or less.
    Near(i8),
    Other(u16),
}

/// Texts that live as long as the call that they are handed over to.
#[derive(Default)]
struct Texts(Vec<Vec<u8>>);

impl Texts {
    fn keep(&mut self, mut bytes: Vec<u8>) -> *const c_char {
        bytes.push(0);
        self.0.push(bytes.into_boxed_slice().into_vec());
        self.0.last().map_or(null(), |kept| kept.as_ptr().cast())
    }

    fn text(&mut self, text: &Text<'_>) -> *const c_char {
        match text {
            Text::Null => null(),
            Text::Guid => self.keep(b"dddddddd-0000-4000-8000-00000000000d".to_vec()),
            Text::Bytes(bytes) => self.keep(bytes.to_vec()),
            Text::Long(byte, length) => self.keep(vec![*byte; (*length).into()]),
        }
    }

    fn address(&mut self, address: &Address<'_>) -> *const c_char {
        match address {
            Address::Null => null(),
            Address::Plain => self.keep(b"http://127.0.0.1:1".to_vec()),
            Address::Path(bytes) => self.keep([b"127.0.0.1:1/", *bytes].concat()),
        }
    }
}

/// A struct of a caller: as many bytes as it says. The first four are its size.
struct Record(Vec<u8>);

impl Record {
    fn new<T>(value: &T, size: &Size) -> Self {
        let size = match size {
            Size::Right => size_of::<T>(),
            Size::Near(more) => size_of::<T>().saturating_add_signed((more % 24).into()),
            Size::Other(size) => usize::from(*size),
        };
        // SAFETY: a struct of the ABI has no bytes that are not set but those that pad it, and `zeroed` made them.
        let value = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) };
        let mut bytes = vec![0; size.max(4)];
        let length = bytes.len().min(value.len());
        bytes[..length].copy_from_slice(&value[..length]);
        bytes[..4].copy_from_slice(&(size as u32).to_ne_bytes());
        Self(bytes)
    }

    fn pointer<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

/// The ABI's structs are made of integers and pointers.
fn zeroed<T>() -> T {
    // SAFETY: zero bits are a value of each.
    unsafe { std::mem::zeroed() }
}

/// Calls what writes a text, and looks at what it wrote.
fn write(buffer: &Buffer, call: impl Fn(*mut c_char, usize, *mut usize) -> i32) -> i32 {
    let mut length = 0;
    let capacity = match buffer.capacity {
        Capacity::Near(more) => {
            call(null_mut(), 0, &raw mut length);
            (length + 1).saturating_add_signed((more % 3).into())
        }
        Capacity::Other(capacity) => capacity.into(),
    };
    let mut bytes = vec![0xAA_u8; capacity];
    let pointer = if bytes.is_empty() { null_mut() } else { bytes.as_mut_ptr().cast() };
    let status = call(pointer, bytes.len(), if buffer.has_length { &raw mut length } else { null_mut() });
    if status == VMS_OK {
        assert_eq!(bytes.get(length), Some(&0), "a text ends with a NUL");
        std::str::from_utf8(&bytes[..length]).expect("a text is UTF-8");
    } else {
        assert!(bytes.iter().all(|byte| *byte == 0xAA), "a call that fails writes nothing");
    }
    status
}

/// Where the session of this process keeps its files.
static HOME: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

/// Starts the session of this process, which all further calls join.
fn start() -> i32 {
    let mut texts = Texts::default();
    let home = HOME.path().display();
    let names = ["HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOCALAPPDATA"];
    let mut entries: Vec<_> = names.iter().map(|name| texts.keep(format!("{name}={home}").into_bytes())).collect();
    entries.push(null());
    let info = VmsSessionInfo {
        assembly_version: texts.keep(b"1.2.3".to_vec()),
        connection_string: texts.keep(CONNECTION_STRING.as_bytes().to_vec()),
        environment: entries.as_ptr(),
        ..zeroed()
    };
    let mut info = Record::new(&info, &Size::Right);
    // SAFETY: the struct has its size, and its texts live for the call.
    unsafe { ffi::init_session(info.pointer()) }
}

/// Calls the library as the input says. The first input of a process comes before there is a session.
pub(crate) fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut numbers = vec![0];
    while let Ok(call) = Call::arbitrary(&mut input) {
        let status = one(&call, &mut numbers);
        assert!(STATUSES.contains(&status), "{call:?} returned {status}");
        if input.is_empty() {
            break;
        }
    }
    for number in numbers {
        ffi::on_disconnect(number);
    }
    static STARTED: LazyLock<i32> = LazyLock::new(start);
    assert!([VMS_OK, VMS_OFF, VMS_UNSURE].contains(&STARTED), "{}", *STARTED);
}

fn one(call: &Call<'_>, numbers: &mut Vec<u64>) -> i32 {
    let mut texts = Texts::default();
    let of = |number: &Number, numbers: &[u64]| match number {
        Number::Given(index) => numbers[usize::from(*index) % numbers.len()],
        Number::Other(number) => *number,
    };
    match call {
        Call::Init(size, names_proxy, [version, framework, system], hold_seconds, entries) => {
            // Who starts the session says where its events go: not the input.
            let mut length = 0;
            // SAFETY: the length can be written to.
            let asked = unsafe { ffi::get_text(VMS_TEXT_SESSION_ID, null_mut(), 0, &raw mut length) };
            if asked == VMS_ERROR_NO_SESSION {
                return asked;
            }
            let entries: Option<Vec<_>> =
                entries.as_ref().map(|all| all.iter().map(|entry| texts.text(entry)).chain([null()]).collect());
            let info = VmsSessionInfo {
                size: 0,
                names_proxy: *names_proxy,
                assembly_version: texts.text(version),
                framework_description: texts.text(framework),
                os_description: texts.text(system),
                connection_string: null(),
                environment: entries.as_ref().map_or(null(), |entries| entries.as_ptr()),
                hold_seconds: *hold_seconds,
            };
            let mut info = Record::new(&info, size);
            // SAFETY: the struct has the size that it says, and its texts live for the call.
            unsafe { ffi::init_session(info.pointer()) }
        }
        Call::Connect(
            size,
            [user_type, is_oauth, encrypted, policy, reserved],
            [site, version, name],
            counts,
            writes,
        ) => {
            let mut info: VmsConnectionInfo = zeroed();
            (info.user_type, info.is_oauth_connection, info.encryption_enabled) =
                (*user_type % 5, is_oauth % 4, encrypted % 4);
            (info.usage_data_policy, info.reserved) = (*policy % 5, *reserved);
            (info.site_id, info.product_version) = (texts.text(site), texts.text(version));
            info.product_name = texts.text(name);
            let count = |index: usize| VmsCount { known: (counts[index].0 % 4).into(), value: counts[index].1 };
            (info.child_sites, info.recorders, info.hardware_count) = (count(0), count(1), count(2));
            (info.camera_count, info.microphone_count, info.speaker_count) = (count(3), count(4), count(5));
            (info.metadata_count, info.input_count, info.output_count) = (count(6), count(7), count(8));
            let (mut info, mut number) = (Record::new(&info, size), 0);
            let target = if *writes { &raw mut number } else { null_mut() };
            // SAFETY: the struct has the size that it says, its texts live for the call, and the number is NULL or can be written to.
            let status = unsafe { ffi::on_connect(info.pointer(), target) };
            numbers.push(number);
            status
        }
        Call::Disconnect(number) => ffi::on_disconnect(of(number, numbers)),
        Call::SetConfig(size, [telemetry, log, hold, session_only], proxy) => {
            let change = VmsConfigChange {
                size: 0,
                enable_telemetry: telemetry % 5,
                log_telemetry: log % 5,
                hold_sending: hold % 4,
                proxy: proxy.as_ref().map_or(null(), |proxy| texts.address(proxy)),
                this_session_only: session_only % 4,
            };
            let mut change = Record::new(&change, size);
            // SAFETY: the struct has the size that it says, and its text lives for the call.
            unsafe { ffi::set_config(change.pointer()) }
        }
        Call::GetConfig(size) => {
            // SAFETY: the struct has the size that it says, and can be written to.
            unsafe { ffi::get_config(Record::new(&zeroed::<VmsConfig>(), size).pointer()) }
        }
        // SAFETY, for the four: the buffer has the capacity that is said, and the length is NULL or can be written to.
        Call::GetText(which, buffer) => {
            write(buffer, |text, capacity, length| unsafe { ffi::get_text(which % 20, text, capacity, length) })
        }
        Call::GetEvent(which, index, buffer) => write(buffer, |text, capacity, length| {
            // SAFETY: as above.
            unsafe { ffi::get_event(which % 5, *index, text, capacity, length) }
        }),
        Call::LastError(buffer) => {
            // SAFETY: as above.
            write(buffer, |text, capacity, length| unsafe { ffi::last_error(text, capacity, length) })
        }
        Call::LastAdvice(buffer) => {
            // SAFETY: as above.
            write(buffer, |text, capacity, length| unsafe { ffi::last_advice(text, capacity, length) })
        }
        Call::TestEndpoint => ffi::test_endpoint(),
        Call::ClearData(what) => ffi::clear_data(*what % 32),
        Call::Reserve(writes) => {
            let mut number = 0;
            // SAFETY: the number is NULL or can be written to.
            let status = unsafe { ffi::reserve_connection(if *writes { &raw mut number } else { null_mut() }) };
            numbers.push(number);
            status
        }
        Call::Find(number, logon) | Call::LogOn(number, logon) => {
            let [user_type, secure_only, skip, children, timeout] = logon.words;
            let [user_name, password, access_token] = &logon.texts;
            let wanted = VmsLogon {
                size: 0,
                user_type: user_type % 5,
                secure_only: secure_only % 4,
                skip_certificate_check: skip % 4,
                include_child_sites: children % 4,
                timeout_seconds: timeout,
                server_address: texts.address(&logon.address),
                user_name: texts.text(user_name),
                password: texts.text(password),
                access_token: texts.text(access_token),
                replaces: of(&logon.replaces, numbers),
            };
            let mut server = logon.server.as_ref().map(|size| Record::new(&zeroed::<VmsServer>(), size));
            let server = server.as_mut().map_or(null_mut(), Record::pointer);
            let (number, mut wanted) = (of(number, numbers), Record::new(&wanted, &logon.size));
            // SAFETY: the structs are NULL or have the sizes that they say, and the texts live for the call.
            match call {
                Call::Find(..) => unsafe { ffi::find_vms(number, wanted.pointer(), server) },
                // SAFETY: as above.
                _ => unsafe { ffi::connect_vms(number, wanted.pointer(), server) },
            }
        }
        Call::GetChildSite(number, index, size) => {
            let mut site = Record::new(&zeroed::<VmsSite>(), size);
            // SAFETY: the struct has the size that it says, and can be written to.
            unsafe { ffi::get_child_site(of(number, numbers), *index, site.pointer()) }
        }
        Call::GetConnection(number, size) => {
            let mut state = Record::new(&zeroed::<VmsConnectionState>(), size);
            // SAFETY: the struct has the size that it says, and can be written to.
            unsafe { ffi::get_connection(of(number, numbers), state.pointer()) }
        }
        Call::Settle(number, wait) => ffi::settle_connection(of(number, numbers), (*wait % 4).into()),
        Call::Null(which) => nothing(*which),
    }
}

/// NULL for everything.
fn nothing(which: u8) -> i32 {
    // SAFETY, for each: the functions take NULL.
    match which % 10 {
        0 => unsafe { ffi::init_session(null()) },
        1 => unsafe { ffi::on_connect(null(), null_mut()) },
        2 => unsafe { ffi::set_config(null()) },
        3 => unsafe { ffi::get_config(null_mut()) },
        4 => unsafe { ffi::get_text(1, null_mut(), 0, null_mut()) },
        5 => unsafe { ffi::find_vms(0, null(), null_mut()) },
        6 => unsafe { ffi::connect_vms(0, null(), null_mut()) },
        7 => unsafe { ffi::get_child_site(0, 0, null_mut()) },
        8 => unsafe { ffi::get_connection(0, null_mut()) },
        _ => unsafe { ffi::last_error(null_mut(), 0, null_mut()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the fuzzer does it, from four threads at once, with inputs that are the same each time.
    #[test]
    fn a2_a3_any_calls_in_any_order_from_any_thread() {
        run(&[]);
        std::thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..250 {
                        let mut input = vec![0; random.usize(..2_048)];
                        random.fill(&mut input);
                        run(&input);
                    }
                });
            }
        });
        // The session stays until the process ends, so on Windows some of it may be in use.
        let _ = std::fs::remove_dir_all(HOME.path());
    }
}
