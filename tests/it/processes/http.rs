//! What `serve` answers over HTTP, and how it goes on when something fails.
//!
//! In: the real program with a port of its own. Out: statuses and bodies; nothing that a client does ends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::support::{Engine, Workspace, signal};

/// `serve` on a free port; its wakes are years apart but for the first.
struct Served {
    child: Child,
    address: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Served {
    fn start(workspace: &Workspace) -> Self {
        let mut command = workspace.command(&["serve", "--schedule", "0 0 1 1 *"]);
        command.env("BILLRECON_SERVE_LISTEN", "127.0.0.1:0").env("BILLRECON_SERVE_GUARD", "0 0 1 1 *");
        command.env("BILLRECON_SERVE_REMINDERS", "0 0 1 1 *");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let line = until(&mut stderr, "has /health");
        let address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        until(&mut stderr, "the next wake is at");
        Self { child, address, stderr }
    }

    fn asks(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(format!("{request}\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn gets(&self, path: &str) -> (String, String) {
        let answer = self.asks(&format!("GET {path} HTTP/1.1"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    }

    fn ends(mut self) {
        signal(&self.child, "TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(143));
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("panicked"), "{rest}");
    }
}

fn until(reader: &mut impl BufRead, words: &str) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "`{words}` was not said: {said}");
        if line.contains(words) {
            return line;
        }
        said += &line;
    }
}

#[test]
fn health_readiness_and_metrics_are_answered_and_nothing_else() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let served = Served::start(&workspace);
    assert_eq!(served.gets("/health"), ("200".to_owned(), "ok\n".to_owned()));
    assert_eq!(served.gets("/ready"), ("200".to_owned(), "ok\n".to_owned()));
    let (status, metrics) = served.gets("/metrics");
    assert_eq!(status, "200");
    for sign in [
        "billrecon_last_run_timestamp_seconds ",
        "billrecon_run_exit_code ",
        "billrecon_due_periods ",
        "# EOF",
    ] {
        assert!(metrics.contains(sign), "{sign}: {metrics}");
    }
    // A tenant's id is not for everybody.
    assert!(!metrics.contains("acme") && !metrics.contains("beta"), "{metrics}");
    assert_eq!(served.gets("/").0, "404");
    assert!(served.asks("POST /health HTTP/1.1\r\nContent-Length: 0").starts_with("HTTP/1.1 405"));
    assert!(served.asks("nonsense").starts_with("HTTP/1.1 400"));
    // Clients that say nothing hold up nobody.
    let silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    assert_eq!(served.gets("/health").0, "200");
    drop(silent);
    served.ends();
}

#[test]
fn without_its_database_it_lives_and_is_not_ready() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    workspace.write("billrecon.db", "no database".repeat(100));
    let served = Served::start(&workspace);
    assert_eq!(served.gets("/health").0, "200");
    let (status, body) = served.gets("/ready");
    assert!(status == "503" && body.contains("damaged"), "{body}");
    // What is known of the wake is told all the same.
    assert!(
        served.gets("/metrics").1.contains("billrecon_run_exit_code 65"),
        "{}",
        served.gets("/metrics").1
    );
    served.ends();
}

#[test]
fn an_address_that_was_asked_for_must_be_free_and_the_default_need_not() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let served = Served::start(&workspace);
    let mut command = workspace.command(&["serve"]);
    let ended = command.env("BILLRECON_SERVE_LISTEN", &served.address).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(78) && said.contains("serve.listen"), "{said}");
    for wrong in ["localhost", "9464", "127.0.0.1:x"] {
        let mut command = workspace.command(&["serve"]);
        assert_eq!(command.env("BILLRECON_SERVE_LISTEN", wrong).output().unwrap().status.code(), Some(78));
    }
    served.ends();
}
