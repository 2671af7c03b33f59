//! A tiny HTTP/1.1 server that does what a script says, byte by byte, and writes down what it was asked.
//!
//! In: a function from a request (and how many came before it) to a [`Reply`]. Out: the requests, with the connection
//! that each came on. It speaks just enough HTTP to misbehave in the ways that a real network does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone)]
pub enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Announces the whole body, sends half of it and hangs up.
    Cut(String),
    /// Sends the head at once and the body in two pieces after a pause.
    Slow(String),
    /// Reads and says nothing, for good.
    Hang,
    /// Hangs up without a word.
    Close,
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub form: BTreeMap<String, String>,
    pub raw_body: String,
    pub connection: usize,
}

type Script = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

pub struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub async fn new(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, asked.clone(), Arc::new(script)));
        Self { address, asked, server }
    }

    /// Gives these answers in turn; a request beyond them is a fault of the test.
    pub async fn in_turn(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Mutex<Vec<Option<Reply>>> = Mutex::new(replies.into_iter().map(Some).collect());
        Self::new(move |_, index| {
            let mut replies = replies.lock().unwrap();
            let next = replies.get_mut(index).and_then(Option::take);
            next.unwrap_or_else(|| error(418, "api_error", "one_request_too_many", "the script has ended"))
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// 200 with JSON.
pub fn ok(body: impl Into<String>) -> Reply {
    answer(200, body)
}

/// With the `Request-Id` that every answer of Stripe's has.
pub fn answer(status: u16, body: impl Into<String>) -> Reply {
    Reply::Answer { status, headers: vec![("Request-Id", "req_fake".to_owned())], body: body.into() }
}

pub fn with_header(reply: Reply, name: &'static str, value: &str) -> Reply {
    match reply {
        Reply::Answer { status, mut headers, body } => {
            headers.push((name, value.to_owned()));
            Reply::Answer { status, headers, body }
        }
        other => other,
    }
}

pub fn error(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    let error = serde_json::json!({"error": {"type": kind, "code": code, "message": message}});
    answer(status, error.to_string())
}

/// A list object.
pub fn list(elements: &[String], has_more: bool) -> String {
    format!(
        r#"{{"object": "list", "data": [{}], "has_more": {has_more}, "url": "/v1/x"}}"#,
        elements.join(",")
    )
}

async fn serve(listener: TcpListener, asked: Arc<Mutex<Vec<Asked>>>, script: Arc<Script>) {
    let mut connection = 0;
    while let Ok((stream, _)) = listener.accept().await {
        connection += 1;
        tokio::spawn(converse(stream, connection, asked.clone(), script.clone()));
    }
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Script>,
) {
    let mut unread = Vec::new();
    while let Some(request) = read(&mut stream, &mut unread, connection).await {
        let index = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len() - 1
        };
        match script(&request, index) {
            Reply::Answer { status, headers, body } => {
                let lines: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
                if stream.write_all((head + &body).as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Cut(body) => {
                let half = body.len() / 2;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(&body.as_bytes()[..half]).await;
                return;
            }
            Reply::Slow(body) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let (first, second) = body.as_bytes().split_at(body.len() / 2);
                for piece in [head.as_bytes(), first, second] {
                    stream.write_all(piece).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return,
        }
    }
}

async fn read(stream: &mut TcpStream, unread: &mut Vec<u8>, connection: usize) -> Option<Asked> {
    loop {
        if let Some((request, length)) = parsed(unread, connection) {
            unread.drain(..length);
            return Some(request);
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => unread.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The first whole request, and how many bytes it takes.
fn parsed(bytes: &[u8], connection: usize) -> Option<(Asked, usize)> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: BTreeMap<String, String> = lines.map(header).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let raw_body = rest.get(..length)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asked = Asked {
        method,
        path: path.to_owned(),
        query: pairs(query),
        headers,
        form: pairs(&raw_body),
        raw_body,
        connection,
    };
    Some((asked, head.len() + 4 + length))
}

fn pairs(encoded: &str) -> BTreeMap<String, String> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap();
        (decoded(name), decoded(value))
    };
    encoded.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap()
}
