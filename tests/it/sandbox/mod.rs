//! `billrecon sandbox`, driven from the outside over HTTP.
//!
//! In: the real binary on a free port, a journal in a folder of its own, a clock that the test sets. Out: what clients of
//! Stripe would see. The client here is a socket and a few lines, so that nothing of ours stands between.

mod async_stripe;
mod embedded;
mod extras;
mod faults;
mod journal;
mod life;
mod local;
mod manners;
mod meters;
mod moods;
mod pricing;
mod python_sdk;
mod shapes;
mod what_if;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, signal};

/// 1 October 2026, 00:00 UTC.
const OCTOBER: i64 = 1_790_812_800;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// A running sandbox.
pub struct Served {
    child: Child,
    pub address: String,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub text: String,
    /// Null where the text is no JSON.
    body: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// The error's message, once the status is the one expected.
    #[track_caller]
    fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.body["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// One way to start it: what comes after `billrecon sandbox`.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
    command.arg("sandbox").args(arguments).stdin(Stdio::null());
    command
}

impl Served {
    /// At 1 October 2026.
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), "2026-10-01T00:00:00Z")
    }

    pub fn at(folder: TempDir, now: &str) -> Self {
        Self::with(folder, &["--now", now])
    }

    /// At 1 October 2026, with manners from a file.
    fn mannered(manners: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manners.toml");
        fs::write(&path, manners).unwrap();
        Self::with(folder, &["--now", "2026-10-01T00:00:00Z", "--manners", path.to_str().unwrap()])
    }

    fn with(folder: TempDir, arguments: &[&str]) -> Self {
        let state = folder.path().join("state.ndjson");
        let state = ["--state", state.to_str().unwrap()];
        let mut child = command(&[&state[..], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_default().to_owned();
        let mut stderr = String::new();
        if address.is_empty() {
            child.stderr.as_mut().unwrap().read_to_string(&mut stderr).unwrap();
        }
        assert!(!address.is_empty(), "it did not start: {stderr}");
        Self { child, address, folder }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state.ndjson")
    }

    /// Kills it without warning and starts it again on the same journal.
    fn killed_and_started_again(mut self, now: &str) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::at(folder, now)
    }

    /// Ends it by a signal.
    fn ended_by(mut self, name: &str) -> Ended {
        signal(&self.child, name);
        let status = self.child.wait().unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ended { code: status.code(), stdout: String::new(), stderr }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[KEY])
    }

    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send("POST", path, form, &[KEY])
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], &[KEY])
    }

    fn send(&self, method: &str, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        send(&self.address, method, path, form, headers)
    }

    /// Sets the sandbox's time, through a test clock of its own making.
    fn clock(&self) -> Clock<'_> {
        let now = self.get("/v1/test_helpers/test_clocks").ok();
        assert_eq!(now["data"].as_array().unwrap().len(), 0);
        let form = [("frozen_time", "1790812800"), ("name", "tests")];
        let clock = self.post("/v1/test_helpers/test_clocks", &form).ok();
        Clock { sandbox: self, id: clock["id"].as_str().unwrap().to_owned() }
    }

    pub fn customer(&self) -> String {
        id(&self.post("/v1/customers", &[("name", "Acme")]).ok())
    }

    fn meter(&self, event_name: &str, formula: &str) -> String {
        let form = [
            ("display_name", event_name),
            ("event_name", event_name),
            ("default_aggregation[formula]", formula),
        ];
        id(&self.post("/v1/billing/meters", &form).ok())
    }

    /// A metered monthly price; `form` says how it is priced.
    fn metered_price(&self, meter: &str, form: &[(&str, &str)]) -> String {
        let common = [
            ("currency", "usd"),
            ("product_data[name]", "Requests"),
            ("recurring[interval]", "month"),
            ("recurring[usage_type]", "metered"),
            ("recurring[meter]", meter),
        ];
        id(&self.post("/v1/prices", &[&common[..], form].concat()).ok())
    }

    fn base_price(&self, amount: &str) -> String {
        let form = [
            ("currency", "usd"),
            ("product_data[name]", "Base"),
            ("recurring[interval]", "month"),
            ("unit_amount", amount),
        ];
        id(&self.post("/v1/prices", &form).ok())
    }

    pub fn subscribe(&self, customer: &str, prices: &[&str], more: &[(&str, &str)]) -> Value {
        let names: Vec<String> = (0..prices.len()).map(|place| format!("items[{place}][price]")).collect();
        let mut form = vec![("customer", customer)];
        form.extend(names.iter().map(String::as_str).zip(prices.iter().copied()));
        form.extend(more);
        self.post("/v1/subscriptions", &form).ok()
    }

    fn report(&self, event: &str, customer: &str, value: &str, identifier: &str, timestamp: i64) -> Answer {
        let timestamp = timestamp.to_string();
        let form = [
            ("event_name", event),
            ("payload[stripe_customer_id]", customer),
            ("payload[value]", value),
            ("identifier", identifier),
            ("timestamp", &timestamp),
        ];
        self.post("/v1/billing/meter_events", &form)
    }

    fn preview(&self, subscription: &str) -> Value {
        self.post("/v1/invoices/create_preview", &[("subscription", subscription)]).ok()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

struct Clock<'a> {
    sandbox: &'a Served,
    id: String,
}

impl Clock<'_> {
    #[track_caller]
    fn advance(&self, frozen_time: i64) {
        let path = format!("/v1/test_helpers/test_clocks/{}/advance", self.id);
        self.sandbox.post(&path, &[("frozen_time", &frozen_time.to_string())]).ok();
    }
}

const KEY: (&str, &str) = ("Authorization", "Bearer sk_test_anything");

fn send(address: &str, method: &str, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    exchange(address, method, path, &body_of(form), headers)
}

fn body_of(form: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

pub fn exchange(address: &str, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = sent(address, method, path, body, headers);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    answer_of(status, lines.map(header).collect(), text.to_owned())
}

/// A connection on which the answer, or whatever else, is still to come.
fn sent(address: &str, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn answer_of(status: u16, headers: BTreeMap<String, String>, text: String) -> Answer {
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
}

pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

pub fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// Quantity and amount of each line.
fn figures(invoice: &Value) -> Vec<(String, i64)> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines
        .map(|line| (line["quantity_decimal"].as_str().unwrap().to_owned(), line["amount"].as_i64().unwrap()))
        .collect()
}

fn pairs(figures: &[(&str, i64)]) -> Vec<(String, i64)> {
    figures.iter().map(|(quantity, amount)| ((*quantity).to_owned(), *amount)).collect()
}

/// The list's objects.
fn data(list: &Value) -> &Vec<Value> {
    list["data"].as_array().unwrap()
}
