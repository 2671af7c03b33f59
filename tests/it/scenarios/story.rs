//! A story, played with the real binary: what a company's ledger holds, what happens at Stripe, when the job runs.
//!
//! In: a folder with `catalog.toml`, `tenants.csv`, `usage.csv`, if need be `billrecon.toml` and more usage, and `story.toml`: its
//! steps in their order. Out: the folder of the last run's files. Stripe is `billrecon sandbox` in a process of its own, which
//! knows what `at_stripe/` says (else what the ledger's files say), and is spoken to over HTTP. Never evidence made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Ended, Engine, Workspace, journal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    /// When Stripe is set up; its clock stands there.
    starts: String,
    period: String,
    /// How Stripe behaves from the start.
    #[serde(default)]
    manners: String,
    step: Vec<Step>,
}

/// One of: `import`, `post`, `get`, `manners`, `write`, `run`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Stripe's clock goes there first.
    at: Option<String>,
    /// What and from which file, such as `["usage", "more.csv"]`.
    import: Option<[String; 2]>,
    /// A path at Stripe, with `form`; an instant in it goes as Unix seconds, `{name}` as what was kept.
    post: Option<String>,
    #[serde(default)]
    form: BTreeMap<String, String>,
    get: Option<String>,
    /// Names for what stands in an answer, or in a run's JSON, by JSON pointer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// Stripe behaves otherwise from now on.
    manners: Option<String>,
    /// An empty file, such as the off switch.
    write: Option<String>,
    /// The job, at this instant.
    run: Option<String>,
    #[serde(default)]
    dry: bool,
    /// The exit code of an import or a run.
    #[serde(default)]
    ends: i32,
}

/// The folder of a story.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(name)
}

/// A story that has been played to its end.
pub struct Played {
    /// Lives as long as its files are looked at.
    _workspace: Workspace,
    /// Of the last run.
    pub reports: PathBuf,
}

pub fn play(name: &str, engine: Engine) -> Played {
    let folder = folder(name);
    let text = fs::read_to_string(folder.join("story.toml")).unwrap();
    let story: Story = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut stage = Stage::set(&folder, &story, engine);
    for (number, step) in story.step.iter().enumerate() {
        println!("{name}: step {}", number + 1);
        stage.play(step);
    }
    let reports = stage.reports.take().unwrap_or_else(|| panic!("{name}: no run left files"));
    Played { _workspace: stage.workspace, reports }
}

/// The company, and Stripe beside it.
struct Stage {
    workspace: Workspace,
    period: String,
    journal: PathBuf,
    stripe: Stripe,
    now: String,
    kept: BTreeMap<String, String>,
    reports: Option<PathBuf>,
}

impl Stage {
    fn set(folder: &Path, story: &Story, engine: Engine) -> Self {
        let at_stripe = seeded(folder, &story.starts);
        let workspace = Workspace::new(engine);
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), workspace.path(&entry.file_name().into_string().unwrap())).unwrap();
            }
        }
        let journal = workspace.path("stripe.ndjson");
        fs::copy(journal::path(&at_stripe), &journal).unwrap();
        for kind in ["catalog", "tenants", "usage"] {
            let file = if kind == "catalog" { "catalog.toml" } else { &format!("{kind}.csv") };
            workspace.run(&["import", kind, file]).expect(0);
        }
        let stripe = Stripe::start(&workspace, &journal, &story.starts, &story.manners);
        let (period, now) = (story.period.clone(), story.starts.clone());
        Self { workspace, period, journal, stripe, now, kept: BTreeMap::new(), reports: None }
    }

    fn play(&mut self, step: &Step) {
        if let Some(at) = step.run.as_ref().or(step.at.as_ref()) {
            self.now.clone_from(at);
            self.stripe.move_to(at);
        }
        if let Some([kind, file]) = &step.import {
            self.workspace.run(&["import", kind, file]).expect(step.ends);
        } else if let Some(path) = &step.post {
            let form: Vec<String> =
                step.form.iter().map(|(name, value)| format!("{name}={}", self.filled(value))).collect();
            let answer = self.stripe.ask("POST", &self.filled(path), &form.join("&"));
            self.keep(step, &answer);
        } else if let Some(path) = &step.get {
            let answer = self.stripe.ask("GET", &self.filled(path), "");
            self.keep(step, &answer);
        } else if let Some(manners) = &step.manners {
            // One process holds the journal at a time.
            self.stripe.stop();
            self.stripe = Stripe::start(&self.workspace, &self.journal, &self.now, manners);
        } else if let Some(file) = &step.write {
            self.workspace.write(file, "");
        } else if let Some(at) = &step.run {
            self.run(at, step);
        }
    }

    fn run(&mut self, at: &str, step: &Step) {
        let mut arguments = vec!["run", "--json", "--period", &self.period, "--as-of", at];
        if step.dry {
            arguments.push("--dry-run");
        }
        let mut command = self.workspace.command_at(&self.stripe.url, &arguments);
        let ended = Ended::of(command.output().unwrap()).expect(step.ends);
        let outcome = ended.json();
        self.keep(step, &outcome);
        if let Some(folder) = outcome["reports_dir"].as_str() {
            self.reports = Some(self.workspace.path(folder));
        }
    }

    fn keep(&mut self, step: &Step, answer: &Value) {
        for (name, pointer) in &step.keep {
            let found = answer.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {answer}"));
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            self.kept.insert(name.clone(), text);
        }
    }

    fn filled(&self, text: &str) -> String {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return instant.as_second().to_string();
        }
        self.kept
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// A workspace whose embedded sandbox has met the company: its journal is what Stripe knows.
fn seeded(folder: &Path, starts: &str) -> Workspace {
    let at_stripe = |name: &str| {
        let own = folder.join("at_stripe").join(name);
        fs::read_to_string(if own.exists() { own } else { folder.join(name) }).unwrap()
    };
    let workspace = Workspace::new(Engine::Sqlite);
    let no_usage = "tenant_id,meter,quantity,occurred_at,source_event_id\n";
    workspace.import(&at_stripe("catalog.toml"), &at_stripe("tenants.csv"), no_usage);
    workspace.run(&["run", "--as-of", starts]).expect(0);
    workspace
}

/// `billrecon sandbox`, as another process.
struct Stripe {
    child: Child,
    url: String,
}

impl Stripe {
    fn start(workspace: &Workspace, journal: &Path, now: &str, manners: &str) -> Self {
        let file = workspace.write("manners.toml", manners);
        let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--now", now, "--state"]).arg(journal);
        command.arg("--manners").arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, url: line.trim().to_owned() }
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its time goes on; it never goes back.
    fn move_to(&self, instant: &str) {
        let wanted = instant.parse::<Timestamp>().unwrap().as_second();
        let known = self.ask("GET", "/v1/test_helpers/test_clocks?limit=1", "");
        if known["data"][0]["frozen_time"].as_i64().is_none_or(|now| now < wanted) {
            self.ask("POST", "/v1/test_helpers/test_clocks", &format!("frozen_time={wanted}"));
        }
    }

    /// Fails the test unless the answer is 200.
    fn ask(&self, method: &str, path: &str, form: &str) -> Value {
        let address = self.url.strip_prefix("http://").unwrap();
        let form = form.replace('+', "%2B");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer sk_test_story\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) =
            answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path} {form}: {answer}");
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        // It may have been stopped before.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
