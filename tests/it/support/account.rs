//! A Stripe that knows nothing but whose account a key opens, on a loopback port; and a witness between a process and a
//! Stripe, that writes down what is asked.
//!
//! In: an answer to `GET /v1/account`, or the address of the real thing. Out: a base URL, and for the witness the request
//! lines in their order. Never a thread that outlives the test program; a broken connection ends only itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers `GET /v1/account` with this status and body, and everything else with 404; its base URL.
pub fn serve(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _client_has_gone = answer(stream, status, body);
        }
    });
    url
}

/// One request a connection.
fn answer(stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut asked = String::new();
    reader.read_line(&mut asked)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let is_account = asked.starts_with("GET /v1/account ");
    let (status, body) = if is_account { (status, body) } else { (404, "{}") };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} .\r\nRequest-Id: req_fake\r\nContent-Length: {length}\r\nConnection: close"
    );
    reader.get_mut().write_all(format!("{head}\r\n\r\n{body}").as_bytes())
}

/// Account of a company, as Stripe shows it to a test key.
pub const COMPANY: &str = r#"{"id": "acct_1ABC", "object": "account", "charges_enabled": true}"#;
pub const OTHER_COMPANY: &str = r#"{"id": "acct_2XYZ", "object": "account", "charges_enabled": true}"#;
pub const BAD_KEY: &str =
    r#"{"error": {"type": "invalid_request_error", "message": "Invalid API Key provided: sk_test_***"}}"#;

/// Passes everything on, and keeps method and path of each request.
pub struct Witness {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Witness {
    /// Before `upstream`, a base URL without a path.
    pub fn before(upstream: &str) -> Self {
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&upstream).unwrap();
                let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let heard = heard.clone();
                thread::spawn(move || pass(client, server, |bytes| listen(bytes, &heard)));
                thread::spawn(move || pass(from_server, to_client, |_| {}));
            }
        });
        Self { url, asked }
    }

    /// Such as `GET /v1/account`, without what follows a question mark; since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// A client waits for an answer before it asks again, so a request begins what it sends in one go.
fn listen(bytes: &[u8], heard: &Mutex<Vec<String>>) {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    if let (Some(method), Some(path), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) {
        heard.lock().unwrap().push(format!("{method} {}", path.split('?').next().unwrap_or_default()));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, hear: impl Fn(&[u8])) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        hear(&bytes[..read]);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _closed_already = to.shutdown(Shutdown::Write);
}
