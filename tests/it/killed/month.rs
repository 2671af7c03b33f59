//! A tiny month just before it is closed: one tenant has something to push, one is parked, one is late.
//!
//! In: an engine. Out: workspaces that all begin with the same bytes, Stripe in another process, Slack in this one. The run
//! under test closes October, pushes what November has, writes the files of both and tells Slack.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::processes::{expire_lease, lease_of};
use crate::slack::server::{FakeSlack, LONG_PATH};
use crate::support::journal::{self, Event};
use crate::support::postgres::TestDatabase;
use crate::support::served::Served;
use crate::support::{Ended, Engine, Workspace};

pub const CLOSED: &str = "2026-10";
pub const OPEN: &str = "2026-11";
/// October's invoices are final, and so is the window of a tenant without one.
const NOW: &str = "2026-11-01T02:30:00Z";
const RUN: [&str; 3] = ["run", "--as-of", NOW];

const CATALOG: &str = r#"
[[meter]]
key = "requests"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "requests"
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
"#;

const TENANTS: &str = "\
tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at
late,pro,try,cus_late,sub_late,2026-10-01T00:00:00Z
lost,pro,try,,,2026-10-01T00:00:00Z
pushes,pro,try,cus_pushes,sub_pushes,2026-10-01T00:00:00Z
";

const IN_TIME: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id
late,requests,60,2026-10-05T00:00:00Z,late-1
lost,requests,5,2026-10-05T00:00:00Z,lost-1
pushes,requests,130,2026-10-05T00:00:00Z,pushes-1
";

const AFTERWARDS: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id
late,requests,7,2026-10-31T23:00:00Z,late-2
late,requests,3.5,2026-11-01T00:20:00Z,late-3
pushes,requests,11,2026-11-01T00:10:00Z,pushes-2
";

/// The month, made once and copied.
pub struct Month {
    original: Workspace,
}

impl Month {
    pub fn new(engine: Engine) -> Self {
        Self::on(Workspace::new(engine))
    }

    /// On an empty database.
    pub fn on(original: Workspace) -> Self {
        original.import(CATALOG, TENANTS, IN_TIME);
        original.watch_at(CLOSED, "2026-10-31T12:00:00Z");
        original.write("afterwards.csv", AFTERWARDS);
        original.run(&["import", "usage", "afterwards.csv"]).expect(0);
        Self { original }
    }

    pub fn copy(&self) -> Workspace {
        if self.original.url.starts_with("sqlite:") {
            assert!(!self.original.path("billrecon.db-wal").exists(), "the original is still open");
            let copy = Workspace::fresh(Engine::Sqlite);
            fs::copy(self.original.path("billrecon.db"), copy.path("billrecon.db")).unwrap();
            return self.with_journal(copy);
        }
        let (_, name) = self.original.url.rsplit_once('/').unwrap();
        self.with_journal(Workspace::on(TestDatabase::create(&format!("TEMPLATE {name}"))))
    }

    /// A copy of the database was made elsewhere.
    pub fn with_journal(&self, copy: Workspace) -> Workspace {
        fs::write(journal::path(&copy), journal::bytes(&self.original).unwrap()).unwrap();
        copy
    }
}

/// A copy of the month with its Stripe and its Slack, which are never killed.
pub struct Stage<'a> {
    pub workspace: &'a Workspace,
    pub slack: FakeSlack,
    stripe: Served<'a>,
}

impl<'a> Stage<'a> {
    pub fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, slack: FakeSlack::start(&[]), stripe: Served::start(workspace, NOW) }
    }

    pub fn command(&self, flags: &[&str]) -> Command {
        let mut command = self.workspace.command_at(self.stripe.url(), &[&RUN[..], flags].concat());
        let webhook = format!("http://127.0.0.1:{}{LONG_PATH}", self.slack.port());
        command.env("BILLRECON_SLACK_WEBHOOK_URL", webhook);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The run that is to be disturbed. A dead holder's lease is soon over.
    pub fn disturbed(&self) -> Command {
        let config = lease_of(self.workspace, "2s");
        self.command(&config.each_ref().map(String::as_str))
    }

    /// The next run, which nobody disturbs.
    pub fn run_again(&self) {
        if self.workspace.url.starts_with("postgres:") {
            // Its holder is gone, so nobody need wait. A SQLite file would be mended by this look at it.
            expire_lease(self.workspace);
        }
        let ended = Ended::of(self.command(&["--lock-wait", "5m"]).output().unwrap());
        // One is parked for ever.
        ended.expect(3);
    }

    pub fn outcome(&self) -> Outcome {
        let mut events = journal::events(self.workspace);
        events.sort();
        Outcome {
            closed: self.workspace.data_files(CLOSED),
            open: newest_data_files(self.workspace),
            rows: rows(self.workspace),
            events,
        }
    }
}

/// What must be the same, whatever was done to the run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    closed: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<String, Vec<u8>>,
    rows: BTreeMap<String, Vec<Vec<String>>>,
    events: Vec<Event>,
}

impl Outcome {
    #[track_caller]
    pub fn assert_is(&self, expected: &Self, what: &str) {
        for (mine, theirs, period) in
            [(&self.closed, &expected.closed, CLOSED), (&self.open, &expected.open, OPEN)]
        {
            assert_eq!(
                mine.keys().collect::<Vec<_>>(),
                theirs.keys().collect::<Vec<_>>(),
                "{what}: files of {period}"
            );
            for (name, bytes) in mine {
                let texts = [bytes, &theirs[name]].map(|bytes| String::from_utf8_lossy(bytes));
                assert_eq!(texts[0], texts[1], "{what}: {name} of {period}");
            }
        }
        for (table, rows) in &self.rows {
            assert_eq!(rows, &expected.rows[table], "{what}: table {table}");
        }
        assert_eq!(self.events, expected.events, "{what}: what Stripe has counted");
    }
}

/// Each run of an open period leaves its files; the last one's count.
fn newest_data_files(workspace: &Workspace) -> BTreeMap<String, Vec<u8>> {
    let sql = format!("SELECT run_id FROM billing_period_jobs WHERE period = '{OPEN}'");
    let run_id = &workspace.sql(&sql)[0][0];
    let mut files = crate::support::files(&workspace.path("reports").join(OPEN).join(run_id));
    files.retain(|name, _| name != "SHA256SUMS" && !crate::support::OF_ONE_RUN.contains(&&**name));
    files
}

/// They tell of runs, not of figures.
const OF_RUNS: [&str; 5] = ["lease", "runs", "audit_log", "run_evidence", "import_receipts"];
/// They name a run or a process, or count what one run did.
const OF_ONE_RUN: [&str; 9] =
    ["run_id", "message_id", "body", "followup", "folder", "attempts", "pushed", "pending_before", "hash"];

/// Every row of every table that holds figures.
fn rows(workspace: &Workspace) -> BTreeMap<String, Vec<Vec<String>>> {
    let columns = if workspace.url.starts_with("sqlite:") {
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' ORDER BY tables.name, columns.cid"
    } else {
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in workspace.sql(columns) {
        if !OF_RUNS.contains(&&*row[0]) && !row[0].starts_with("_sqlx") && !OF_ONE_RUN.contains(&&*row[1]) {
            tables.entry(row[0].clone()).or_default().push(format!("COALESCE(CAST({} AS TEXT), '')", row[1]));
        }
    }
    let rows = |(table, columns): (String, Vec<String>)| {
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        let mut rows = workspace.sql(&sql);
        rows.sort();
        (table, rows)
    };
    tables.into_iter().map(rows).collect()
}
