//! The real binary on usage that lies in a table of the company's own, read by a role that may do nothing but that.
//!
//! In: the small company, its usage imported or in a table or view with other names. Out: the same files to the byte; what an
//! import would set aside, set aside; late rows as adjustments; refusals that say what to do.

use crate::support::own::{OwnTable, SHAPES, Shape};
use crate::support::postgres::{TestDatabase, rows};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, Workspace, block_on, csv_rows, files};
use billrecon::domain::number::Quantity;
use billrecon::domain::usage::UsageRecord;

/// `tenant meter quantity instant id`.
const USAGE: [&str; 6] = [
    "acme b2b.match_request 60 2026-09-01T00:00:00Z a-1",
    "acme b2b.match_request 70 2026-09-30T23:59:59.999999Z a-2",
    "acme storage_gb 999999999999.5 2026-09-10T00:00:00Z a-3",
    "beta b2b.match_request 99.5 2026-09-15T12:00:00Z b-1",
    "beta b2b.match_request 7 2026-10-01T00:00:00Z b-2",
    "dodo b2b.match_request 3 2026-09-15T12:00:00Z d-1",
];

fn record(line: &str) -> UsageRecord {
    let parts: Vec<&str> = line.split(' ').collect();
    let [tenant_id, meter, quantity, occurred_at, id] = parts[..] else { panic!("{line}") };
    UsageRecord {
        tenant_id: tenant_id.to_owned(),
        source_event_id: id.to_owned(),
        meter: meter.to_owned(),
        quantity: Quantity::parse(quantity).unwrap(),
        occurred_at: occurred_at.parse().unwrap(),
        outcome: String::new(),
        source: String::new(),
        properties: "{}".to_owned(),
    }
}

/// The company with a ledger of its own, in a database apart.
struct Company {
    workspace: Workspace,
    own: OwnTable,
    /// The URL of a role that may read this one relation.
    url: String,
    role: String,
    _database: TestDatabase,
}

impl Drop for Company {
    fn drop(&mut self) {
        rows(&self.own.url, &format!("DROP OWNED BY {}", self.role));
        rows(&self.own.url, &format!("DROP ROLE {}", self.role));
    }
}

fn add(own: &OwnTable, lines: &[&str]) {
    let records: Vec<UsageRecord> = lines.iter().map(|line| record(line)).collect();
    block_on(own.add_records(&records, "2026-10-02T00:00:00Z".parse().unwrap()));
}

impl Company {
    fn new(books: Engine, shape: Shape) -> Self {
        let (workspace, database) = (Workspace::new(books), TestDatabase::empty());
        let own = OwnTable::create(&database.url(), shape);
        add(&own, &USAGE);
        let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
        rows(&own.url, &format!("CREATE ROLE {role} LOGIN"));
        rows(&own.url, &format!("GRANT USAGE ON SCHEMA \"Usage Data\" TO {role}"));
        rows(&own.url, &format!("GRANT SELECT ON {} TO {role}", OwnTable::sql_name()));
        let (scheme, rest) = own.url.split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        let url = format!("{scheme}://{role}@{host}");
        workspace.import_rules(CATALOG, TENANTS);
        workspace.write("billrecon.toml", OwnTable::settings());
        Self { workspace, own, url, role, _database: database }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.workspace.command(arguments);
        Ended::of(command.env("BILLRECON_LEDGER_URL", &self.url).output().unwrap())
    }

    /// September is looked at in time and closed.
    fn close(&self, code: i32) -> Ended {
        self.run(&WATCH).expect(code);
        self.run(&CLOSE).expect(code)
    }
}

const WATCH: [&str; 7] =
    ["run", "--period", "2026-09", "--as-of", "2026-09-30T12:00:00Z", "--reports", "watched"];
const CLOSE: [&str; 5] = ["run", "--period", "2026-09", "--as-of", "2026-10-05T00:00:00Z"];

/// The same company without a table of its own, its September closed as well.
fn imported() -> Workspace {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(CATALOG, TENANTS, &usage_csv(&USAGE));
    workspace.run(&WATCH).expect(0);
    workspace.run(&CLOSE).expect(0);
    workspace
}

fn usage_csv(lines: &[&str]) -> String {
    let rows: String = lines.iter().map(|line| format!("{}\n", line.replace(' ', ","))).collect();
    format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{rows}")
}

#[test]
fn the_same_usage_gives_the_same_files_wherever_it_lies() {
    let expected = imported().data_files("2026-09");
    assert!(String::from_utf8_lossy(&expected["lines.csv"]).contains("21000"));
    assert!(String::from_utf8_lossy(&expected["limit_events.csv"]).contains("acme"));
    for shape in SHAPES {
        for books in ENGINES {
            let company = Company::new(books, shape);
            company.close(0);
            let found = company.workspace.data_files("2026-09");
            assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
            for (name, bytes) in &expected {
                assert_eq!(found[name], *bytes, "{name} of {shape:?} with books on {books:?}");
            }
            let again = company.run(&["run", "--as-of", "2026-10-05T01:00:00Z"]).expect(0);
            assert!(!again.stdout.contains("2026-09"), "{}", again.stdout);
        }
    }
}

/// What a command said, whatever its runs are called.
fn without_ids(workspace: &Workspace, ended: &Ended) -> [String; 2] {
    let ids = workspace.sql("SELECT run_id FROM runs");
    [&ended.stdout, &ended.stderr]
        .map(|text| ids.iter().fold(text.clone(), |text, id| text.replace(&id[0], "RUN")))
}

/// Of a closed month with usage that came late, and of the month after it, which is open.
#[test]
fn each_command_says_the_same_wherever_the_usage_lies() {
    let late = ["acme b2b.match_request 20.5 2026-09-20T00:00:00Z late"];
    let imported = imported();
    imported.write("late.csv", usage_csv(&late));
    imported.run(&["import", "usage", "late.csv"]).expect(0);
    let after = ["run", "--as-of", "2026-10-20T00:00:00Z"];
    imported.run(&after).expect(3);
    for (books, shape) in ENGINES.into_iter().zip([Shape::View, Shape::Loose]) {
        let company = Company::new(books, shape);
        company.close(0);
        add(&company.own, &late);
        company.run(&after).expect(3);
        for arguments in [
            &["report", "--period", "2026-09"][..],
            &["report", "--period", "2026-09", "--restated"],
            &["explain", "acme", "--period", "2026-09"],
            &["decide", "--period", "2026-09"],
            &["price", "suggest"],
            &["price", "simulate", "--prices", "5,7,9.5"],
        ] {
            let (expected, found) = (imported.run(arguments).expect(0), company.run(arguments).expect(0));
            assert_eq!(
                without_ids(&company.workspace, &found),
                without_ids(&imported, &expected),
                "{arguments:?}"
            );
        }
        assert_eq!(company.workspace.data_files("2026-10"), imported.data_files("2026-10"));
    }
}

#[test]
fn every_command_works_on_an_own_ledger_and_none_writes_to_it() {
    let company = Company::new(Engine::Sqlite, Shape::View);
    // All of its reports where `verify` looks for them.
    company.run(&WATCH[..5]).expect(0);
    company.run(&CLOSE).expect(0);
    let explained = company.run(&["explain", "acme", "--period", "2026-09", "--records"]).expect(0);
    assert!(explained.stdout.contains("a-2: 70, counted"), "{}", explained.stdout);
    let verified = company.run(&["verify", "--all"]).expect(0);
    assert!(verified.stdout.contains("not checked  ledger"), "{}", verified.stdout);
    assert!(verified.stdout.contains("no receipt says"), "{}", verified.stdout);
    company.run(&["status"]).expect(0);
    company.run(&["guard", "--as-of", "2026-10-05T00:00:00Z"]).expect(0);
    let refused = company.run(&["import", "usage", "-"]).expect(78);
    assert!(refused.stderr.contains("so nothing is imported"), "{}", refused.stderr);
    // What was closed is held against the table as it is now.
    rows(&company.own.url, "DELETE FROM events WHERE \"event.id\" = 'a-1'");
    let verified = company.run(&["verify", "--all"]).expect(65);
    assert!(verified.stderr.contains("acme"), "{}", verified.stderr);
}

#[test]
fn rows_that_come_late_become_adjustments_once() {
    for shape in SHAPES {
        let company = Company::new(Engine::Sqlite, shape);
        company.close(0);
        add(&company.own, &["acme b2b.match_request 20.5 2026-09-20T00:00:00Z late"]);
        let late = company.run(&["run", "--as-of", "2026-10-06T00:00:00Z"]).expect(3);
        assert!(
            late.stdout.contains("late: acme on b2b.match_request, 20.5 (1 record, worth 143.50 TRY)"),
            "{}",
            late.stdout
        );
        company.run(&["run", "--as-of", "2026-10-06T01:00:00Z"]).expect(0);
        assert_eq!(company.workspace.number("SELECT COUNT(*) FROM adjustments"), 1);
    }
}

#[test]
fn rows_that_no_import_would_take_are_told_and_stop_nobody() {
    let company = Company::new(Engine::Sqlite, Shape::Loose);
    for row in [
        "'acme', 'x', 'b2b.match_request', 'NaN', '2026-09-05Z', NULL, NULL, NULL",
        "'acme', 'a-1', 'b2b.match_request', 61, '2026-09-05Z', NULL, NULL, NULL",
        "'beta', 'y', 'calsl', 1, '2026-09-05Z', NULL, NULL, NULL",
        "'nobody', 'z', 'storage_gb', 1, '2026-09-05Z', NULL, NULL, NULL",
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    ] {
        company.own.add(row);
    }
    let ended = company.close(3);
    assert!(ended.stdout.contains("closed") || ended.stderr.contains("closed"), "{ended:?}");
    let set = files(&company.workspace.report_folder("2026-09"));
    let of = |name: &str, keep: &dyn Fn(&std::collections::BTreeMap<String, String>) -> bool| {
        csv_rows(&set[name]).into_iter().filter(|row| keep(row)).collect::<Vec<_>>()
    };
    let told: Vec<String> = of("exceptions.csv", &|row| row["kind"] == "quarantined")
        .iter()
        .map(|row| format!("{} {} {} {}", row["tenant_id"], row["meter"], row["reason"], row["records"]))
        .collect();
    let expected = [
        "  missing_field 1",
        "acme b2b.match_request bad_quantity 1",
        "acme b2b.match_request conflict 2",
        "beta calsl unknown_meter 1",
        "nobody storage_gb unknown_tenant 1",
    ];
    assert_eq!(told, expected);
    let lines = of("lines.csv", &|row| row["kind"] == "usage" && row["meter"] == "b2b.match_request");
    let billed: Vec<&str> = lines.iter().map(|row| row["quantity"].as_str()).collect();
    assert_eq!(billed, ["70", "99.5"], "the 60 units of an id with two contents are nobody's");
    assert_eq!(company.workspace.number("SELECT COUNT(*) FROM billing_windows WHERE status = 'closed'"), 4);
}

#[test]
fn a_ledger_that_cannot_be_read_whole_is_refused() {
    let company = Company::new(Engine::Sqlite, Shape::Keyed);
    let refused = |words: &str, code: i32| {
        let ended = company.run(&CLOSE).expect(code);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    };
    let (table, role) = (OwnTable::sql_name(), &company.role);
    rows(&company.own.url, &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"));
    rows(
        &company.own.url,
        &format!("CREATE POLICY mine ON {table} TO {role} USING (\"Tenant ID\" = 'acme')"),
    );
    refused("row-level security", 77);
    rows(&company.own.url, &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"));
    rows(&company.own.url, &format!("REVOKE SELECT ON {table} FROM {role}"));
    refused("may not SELECT column `Tenant ID`", 77);
    assert_eq!(company.workspace.number("SELECT COUNT(*) FROM intents"), 0);
}

#[test]
fn settings_of_an_own_ledger_that_cannot_be_meant_are_refused() {
    let company = Company::new(Engine::Sqlite, Shape::Keyed);
    let settings = OwnTable::settings();
    let without_url = company.workspace.run(&["status"]).expect(78);
    assert!(without_url.stderr.contains("BILLRECON_LEDGER_URL"), "{}", without_url.stderr);
    for (text, words) in [
        (String::new(), "BILLRECON_LEDGER_URL is set, and no table `ledger`"),
        (settings.replace("occurred_at =", "occured_at ="), "occured_at"),
        (settings.replace("table = ", "table = 'a.b.c' #"), "ledger.table is no name"),
        (
            settings.replace("meter = \"What\"", "meter = \"what\""),
            "its column `what` (ledger.columns.meter) is not there",
        ),
    ] {
        company.workspace.write("billrecon.toml", &text);
        let ended = company.run(&["status"]).expect(78);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        assert!(!ended.stderr.contains(&company.role), "{}", ended.stderr);
    }
}

/// Without sequential scans the server counts what it takes from an index: no more than the rows that are asked for.
#[test]
fn the_indexes_of_the_user_are_asked() {
    for (index, most) in [("\"Tenant ID\", \"at?\"", 40), ("\"at?\"", 300)] {
        let company = Company::new(Engine::Sqlite, Shape::Loose);
        let (url, table) = (&company.own.url, OwnTable::sql_name());
        // An index proves nothing of ids here: it is what the user has for queries.
        rows(url, &format!("ALTER TABLE {table} ADD PRIMARY KEY (\"event.id\", \"Tenant ID\")"));
        rows(url, &format!("CREATE INDEX by_time ON {table} ({index})"));
        rows(
            url,
            &format!(
                "INSERT INTO {table} SELECT 'other' || n % 20, 'o' || n, 'calls', 1, '2025-01-01Z'::timestamptz + n * interval '1 hour'
                 FROM generate_series(1, 14000) n"
            ),
        );
        rows(url, &format!("ANALYZE {table}"));
        let name = url.rsplit('/').next().unwrap();
        rows(url, &format!("ALTER DATABASE {name} SET enable_seqscan TO off"));
        company.run(&["explain", "acme", "--period", "2026-09"]).expect(0);
        let read = "SELECT idx_tup_read::text FROM pg_stat_user_indexes WHERE indexrelname = 'by_time'";
        let scanned = "SELECT seq_scan::text FROM pg_stat_user_tables WHERE relname LIKE 'raw%'";
        let before: i64 = rows(url, scanned)[0][0].parse().unwrap();
        company.run(&["explain", "acme", "--period", "2026-09"]).expect(0);
        let read = || rows(url, read)[0][0].parse::<i64>().unwrap();
        // A session tells what it has counted when it ends, which may be a moment after the program.
        for _ in 0..500 {
            if read() > 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let read = read();
        assert!(read > 0 && read <= most * 8, "{index}: {read} entries were read");
        assert_eq!(
            rows(url, scanned)[0][0].parse::<i64>().unwrap(),
            before,
            "{index}: the whole table was read"
        );
    }
}
