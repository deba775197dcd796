//! What the tests share: a site whose users everybody knows, and how they log on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use loopback::client::{Client, Response};
use serde_json::Value;
use vms_demo::{Config, DemoVms, User};

/// Longer than anything on loopback takes; a test that waits this long fails.
pub const SOON: Duration = Duration::from_secs(30);

/// A site of the default size with one basic user.
pub fn config() -> Config {
    Config { users: vec![User::basic("reader", "p&w=1 +%")], ..Config::default() }
}

pub fn start(config: Config) -> DemoVms {
    DemoVms::start(config).unwrap()
}

/// The elements of a list.
pub fn array(answer: &Response) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["array"].as_array().unwrap().clone()
}

/// The text of the first detail of a REST error.
pub fn error(answer: &Response) -> String {
    let json = answer.json();
    assert_eq!(json["error"]["httpCode"], answer.status);
    json["error"]["details"][0]["errorText"].as_str().unwrap().to_owned()
}

pub fn connect(vms: &DemoVms) -> Client<TcpStream> {
    Client::connect(vms.port())
}

/// Connects, and logs on as the user of [`config`].
pub fn logged_on(vms: &DemoVms) -> Client<TcpStream> {
    let mut client = connect(vms);
    log_on(&mut client, "reader", "p%26w%3D1+%2B%25");
    client
}

/// Logs on as a basic user, and keeps the token if there is one.
pub fn log_on(client: &mut Client<impl Read + Write>, name: &str, encoded_password: &str) -> Response {
    let form =
        format!("grant_type=password&username={name}&password={encoded_password}&client_id=GrantValidatorClient");
    let answer = post(client, "/API/IDP/connect/token", "", &form);
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    answer
}

pub fn post(client: &mut Client<impl Read + Write>, path: &str, headers: &str, form: &str) -> Response {
    client.post(path, &format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}"), form)
}

/// Asks for something below the REST API, with the token if there is one.
pub fn rest(client: &mut Client<impl Read + Write>, target: &str) -> Response {
    client.get(&format!("/api/rest/v1/{target}"))
}
