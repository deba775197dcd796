//! What the tests share: a site whose users everybody knows, and a client that sends exactly the bytes it is given.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use vms_demo::{Config, DemoVms, User};

/// A site of the default size with one basic user.
pub fn config() -> Config {
    Config { users: vec![User::basic("reader", "p&w=1 +%")], ..Config::default() }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:.200}", self.body))
    }

    /// The elements of a list.
    pub fn array(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["array"].as_array().unwrap().clone()
    }

    /// The text of the first detail of a REST error.
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json["error"]["httpCode"], self.status);
        json["error"]["details"][0]["errorText"].as_str().unwrap().to_owned()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

pub struct Client<S> {
    stream: BufReader<S>,
    pub token: Option<String>,
}

impl Client<TcpStream> {
    pub fn connect(vms: &DemoVms) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", vms.port())).unwrap())
    }

    /// Connects, and logs on as the user of [`config`].
    pub fn logged_on(vms: &DemoVms) -> Self {
        let mut client = Self::connect(vms);
        let answer = client.log_on("reader", "p%26w%3D1+%2B%25");
        client.token = Some(answer.json()["access_token"].as_str().unwrap().to_owned());
        client
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream), token: None }
    }

    pub fn log_on(&mut self, name: &str, encoded_password: &str) -> Answer {
        let form =
            format!("grant_type=password&username={name}&password={encoded_password}&client_id=GrantValidatorClient");
        self.post("/API/IDP/connect/token", &form)
    }

    pub fn post(&mut self, path: &str, form: &str) -> Answer {
        self.post_with(path, "", form)
    }

    pub fn post_with(&mut self, path: &str, headers: &str, form: &str) -> Answer {
        let length = form.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             {headers}Content-Length: {length}\r\n\r\n{form}"
        ))
    }

    /// Asks for something below the REST API, with the token if there is one.
    pub fn rest(&mut self, target: &str) -> Answer {
        self.get(&format!("/api/rest/v1/{target}"))
    }

    pub fn get(&mut self, target: &str) -> Answer {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"))
    }

    pub fn ask(&mut self, text: &str) -> Answer {
        self.send(text);
        self.answer().expect("an answer")
    }

    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Reads an answer, or `None` if the connection ends before its end.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let mut body = Vec::new();
        if answer.headers("transfer-encoding") == ["chunked"] {
            while let Some(mut chunk) = self.chunk() {
                if chunk.is_empty() {
                    answer.body = String::from_utf8(body).unwrap();
                    return Some(answer);
                }
                body.append(&mut chunk);
            }
            return None;
        }
        // An interim answer has no body.
        if status == 100 {
            return Some(answer);
        }
        body.resize(answer.headers("content-length").first()?.parse().unwrap(), 0);
        self.stream.read_exact(&mut body).ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    /// Reads whatever still comes.
    pub fn rest_of_connection(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }
}
