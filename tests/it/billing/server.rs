//! `billrecon sandbox` as another process, a client for it, and a proxy in front of it that a test holds in its hand.
//!
//! In: a journal and an instant; for each request a decision what is to become of it. Out: answers as JSON, and all
//! requests that passed. It speaks just enough HTTP/1.1 and closes after each answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::world::KEY;

/// October 2026.
const START: &str = "2026-10-01T00:00:00Z";
const END: &str = "2026-11-01T00:00:00Z";

pub fn seconds(instant: &str) -> i64 {
    instant.parse::<Timestamp>().unwrap().as_second()
}

pub struct SandboxProcess {
    child: Child,
    address: String,
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl SandboxProcess {
    pub fn start(journal: &Path, now: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
        command.args(["sandbox", "--now", now, "--state"]).arg(journal);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn get(&self, path: &str) -> Value {
        request(&self.address, "GET", path, "")
    }

    pub fn post(&self, path: &str, form: &str) -> Value {
        request(&self.address, "POST", path, form)
    }

    pub fn delete(&self, path: &str) -> Value {
        request(&self.address, "DELETE", path, "")
    }

    /// Its time goes on; it never goes back.
    pub fn move_to(&self, instant: &str) {
        let instant = seconds(instant);
        let known = self.get("/v1/test_helpers/test_clocks?limit=1");
        let now = known["data"][0]["frozen_time"].as_i64().unwrap_or(0);
        if instant > now {
            self.post("/v1/test_helpers/test_clocks", &format!("frozen_time={instant}"));
        }
    }

    pub fn meter_id(&self) -> String {
        self.get("/v1/billing/meters")["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// What the meter shows of a customer in October.
    pub fn total(&self, customer: &str) -> String {
        let (meter, start, end) = (self.meter_id(), seconds(START), seconds(END));
        let path = format!(
            "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={start}&end_time={end}"
        );
        self.get(&path)["data"][0]["aggregated_value"].to_string()
    }

    /// Usage that somebody else sends.
    pub fn send_event(&self, customer: &str, value: &str, identifier: &str) {
        let form = format!(
            "event_name=b2b_match_request&identifier={identifier}&timestamp={}&payload[value]={value}\
             &payload[stripe_customer_id]={customer}",
            seconds("2026-10-06T00:00:00Z")
        );
        self.post("/v1/billing/meter_events", &form);
    }

    /// Quantity and amount of all usage lines on the renewal invoice of October.
    pub fn invoiced(&self, subscription: &str, price: &str) -> (i64, i64) {
        let listed = self.get(&format!("/v1/invoices?subscription={subscription}&limit=10"));
        let invoices = listed["data"].as_array().unwrap();
        let lines = invoices.iter().flat_map(|invoice| invoice["lines"]["data"].as_array().unwrap());
        let of_usage = lines.filter(|line| {
            line["pricing"]["price_details"]["price"] == price && line["period"]["start"] == seconds(START)
        });
        of_usage.fold((0, 0), |(quantity, amount), line| {
            (quantity + line["quantity"].as_i64().unwrap(), amount + line["amount"].as_i64().unwrap())
        })
    }
}

/// Fails the test unless the answer is 200.
#[track_caller]
pub fn request(address: &str, method: &str, path: &str, form: &str) -> Value {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = exchange(address, head.as_bytes());
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path} {form}: {text}");
    serde_json::from_str(body).unwrap()
}

fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub body: String,
    head: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub fn is_push(&self) -> bool {
        self.method == "POST" && self.path.starts_with("/v1/billing/meter_events")
    }

    pub fn is_total(&self) -> bool {
        self.path.contains("/event_summaries")
    }

    pub fn is_preview(&self) -> bool {
        self.path.starts_with("/v1/invoices/create_preview")
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Pass,
    /// It never gets there.
    HoldBefore,
    /// It gets there, and the answer never comes back.
    HoldAfter,
    /// The proxy answers itself.
    Answer(u16, &'static str),
    /// It gets there, and the proxy rewrites what comes back.
    Change(fn(&mut Value)),
}

type Rule = dyn FnMut(&Asked) -> Act + Send;

pub struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    rule: Arc<Mutex<Box<Rule>>>,
    held: Receiver<Asked>,
}

impl Proxy {
    pub fn start(url: &str) -> Self {
        let target = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let rule: Arc<Mutex<Box<Rule>>> = Arc::new(Mutex::new(Box::new(|_| Act::Pass)));
        let (holds, held) = channel();
        let (seen, rules) = (asked.clone(), rule.clone());
        // It lives as long as the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, target, holds) = (stream.unwrap(), target.clone(), holds.clone());
                let (seen, rules) = (seen.clone(), rules.clone());
                thread::spawn(move || serve(stream, &target, &seen, &rules, &holds));
            }
        });
        Self { address, asked, rule, held }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn rule(&self, rule: impl FnMut(&Asked) -> Act + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Waits for a request that is held.
    pub fn held(&self) -> Asked {
        self.held.recv_timeout(Duration::from_mins(2)).unwrap()
    }

    /// All requests so far.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(
    mut stream: TcpStream,
    target: &str,
    seen: &Mutex<Vec<Asked>>,
    rule: &Mutex<Box<Rule>>,
    hold: &Sender<Asked>,
) {
    let Some(asked) = read(&mut stream) else { return };
    seen.lock().unwrap().push(asked.clone());
    let act = rule.lock().unwrap()(&asked);
    let answer = match act {
        Act::Answer(status, body) => answer(status, body),
        Act::HoldBefore => Vec::new(),
        Act::Pass | Act::HoldAfter => passed(&asked, target),
        Act::Change(change) => {
            let text = String::from_utf8(passed(&asked, target)).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let mut body: Value = serde_json::from_str(body).unwrap();
            change(&mut body);
            answer(200, &body.to_string())
        }
    };
    if matches!(act, Act::HoldBefore | Act::HoldAfter) {
        // The test may have ended; then nobody waits.
        let _nobody = hold.send(asked);
        let _left = stream.read(&mut [0; 1]);
        return;
    }
    let _left = stream.write_all(&answer);
}

fn passed(asked: &Asked, target: &str) -> Vec<u8> {
    let forwarded = format!("{}Connection: close\r\n\r\n{}", asked.head, asked.body);
    exchange(target, forwarded.as_bytes())
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nRequest-Id: req_proxy\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// `None` where no request came.
fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut head, mut length) = (line.clone(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let lower = header.to_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if header.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&header);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body: String::from_utf8(body).unwrap(), head })
}
