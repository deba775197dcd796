//! HTTPS as every system has it: the machine's own trust store decides (D5).

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use common::native::{Host, compile, program};
use common::{Home, key};
use sha1::Digest;
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};

/// Makes an authority. Wine wants a revocation list that it can read without a network.
fn authority(home: &Home) -> Authority {
    let authority = Authority::new().unwrap();
    if !cfg!(windows) {
        return authority;
    }
    let list = home.path().join("authority.crl");
    let authority = authority.with_crl_url(&format!("file:///{}", list.display().to_string().replace('\\', "/")));
    std::fs::write(list, authority.crl().unwrap()).unwrap();
    authority
}

/// Makes a program trust the authority as software of this system does it without an installation: on Unix by a variable
/// of that program, on Windows in the current user's store, which only a Wine that is thrown away afterwards may have.
fn trust(authority: &Authority, home: &Home, command: &mut Command) {
    if cfg!(windows) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let der = authority.der();
        let blob = format!("2000000001000000{}{}", hex(&(der.len() as u32).to_le_bytes()), hex(der));
        // The key's name is the certificate's thumbprint.
        let thumbprint = hex(&sha1::Sha1::digest(der)).to_uppercase();
        let key = format!(r"HKCU\Software\Microsoft\SystemCertificates\Root\Certificates\{thumbprint}");
        let done = Command::new("reg")
            .args(["add", &key, "/v", "Blob", "/t", "REG_BINARY", "/d", &blob, "/f"])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    } else {
        let file = home.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        command.env("SSL_CERT_FILE", file);
    }
}

/// Sends one event to a server with such a certificate; gives what the host says and how many events arrived.
fn send(leaf: Leaf, trusted: bool) -> (String, usize) {
    let home = Home::new();
    let authority = authority(&home);
    let collector = Collector::builder().tls(authority.server(leaf).unwrap()).start().unwrap();
    let destination = collector.connection_string(&key()).replace("127.0.0.1", "localhost");
    let mut command = program(&compile("host", home.path()), &home, &destination);
    if trusted {
        trust(&authority, &home, &mut command);
    }
    (settled(&mut command), collector.received().len())
}

/// Runs a host until its event is sent; gives what it says.
fn settled(command: &mut Command) -> String {
    let mut host = Host::start(command);
    host.say("settle");
    let answer = host.answer();
    host.say("exit");
    host.end();
    answer
}

/// Starts a proxy that opens the way to the port of a server on this computer, whatever name it is asked for, and looks into nothing; gives its
/// address, and the line by which it was asked.
fn proxy(server: u16) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut near = BufReader::new(listener.accept().unwrap().0);
        let head = near.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
        let head: Vec<String> = head.collect();
        let far = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let near = near.into_inner();
        (&near).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        // Either side may end first, and in any way: the collector has what it has.
        let pass = |mut from: &TcpStream, mut to: &TcpStream| {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| pass(&near, &far));
            pass(&far, &near);
        });
        head[0].clone()
    });
    (address, asked)
}

/// Whether this system's trust may be changed for a test: a real Windows keeps what it was told.
fn can_trust() -> bool {
    let can = !cfg!(windows) || std::env::var_os("VMS_TEST_WINE").is_some();
    if !can {
        println!("skipped: it would add an authority to this user's store");
    }
    can
}

#[test]
fn d5_a_certificate_that_the_machine_trusts_is_accepted() {
    if !can_trust() {
        return;
    }
    assert_eq!(send(Leaf::Good, true), ("sent".to_owned(), 1));
}

/// A name that nobody but the proxy can resolve, and a certificate for it from an authority of the company's own: a proxy
/// that looks into the connection shows such a one.
#[test]
fn d5_events_go_through_a_proxy_that_the_machine_trusts_and_no_other() {
    if !can_trust() {
        return;
    }
    for trusted in [true, false] {
        let home = Home::new();
        let authority = authority(&home);
        let collector = Collector::builder().tls(authority.server(Leaf::WrongName).unwrap()).start().unwrap();
        let destination = format!("InstrumentationKey={};IngestionEndpoint=https://wrong.example/", key());
        let (address, asked) = proxy(collector.port());
        let mut command = program(&compile("host", home.path()), &home, &destination);
        if trusted {
            trust(&authority, &home, &mut command);
        }
        let said = settled(command.env("HTTPS_PROXY", address));
        let refused = "the server's certificate was refused: this computer does not trust its issuer";
        assert_eq!(said, if trusted { "sent" } else { refused });
        assert_eq!(collector.received().len(), usize::from(trusted));
        assert_eq!(asked.join().unwrap(), "CONNECT wrong.example:443 HTTP/1.1");
    }
}

#[test]
fn d5_a_certificate_that_the_machine_does_not_trust_is_refused_in_words() {
    let (words, arrived) = send(Leaf::Good, false);
    assert_eq!(
        (words.as_str(), arrived),
        ("the server's certificate was refused: this computer does not trust its issuer", 0)
    );
    let (words, arrived) = send(Leaf::SelfSigned, false);
    assert!(words.starts_with("the server's certificate was refused: "), "{words}");
    assert_eq!(arrived, 0);
}

#[test]
fn d5_a_certificate_that_does_not_fit_is_refused_in_words() {
    if !can_trust() {
        return;
    }
    let table = [(Leaf::Expired, "it has expired or is not valid yet"), (Leaf::WrongName, "it is for another name")];
    for (leaf, reason) in table {
        let (words, arrived) = send(leaf, true);
        assert_eq!((words, arrived), (format!("the server's certificate was refused: {reason}"), 0));
    }
}
