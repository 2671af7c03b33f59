//! Changes at the edges: a plan that changes with its window, rows that change nothing but the status, drafts that stay
//! drafts, segments that have not begun.
//!
//! In: small live companies on the embedded sandbox, woken around the edges. Out: lines, comparison and verdict of the closed
//! month. Amounts are worked out by hand.

use crate::support::{ENGINES, Engine, Workspace, csv_rows};

const CATALOG: &str = r#"
[[meter]]
key = "req"
aggregation = "sum"
[[meter]]
key = "dev"
aggregation = "max"

[[plan]]
key = "pro"
currency = "usd"
amount = 1000
  [[plan.usage]]
  meter = "req"
  billing = "live"
  free_quota = 10
  price = { unit_amount = 5 }
  [[plan.usage]]
  meter = "dev"
  billing = "live"
  free_quota = 5
  price = { unit_amount = 500 }

[[plan]]
key = "basic"
currency = "usd"
amount = 100
  [[plan.usage]]
  meter = "req"
  billing = "live"
  price = { unit_amount = 9 }

# Nobody is on it, and it costs nothing.
[[plan]]
key = "beta"
currency = "usd"
  [[plan.usage]]
  meter = "req"
  free_quota = 100
  price = { unit_amount = 0 }
"#;

const HEADER: &str =
    "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at,ended_at\n";

/// Rows in the form `tenant plan status start end`, where `-` is no end.
fn tenants(rows: &[&str]) -> String {
    let row = |row: &&str| {
        let parts: Vec<&str> = row.split(' ').collect();
        let [id, plan, status, start] = [parts[0], parts[1], parts[2], parts[3]];
        let end = parts[4].trim_start_matches('-');
        format!("{id},{id},{plan},usd,cus_{id},sub_{id},{status},{start},{end}\n")
    };
    HEADER.to_owned() + &rows.iter().map(row).collect::<String>()
}

/// Each of them used 200 requests in two halves of May, and had 8 devices in each.
fn usage(ids: &[&str]) -> String {
    let mut text = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    for id in ids {
        for (day, name) in [("10", "a"), ("25", "b")] {
            text.push_str(&format!("{id},req,100,2026-05-{day}T00:00:00Z,{name}1\n"));
            text.push_str(&format!("{id},dev,8,2026-05-{day}T00:00:00Z,{name}2\n"));
        }
    }
    text
}

fn company(engine: Engine, rows: &[&str], ids: &[&str]) -> Workspace {
    let workspace = Workspace::new(engine);
    workspace.write("billrecon.toml", "first_period = \"2026-05\"\n");
    workspace.import(CATALOG, &tenants(rows), &usage(ids));
    workspace
}

fn wake(workspace: &Workspace, at: &str) -> serde_json::Value {
    workspace.run(&["run", "--period", "2026-05", "--as-of", at, "--json"]).expect(0).json()
}

/// `meter quantity amount_minor` of a tenant's usage lines, and whether Stripe agrees with all of it.
fn billed(workspace: &Workspace, outcome: &serde_json::Value, tenant: &str) -> (Vec<String>, Vec<String>) {
    let folder = workspace.path(outcome["reports_dir"].as_str().unwrap());
    let read = |name: &str| csv_rows(&std::fs::read(folder.join(name)).unwrap());
    let of_tenant = |row: &std::collections::BTreeMap<String, String>| row["tenant_id"] == tenant;
    let text = |row: std::collections::BTreeMap<String, String>| {
        ["meter", "quantity", "amount_minor"].map(|name| row[name].clone()).join(" ")
    };
    let lines = read("lines.csv").into_iter().filter(of_tenant).filter(|row| row["kind"] == "usage");
    let differing = read("reconciliation.csv").into_iter().filter(of_tenant);
    let differing = differing.filter(|row| row["class"] != "matched" && row["class"] != "out_of_scope");
    let told = differing.map(|row| format!("{} {} {}", row["source"], row["class"], row["reason"]));
    (lines.map(text).collect(), told.collect())
}

const PRO: [&str; 4] = ["dev 5 0", "dev 3 1500", "req 10 0", "req 190 950"];

#[test]
fn a_downgrade_at_the_windows_end_or_after_it_closes_the_old_plans_month() {
    for engine in ENGINES {
        let rows = [
            "edge pro active 2026-04-01T00:00:00Z 2026-06-01T00:00:00Z",
            "edge basic active 2026-06-01T00:00:00Z -",
            "soon pro active 2026-04-01T00:00:00Z 2026-06-01T00:20:00Z",
            "soon basic active 2026-06-01T00:20:00Z -",
            "none pro active 2026-04-01T00:00:00Z -",
        ];
        let ids = ["edge", "soon", "none"];
        let workspace = company(engine, &rows, &ids);
        for at in ["2026-05-31T23:15:00Z", "2026-06-01T00:15:00Z"] {
            wake(&workspace, at);
        }
        let closed = wake(&workspace, "2026-06-03T00:00:00Z");
        assert_eq!(closed["status"], "closed", "{closed}");
        for id in ids {
            assert_eq!(
                billed(&workspace, &closed, id),
                (PRO.map(str::to_owned).to_vec(), Vec::new()),
                "{id}"
            );
        }
    }
}

#[test]
fn rows_on_one_plan_are_one_segment_with_one_quota_and_one_peak() {
    for engine in ENGINES {
        let rows = [
            "one pro active 2026-04-01T00:00:00Z -",
            "two pro active 2026-04-01T00:00:00Z 2026-05-19T00:00:00Z",
            "two pro past_due 2026-05-19T00:00:00Z -",
        ];
        let workspace = company(engine, &rows, &["one", "two"]);
        for at in ["2026-05-12T00:00:00Z", "2026-05-31T23:15:00Z"] {
            wake(&workspace, at);
        }
        let closed = wake(&workspace, "2026-06-02T00:00:00Z");
        for id in ["one", "two"] {
            assert_eq!(
                billed(&workspace, &closed, id),
                (PRO.map(str::to_owned).to_vec(), Vec::new()),
                "{id}"
            );
        }
        let folder = workspace.path(closed["reports_dir"].as_str().unwrap());
        let decision = csv_rows(&std::fs::read(folder.join("decision.csv")).unwrap());
        let value =
            |metric: &str| decision.iter().find(|row| row["metric"] == metric).unwrap()["value"].clone();
        assert_eq!((value("tenants"), value("push_error_rate")), ("2".into(), "0".into()));
    }
}

#[test]
fn a_gauge_needs_no_push_for_a_segment_that_is_over() {
    let rows = [
        "a pro active 2026-04-01T00:00:00Z 2026-05-19T00:00:00Z",
        "a max active 2026-05-19T00:00:00Z -",
        "b pro active 2026-04-01T00:00:00Z -",
    ];
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.write("billrecon.toml", "first_period = \"2026-05\"\n");
    let max = CATALOG.split("[[plan]]").nth(1).unwrap().replace("\"pro\"", "\"max\"").replace("1000", "2000");
    workspace.import(&format!("{CATALOG}[[plan]]{max}"), &tenants(&rows), &usage(&["a", "b"]));
    // The first wake comes when only the second plan is left.
    workspace.run(&["run", "--period", "2026-05", "--as-of", "2026-05-31T23:15:00Z"]);
    let closed =
        workspace.run(&["run", "--period", "2026-05", "--as-of", "2026-06-02T00:00:00Z", "--json"]).json();
    let folder = workspace.path(closed["reports_dir"].as_str().unwrap());
    let decision = csv_rows(&std::fs::read(folder.join("decision.csv")).unwrap());
    let rate = decision.iter().find(|row| row["metric"] == "push_records_failed").unwrap();
    assert_eq!(rate["value"], "0");
}

#[test]
fn a_segment_that_has_not_begun_is_not_pushed() {
    let rows =
        ["a pro active 2026-04-01T00:00:00Z 2026-05-20T00:00:00Z", "a basic active 2026-05-20T00:00:00Z -"];
    let workspace = company(Engine::Sqlite, &rows, &["a"]);
    let early = wake(&workspace, "2026-05-12T00:00:00Z");
    assert_eq!((&early["counts"]["pushed"], &early["counts"]["errors"]), (&2.into(), &0.into()), "{early}");
    assert_eq!(workspace.number("SELECT COUNT(*) FROM intents WHERE state = 'rejected'"), 0);
}

#[test]
fn a_draft_that_stays_a_draft_does_not_hold_the_period_for_ever() {
    for engine in ENGINES {
        let rows = [
            "a pro active 2026-04-01T00:00:00Z -",
            "b pro unpaid 2026-04-01T00:00:00Z 2026-05-19T00:00:00Z",
            "b pro active 2026-05-19T00:00:00Z -",
        ];
        let workspace = company(engine, &rows, &["a", "b"]);
        // The sandbox never hears that `b` is active again before the invoice is made.
        for at in ["2026-05-12T00:00:00Z", "2026-05-18T00:00:00Z"] {
            wake(&workspace, at);
        }
        let waiting = workspace
            .run(&["run", "--period", "2026-05", "--as-of", "2026-06-03T00:00:00Z", "--json"])
            .json();
        assert_eq!(waiting["status"], "closing", "{waiting}");
        let later = workspace
            .run(&["run", "--period", "2026-05", "--as-of", "2026-06-06T00:00:00Z", "--json"])
            .json();
        assert_eq!(later["status"], "closed", "{later}");
    }
}

#[test]
fn what_can_no_longer_be_sent_is_worth_what_the_lines_say_with_the_quota_of_its_part() {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.write("billrecon.toml", "first_period = \"2026-05\"\n");
    let catalog = "[[meter]]\nkey = \"req\"\naggregation = \"sum\"\n[[plan]]\nkey = \"pro\"\ncurrency = \"usd\"\n\
                   [[plan.usage]]\nmeter = \"req\"\npush = \"overage\"\nfree_quota = 31\nprorate_quota = true\nprice = { unit_amount = 10 }\n";
    let rows = ["a pro canceled 2026-05-01T00:00:00Z 2026-05-11T00:00:00Z"];
    let records = "tenant_id,meter,quantity,occurred_at,source_event_id\na,req,20,2026-05-05T00:00:00Z,e1\n";
    workspace.import(catalog, &tenants(&rows), records);
    // 31 x 10 / 31 days are free, so 10 of the 20 are to pay; the first wake comes when the last invoice is final.
    workspace.run(&["run", "--period", "2026-05", "--as-of", "2026-05-15T00:00:00Z"]).expect(3);
    let closed =
        workspace.run(&["run", "--period", "2026-05", "--as-of", "2026-06-02T00:00:00Z", "--json"]).json();
    let folder = workspace.path(closed["reports_dir"].as_str().unwrap());
    let exceptions = csv_rows(&std::fs::read(folder.join("exceptions.csv")).unwrap());
    let told = ["kind", "quantity", "amount"].map(|name| exceptions[0][name].as_str());
    assert_eq!(told, ["unbillable", "10", "1.00"]);
}

/// Stripe counts the new subscription from its own start, while the old window nominally still runs.
#[test]
fn who_cancels_and_comes_back_with_another_anchor_is_billed_for_both() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine).observing();
        let header = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at,ended_at\n";
        let old =
            "a,pro,usd,cus_a,sub_1,canceled,2026-03-25T00:00:00Z,2026-03-25T00:00:00Z,2026-06-10T00:00:00Z\n";
        let new = "a,pro,usd,cus_a,sub_2,active,2026-06-20T00:00:00Z,2026-06-20T00:00:00Z,\n";
        let records = "tenant_id,meter,quantity,occurred_at,source_event_id\n\
                       a,req,100,2026-06-01T00:00:00Z,e1\na,req,1000,2026-06-22T00:00:00Z,e2\n";
        workspace.import(CATALOG, &[header, old, new].concat(), records);
        let mut billed = Vec::new();
        for (period, at) in [("2026-05", "2026-07-24T00:00:00Z"), ("2026-06", "2026-07-24T01:00:00Z")] {
            let closed = workspace.run(&["run", "--period", period, "--as-of", at, "--json"]).json();
            assert_eq!(closed["counts"]["parked"], 0, "{closed}");
            let folder = workspace.path(closed["reports_dir"].as_str().unwrap());
            let lines = csv_rows(&std::fs::read(folder.join("lines.csv")).unwrap());
            billed.extend(
                lines.iter().filter(|row| row["meter"] == "req").map(|row| row["amount_minor"].clone()),
            );
        }
        assert_eq!(billed, ["0", "450", "0", "4950"]);
    }
}

/// A price never changes at Stripe, so another one takes its place on the subscription, and counts only from then on.
#[test]
fn usage_that_arrived_and_is_on_no_invoice_is_not_told_as_never_pushed() {
    let workspace = company(Engine::Sqlite, &["a basic active 2026-04-01T00:00:00Z -"], &["a"]);
    let before = wake(&workspace, "2026-05-28T00:00:00Z");
    assert_eq!(billed(&workspace, &before, "a").1, Vec::<String>::new());
    workspace.write("dearer.toml", CATALOG.replace("unit_amount = 9 ", "unit_amount = 8 "));
    workspace.run(&["import", "catalog", "dearer.toml"]).expect(0);
    wake(&workspace, "2026-05-31T23:15:00Z");
    let closed = wake(&workspace, "2026-06-02T00:00:00Z");
    // The meter's total agrees, so only the invoice is named, and no cause is made up.
    assert_eq!(billed(&workspace, &closed, "a").1, ["invoice quantity_mismatch "]);
}
