//! A server on this machine that stands for Slack: one answer per request, in order; after the last, it says `ok`.
//!
//! In: answers. Out: the requests as they came. It speaks just enough HTTP/1.1, and closes after each answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use secrecy::SecretString;

/// The part of a webhook's address that is its secret.
pub const LONG_PATH: &str = "/services/T0CANARY00/B0CANARY00/c4n4rys3cr3tc4n4rys3cr3t";

#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Ok,
    /// Status, body, and further header lines.
    Status(u16, &'static str, &'static str),
    /// Reads the request and closes.
    Close,
    /// Reads the request and says nothing until the other side leaves.
    Hang,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub line: String,
    /// In lower case.
    pub headers: String,
    pub body: String,
}

pub struct FakeSlack {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeSlack {
    pub fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, mut answers) = (requests.clone(), Vec::from(answers).into_iter());
        // It lives as long as the test's process; a connection each is all that it holds.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if let Some(request) = read(&mut stream) {
                    seen.lock().unwrap().push(request);
                    answer(&mut stream, answers.next().unwrap_or(Answer::Ok));
                }
            }
        });
        Self { port, requests }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn webhook(&self) -> SecretString {
        format!("http://127.0.0.1:{}{LONG_PATH}", self.port).into()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// `None` where no request came, as after a failed handshake.
pub(super) fn read(stream: &mut TcpStream) -> Option<Request> {
    let at = Instant::now();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|_| line.starts_with("POST ") || line.starts_with("GET "))?;
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") && reader.read_line(&mut headers).ok()? > 2 {}
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|header| header.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        at,
        line: line.trim().to_owned(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

pub(super) fn answer(stream: &mut TcpStream, answer: Answer) {
    let (status, body, headers) = match answer {
        Answer::Ok => (200, "ok", "Content-Type: text/html\r\n"),
        Answer::Status(status, body, headers) => (status, body, headers),
        Answer::Close => return,
        Answer::Hang => {
            let _left = stream.read(&mut [0; 1]);
            return;
        }
    };
    let plain = if headers.to_lowercase().contains("content-type") || body == "ok" {
        ""
    } else {
        "Content-Type: text/plain\r\n"
    };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}{plain}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // The other side may have left.
    let _left = stream.write_all(text.as_bytes());
}
