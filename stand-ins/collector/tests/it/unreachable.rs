//! Ports that nobody gets through to.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use vms_collector::{black_hole, closed_port};

use crate::common::KEY;

#[test]
fn a_closed_port_refuses_and_stays_taken() {
    let nobody = closed_port().unwrap();
    let error = TcpStream::connect(("127.0.0.1", nobody.port())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(TcpListener::bind(("127.0.0.1", nobody.port())).is_err());
    let endpoint = format!("http://127.0.0.1:{}/", nobody.port());
    assert_eq!(nobody.connection_string(KEY), format!("InstrumentationKey={KEY};IngestionEndpoint={endpoint}"));
}

#[test]
fn a_black_hole_lets_connections_time_out() {
    let hole = black_hole().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], hole.port()));
    for _ in 0..3 {
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
    drop(hole);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
