//! HTTPS as every system has it: the computer's own trust store decides (D5), and nothing begins without consent (C10).

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;

use crate::common::child::{self, Host};
use crate::common::native::{compile, program};
use crate::common::net::{join, proxy, unknown_name};
use crate::common::{Home, PATIENCE, is_wine, key, say_skipped};
use sha1::Digest;
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};
use vms_telemetry::consent::Consent;
use vms_telemetry::environment::Environment;
use vms_telemetry::gate::{Gate, NoConsent};
use vms_telemetry::transport::{Https, NoResponse, PostEvents};

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

/// Makes a program trust the authority without an installation: on Unix by a variable of that program, on Windows in the
/// current user's store, which only a Wine that is deleted afterwards may have.
fn trust(authority: &Authority, home: &Home, command: &mut Command) {
    if cfg!(windows) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let der = authority.der();
        let blob = format!("2000000001000000{}{}", hex(&(der.len() as u32).to_le_bytes()), hex(der));
        // The key's name is the certificate's thumbprint.
        let thumbprint = hex(&sha1::Sha1::digest(der)).to_uppercase();
        let key = format!(r"HKCU\Software\Microsoft\SystemCertificates\Root\Certificates\{thumbprint}");
        let done =
            child::output(Command::new("reg").args(["add", &key, "/v", "Blob", "/t", "REG_BINARY", "/d", &blob, "/f"]));
        assert!(done.status.success(), "{done:?}");
    } else {
        let file = home.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        command.env("SSL_CERT_FILE", file);
    }
}

/// Sends one event to a server with such a certificate; returns what the host says and how many events arrived.
fn send(leaf: Leaf, trusted: bool) -> (String, usize) {
    let home = Home::new();
    let authority = authority(&home);
    let collector = Collector::builder().tls(authority.server(leaf).unwrap()).start().unwrap();
    let destination = collector.connection_string(&key()).replace("127.0.0.1", "localhost");
    let mut command = program(&compile("host"), &home, &destination);
    if trusted {
        trust(&authority, &home, &mut command);
    }
    (settled(&mut command), collector.received().len())
}

/// Runs a host until its event is sent; returns what it says.
fn settled(command: &mut Command) -> String {
    let mut host = Host::start(command);
    let said = host.ask("settle");
    host.tell("exit");
    host.end();
    said
}

/// Returns whether this system's trust may be changed for a test: a real Windows keeps what it was told.
fn can_trust() -> bool {
    let can = !cfg!(windows) || is_wine();
    if !can {
        // Not owed in CI either: it would have to be taken out again, whatever happens.
        say_skipped("it would add an authority to this user's store");
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

/// A name that only the proxy can resolve, and a certificate for it from an authority of the company's own: a proxy that decrypts
/// the connection has such a certificate.
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
        let (proxy, asked) = proxy("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Some(collector.port()));
        let mut command = program(&compile("host"), &home, &destination);
        if trusted {
            trust(&authority, &home, &mut command);
        }
        let said = settled(command.env("HTTPS_PROXY", format!("http://{proxy}")));
        let refused = "the server's certificate was refused: this computer does not trust its issuer";
        assert_eq!(said, if trusted { "sent" } else { refused });
        assert_eq!(collector.received().len(), usize::from(trusted));
        assert_eq!(asked.join().unwrap()[0], "CONNECT wrong.example:443 HTTP/1.1");
    }
}

#[test]
fn d5_a_certificate_that_the_machine_does_not_trust_is_refused_with_the_reason() {
    let untrusted = "the server's certificate was refused: this computer does not trust its issuer".to_owned();
    for leaf in [Leaf::Good, Leaf::SelfSigned, Leaf::SelfSignedAuthority] {
        assert_eq!(send(leaf, false), (untrusted.clone(), 0), "{leaf:?}");
    }
}

/// F4: a certificate without names is told apart from one for another name. Schannel takes the subject for the name then.
#[test]
fn d5_a_certificate_that_does_not_fit_is_refused_with_the_reason() {
    if !can_trust() {
        return;
    }
    let table = [
        (Leaf::Expired, "it expired on 2020-12-31"),
        (Leaf::WrongName, "it is for another name"),
        (Leaf::NoNames, "it lists no names"),
    ];
    for (leaf, reason) in table.into_iter().filter(|(leaf, _)| !cfg!(windows) || *leaf != Leaf::NoNames) {
        assert_eq!(send(leaf, true), (format!("the server's certificate was refused: {reason}"), 0), "{leaf:?}");
    }
}

/// F3: a certificate is trusted that the store itself holds, as some tools make one for a server. Its names still count.
#[cfg(target_os = "linux")]
#[test]
fn d5_a_certificate_that_the_store_itself_holds_is_accepted() {
    for name in ["localhost", "127.0.0.2"] {
        let home = Home::new();
        let (server, pem) = authority(&home).issue(Leaf::SelfSignedAuthority).unwrap();
        let collector = Collector::builder().tls(server).start().unwrap();
        let port = collector.port();
        // The collector listens on 127.0.0.1 alone.
        let (listener, relay) = (TcpListener::bind((name, 0)).unwrap(), name != "localhost");
        let address = if relay { listener.local_addr().unwrap().port() } else { port };
        let passing = relay.then(|| {
            std::thread::spawn(move || {
                join(&listener.accept().unwrap().0, &TcpStream::connect(("127.0.0.1", port)).unwrap());
            })
        });
        let destination = format!("InstrumentationKey={};IngestionEndpoint=https://{name}:{address}/", key());
        let file = home.path().join("server.pem");
        std::fs::write(&file, pem).unwrap();
        let mut command = program(&compile("host"), &home, &destination);
        let said = settled(command.env("SSL_CERT_FILE", file));
        let refused = "the server's certificate was refused: it is for another name";
        assert_eq!((said.as_str(), collector.received().len()), if relay { (refused, 0) } else { ("sent", 1) });
        passing.into_iter().for_each(|passing| passing.join().unwrap());
    }
}

/// F5.
#[cfg(unix)]
#[test]
fn d5_a_computer_without_authorities_is_named_as_the_reason() {
    let (home, collector) = (Home::new(), Collector::builder());
    let collector = collector.tls(Authority::new().unwrap().server(Leaf::Good).unwrap()).start().unwrap();
    let mut command = program(&compile("host"), &home, &collector.connection_string(&key()));
    let said = settled(command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent"));
    assert_eq!(said, "this computer has no certificates of authorities");
    assert_eq!(collector.received().len(), 0);
}

/// F6: a name with a typing error, and whose it is.
#[test]
fn d5_p7_a_name_that_is_not_found_is_that_of_the_server_or_of_the_proxy() {
    let unknown = unknown_name();
    let table = [
        (unknown.as_str(), None, "the name of the server was not found"),
        ("events.example", Some(format!("http://{unknown}:8080")), "the name of the proxy was not found"),
    ];
    for (server, proxy, reason) in table {
        let home = Home::new();
        let destination = format!("InstrumentationKey={};IngestionEndpoint=https://{server}/", key());
        let mut command = program(&compile("host"), &home, &destination);
        command.envs(proxy.map(|proxy| ("HTTPS_PROXY", proxy)));
        assert_eq!(settled(&mut command), reason);
    }
}

/// More events than one request takes.
#[test]
fn d4_the_requests_of_many_events_share_one_connection() {
    if !can_trust() {
        return;
    }
    let (home, key) = (Home::new(), key());
    let authority = authority(&home);
    let collector = Collector::builder().tls(authority.server(Leaf::Good).unwrap()).start().unwrap();
    let destination = collector.connection_string(&key).replace("127.0.0.1", "localhost");
    let mut command = child::command(&home, &destination, &[]);
    trust(&authority, &home, &mut command);
    let mut host = Host::start(&mut command);
    // Nothing is sent before the host has named the proxy: there is none.
    for words in ["init awaiting", "record 120", "proxy "] {
        assert_eq!(host.ask(words), "0", "{words}");
    }
    assert_eq!(collector.wait_for(Some(&key), 241, PATIENCE).len(), 241);
    assert_eq!((collector.requests(), collector.connections()), (3, 1));
    host.end();
}

/// C10: consent is asked once more when the connection is there, before the first byte, be it a TLS hello or a request.
#[test]
fn c10_an_opt_out_while_the_connection_is_made_lets_no_byte_out() {
    for scheme in ["https", "http"] {
        let (home, listener) = (Home::new(), TcpListener::bind("127.0.0.1:0").unwrap());
        let endpoint = format!("{scheme}://{}/", listener.local_addr().unwrap()).parse().unwrap();
        listener.set_nonblocking(true).unwrap();
        let consent = Consent::new(&home.paths(), Environment::default(), None);
        let pending = home.path().join("event");
        std::fs::write(&pending, "").unwrap();
        consent.set_in_flight(vec![pending]);
        let (sender, accepted) = mpsc::channel();
        let gate = Gate::new(move || {
            // Before that there is no connection, and consent is given.
            if let Ok((stream, _)) = listener.accept() {
                assert_eq!(consent.opt_out(None, || Ok(())).unwrap(), None);
                sender.send(stream).unwrap();
            }
            consent.guard()
        });
        let mut service = Https::new(endpoint, None, gate);
        let outcome = service.post(b"{}");
        assert!(matches!(outcome, Err(NoResponse::NoConsent(NoConsent::Withdrawn))), "{outcome:?}");
        let mut stream = accepted.try_recv().expect("the connection was made");
        drop(service);
        stream.set_nonblocking(false).unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        assert_eq!(seen, b"", "{scheme}");
    }
}

/// C3, C10, D10: the server is slow to answer the TLS hello. An opt-out does not wait for it, and no request follows.
#[test]
fn c3_c10_d10_an_opt_out_during_a_slow_handshake_waits_for_nothing_and_no_request_follows() {
    if !can_trust() {
        return;
    }
    for opts_out in [false, true] {
        let (home, key) = (Home::new(), key());
        let authority = authority(&home);
        let collector = Collector::builder().tls(authority.server(Leaf::Good).unwrap()).start().unwrap();
        let (listener, port) = (TcpListener::bind("127.0.0.1:0").unwrap(), collector.port());
        let address = listener.local_addr().unwrap().port();
        let ((said_hello, hello), (answer, answers)) = (mpsc::channel(), mpsc::channel());
        let server = std::thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            // The first byte of the hello; it stays for the real server.
            near.peek(&mut [0]).unwrap();
            said_hello.send(()).unwrap();
            answers.recv().unwrap();
            join(&near, &TcpStream::connect(("127.0.0.1", port)).unwrap());
        });
        let destination = format!("InstrumentationKey={key};IngestionEndpoint=https://localhost:{address}/");
        let mut command = child::command(&home, &destination, &[]);
        trust(&authority, &home, &mut command);
        let mut host = Host::begin(&mut command);
        hello.recv_timeout(PATIENCE).unwrap();
        if opts_out {
            assert_eq!(host.ask("telemetry false"), "0");
        }
        answer.send(()).unwrap();
        if opts_out {
            // It closes the connection by itself.
            server.join().unwrap();
            host.end();
        } else {
            assert_eq!(host.ask("settle"), "settled");
            host.end();
            server.join().unwrap();
        }
        assert_eq!((collector.requests(), home.pending().len()), (usize::from(!opts_out), 0));
    }
}
