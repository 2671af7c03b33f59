//! `run --what-if`: Stripe computes what open windows would cost at the candidate prices, and nothing else happens.
//!
//! In: the five companies, and a small one whose Stripe lies, refuses or leaves out. Out: a row for each tenant and meter, the
//! same bytes in database and journal, and no POST but previews.

mod lies;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::dry_run::known;
use crate::support::account::Witness;
use crate::support::served::Served;
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace};

const COMPANIES: [&str; 5] =
    ["match-requests", "session-minutes", "pay-what-works", "iot-fleet", "api-platform"];
/// After `Workspace::watch`, on the same day.
const AFTERNOON: &str = "2026-10-31T13:00:00Z";

/// A company of `examples/`, whose October has been pushed.
fn company(name: &str, engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let usage = if name == "pay-what-works" { "usage.ndjson" } else { "usage.csv" };
    for (what, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", usage)] {
        workspace.write(file, fs::read(folder.join(file)).unwrap());
        workspace.run(&["import", what, file]).expect(0);
    }
    workspace.watch("2026-10");
    workspace
}

fn ask(workspace: &Workspace) -> Ended {
    workspace.run(&["run", "--what-if", "--json", "--period", "2026-10", "--as-of", AFTERNOON])
}

fn rows(ended: &Ended) -> Vec<Value> {
    ended.json()["what_if"].as_array().unwrap().clone()
}

/// Outcome and reason, by tenant and meter.
fn outcomes(ended: &Ended) -> BTreeMap<String, String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let told = |row: &Value| {
        let name = format!("{} {}", text(row, "tenant_id"), text(row, "meter"));
        (name, format!("{} {}", text(row, "outcome"), text(row, "reason")).trim_end().to_owned())
    };
    rows(ended).iter().map(told).collect()
}

/// Computed by hand from the companies' pages: graduated, packages, volume, per unit with a quota taken off before.
const FIGURES: [(&str, &str, &str, &str, i64); 8] = [
    ("match-requests", "cinar", "b2b.match_request", "250", 105_000),
    ("match-requests", "ege", "b2b.match_request", "101", 700),
    ("iot-fleet", "crate", "devices", "23", 12_000),
    ("iot-fleet", "drone", "devices", "25", 19_500),
    ("iot-fleet", "bolt", "messages", "1500000", 5_000),
    ("api-platform", "forge", "api_requests", "10000", 100_000),
    ("api-platform", "gale", "api_requests", "10001", 50_005),
    ("api-platform", "atlas", "api_requests", "48210", 48_210),
];

#[test]
fn stripe_and_we_agree_on_every_tenant_of_the_five_companies() {
    for name in COMPANIES {
        // The companies do not differ by database.
        let engine = ENGINES[usize::from(name == "iot-fleet")];
        let workspace = company(name, engine);
        let ended = ask(&workspace).expect(0);
        let rows = rows(&ended);
        assert!(rows.len() > 3, "{name}: {rows:?}");
        for row in &rows {
            assert_eq!((&row["outcome"], &row["reason"]), (&"agrees".into(), &"".into()), "{name}: {row}");
            assert_eq!(row["stripe_amount_minor"], row["rated_amount_minor"], "{name}: {row}");
            assert_eq!(row["stripe_amount_minor"], row["ledger_amount_minor"], "{name}: {row}");
            assert_eq!(row["stripe_quantity"], row["ledger_quantity"], "{name}: {row}");
        }
        for (_, tenant, meter, quantity, amount) in FIGURES.iter().filter(|one| one.0 == name) {
            let of = |row: &&Value| row["tenant_id"] == *tenant && row["meter"] == *meter;
            let row = rows.iter().find(of).unwrap();
            assert_eq!(
                (&row["stripe_quantity"], &row["stripe_amount_minor"]),
                (&(*quantity).into(), &(*amount).into())
            );
        }
        // A run that was not asked says nothing of it.
        let plain =
            workspace.run(&["run", "--dry-run", "--json", "--period", "2026-10", "--as-of", AFTERNOON]);
        assert!(plain.expect(0).json().get("what_if").is_none());
    }
}

#[test]
fn nothing_is_written_and_nothing_is_posted_but_previews_without_a_key() {
    for engine in ENGINES {
        let workspace = company("match-requests", engine);
        // Not pushed yet: a what-if pushes it as little as a dry run.
        let more = "tenant_id,meter,quantity,occurred_at,source_event_id\ncinar,b2b.match_request,5,2026-10-31T12:30:00Z,more\n";
        workspace.write("more.csv", more);
        workspace.run(&["import", "usage", "more.csv"]).expect(0);
        let stripe = Served::start(&workspace, AFTERNOON);
        let witness = Witness::before(stripe.url());
        let before = known(&workspace);
        let arguments = ["run", "--what-if", "--json", "--period", "2026-10", "--as-of", AFTERNOON];
        let ended = Ended::of(workspace.command_at(&witness.url, &arguments).output().unwrap()).expect(0);
        assert!(known(&workspace) == before, "{engine:?}");
        assert!(workspace.report_folders("2026-10").is_empty());
        let outcome = ended.json();
        assert_eq!((&outcome["run_id"], &outcome["dry_run"]), (&Value::Null, &true.into()));
        let posts: Vec<String> = witness.take().into_iter().filter(|one| !one.starts_with("GET ")).collect();
        // Seven windows, each as it is and as it would be.
        assert_eq!(posts, ["POST /v1/invoices/create_preview"; 14]);
        // What has not been pushed is beside it.
        let cinar = rows(&ended).into_iter().find(|row| row["tenant_id"] == "cinar").unwrap();
        let shown = ["stripe_quantity", "ledger_quantity", "outcome"].map(|key| cinar[key].clone());
        assert_eq!(shown, ["250", "255", "agrees"].map(Value::from));
        assert_eq!([&cinar["stripe_amount_minor"], &cinar["ledger_amount_minor"]], [105_000, 108_500]);
    }
}

#[test]
fn a_terminal_shows_ten_rows_the_count_of_the_rest_and_totals_all_marked() {
    let workspace = company("iot-fleet", Engine::Sqlite);
    let text =
        workspace.run(&["run", "--what-if", "--period", "2026-10", "--as-of", AFTERNOON]).expect(0).stdout;
    let told: Vec<&str> =
        text.lines().filter(|line| line.contains("agrees") || line.contains("Stripe")).collect();
    assert!(told.iter().all(|line| line.starts_with("  WHAT-IF")), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with("USD  agrees")).count(), 10, "{text}");
    for words in [
        "nothing is charged by it",
        "  WHAT-IF: … and 1 more in run --what-if --json\n",
        "  WHAT-IF total in USD: Stripe 476.00, our rating 476.00, ledger 476.00\n",
        "  WHAT-IF rows: 0 differs, 0 other_quantity, 0 skipped, 11 agrees\n",
    ] {
        assert!(text.contains(words), "`{words}` is missing in: {text}");
    }
    // Everything is closed; nothing is open.
    workspace.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]).expect(0);
    let text = workspace.run(&["run", "--what-if", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]);
    assert!(text.expect(0).stdout.contains("WHAT-IF: no open window is billed by a shadow price"));
}

/// The company of most tests, in the month of September.
fn small(catalog: &str, tenants: &str) -> Workspace {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(catalog, tenants, USAGE);
    workspace.watch("2026-09");
    workspace
}

const SEPTEMBER: [&str; 6] = ["run", "--what-if", "--json", "--period", "2026-09", "--as-of"];
const EVENING: &str = "2026-09-30T18:00:00Z";

fn ask_small(workspace: &Workspace) -> Ended {
    workspace.run(&[&SEPTEMBER[..], &[EVENING]].concat())
}

/// A price at Stripe never changes; the catalog has moved on.
#[test]
fn a_price_at_stripe_that_is_another_than_the_catalogs_is_found_by_its_amount() {
    let named = |unit: &str| {
        let ids = "free_quota = 100\n  overage_price_id = \"price_of_theirs\"";
        CATALOG.replacen("free_quota = 100", ids, 1).replace("\"700\"", &format!("\"{unit}\""))
    };
    let workspace = small(&named("700"), TENANTS);
    workspace.write("catalog.toml", named("701"));
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    // Who pushes is refused before; who looks on is warned.
    assert!(ask_small(&workspace).expect(78).stderr.contains("[price_of_catalog]"));
    let workspace = workspace.observing();
    let ended = ask_small(&workspace).expect(0);
    let found = outcomes(&ended);
    assert_eq!(found["acme b2b.match_request"], "differs for 130 units we would charge 210.30");
    // Below the quota the two prices are the same.
    assert_eq!(found["beta b2b.match_request"], "agrees");
    let acme = rows(&ended).into_iter().find(|row| row["outcome"] == "differs").unwrap();
    let figures =
        ["stripe_amount_minor", "rated_amount_minor", "ledger_amount_minor"].map(|key| acme[key].as_i64());
    assert_eq!(figures, [Some(21_000), Some(21_030), Some(21_030)]);
    // It is no difference of the comparison, and no exit code of one.
    let detailed = workspace.run(&[&SEPTEMBER[..], &[EVENING, "--detailed-exitcode"]].concat());
    assert_eq!(detailed.expect(0).json()["verdict"], Value::Null);
}

#[test]
fn a_trial_a_live_price_and_a_plan_without_usage_are_not_asked_about() {
    let trial = "odd,Odd,pro,try,cus_odd,sub_odd,trialing,,2026-09-20T00:00:00Z,2026-10-20T00:00:00Z\n";
    let tenants = TENANTS.replacen("ended_at", "trial_end", 1) + trial;
    let live =
        CATALOG.replacen("meter = \"storage_gb\"\n", "meter = \"storage_gb\"\n  billing = \"live\"\n", 1);
    let found = outcomes(&ask_small(&small(&live, &tenants)).expect(0));
    let expected = [
        ("acme b2b.match_request", "agrees"),
        ("beta b2b.match_request", "agrees"),
        ("cold b2b.match_request", "agrees"),
        ("odd b2b.match_request", "skipped in a trial nothing is charged"),
    ];
    assert_eq!(found, expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).into());
}

/// Tonight the plan changes, and with it the item; until then no item has the price of the plan that ends the window.
#[test]
fn a_plan_that_is_still_to_come_has_no_item_to_ask_about() {
    let (_, plan) = CATALOG.split_once("[[plan]]\nkey = \"pro\"").unwrap();
    let catalog = format!("{CATALOG}\n[[plan]]\nkey = \"gold\"{plan}");
    let change = "2026-09-30T20:00:00Z";
    let row = |plan: &str, start: &str, end: &str| {
        format!("odd,Odd,{plan},try,cus_odd,sub_odd,active,,2026-09-{start}T00:00:00Z,{end}\n")
    };
    let gold = row("gold", "30", "").replace("2026-09-30T00:00:00Z", change);
    let workspace = small(&catalog, &(TENANTS.to_owned() + &row("pro", "01", change) + &gold));
    let found = outcomes(&ask_small(&workspace).expect(0));
    let none = "skipped the subscription has no item at the price in force of its plan";
    assert_eq!(
        (found["odd b2b.match_request"].as_str(), found["acme b2b.match_request"].as_str()),
        (none, "agrees")
    );
}
