//! Corrections from the outside: negative records that name what they correct.
//!
//! In: usage files with corrections before, beside and after what they correct. Out: receipts, exceptions and lines. Never
//! looks at Stripe: what is pushed is `billing`'s.

use crate::support::{ENGINES, Engine, Workspace, csv_rows};

const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "usd"
amount = 1000
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "10" }
"#;

const TENANTS: &str = "\
tenant_id,name,plan,currency,started_at,stripe_customer_id,stripe_subscription_id
acme,Acme,pro,usd,2026-09-01T00:00:00Z,cus_acme,sub_acme
beta,Beta,pro,usd,2026-09-01T00:00:00Z,cus_beta,sub_beta
";

const HEADER: &str = "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects\n";

fn company(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine).observing();
    workspace.import_rules(CATALOG, TENANTS);
    workspace
}

/// Lines in the form `tenant quantity id [corrects]`, all of one day.
fn import(workspace: &Workspace, lines: &[&str], code: i32) -> [u64; 4] {
    let line = |line: &&str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let correction = parts.get(3).map_or(",".to_owned(), |id| format!("correction,{id}"));
        format!("{},calls,{},2026-09-10T00:00:00Z,{},{correction}\n", parts[0], parts[1], parts[2])
    };
    let text = format!("{HEADER}{}", lines.iter().map(line).collect::<String>());
    workspace.write("usage.csv", text);
    let receipt = workspace.run(&["import", "usage", "usage.csv", "--json"]).expect(code).json();
    ["read", "accepted", "duplicate", "quarantined"].map(|name| receipt[name].as_u64().unwrap())
}

fn billed(workspace: &Workspace) -> Vec<(String, String, String)> {
    workspace.run(&["run", "--period", "2026-09", "--as-of", "2026-10-02T00:00:00Z"]);
    let rows = csv_rows(&workspace.data_files("2026-09")["lines.csv"]).into_iter();
    let usage = rows.filter(|row| row["kind"] == "usage");
    usage
        .map(|row| (row["tenant_id"].clone(), row["quantity"].clone(), row["amount_minor"].clone()))
        .collect()
}

#[test]
fn a_correction_takes_units_back_whatever_the_order_of_the_lines() {
    for engine in ENGINES {
        let workspace = company(engine);
        // The first names a record that comes after it.
        assert_eq!(import(&workspace, &["acme -2.5 c1 e1", "acme 10 e1", "acme 1 e2"], 0), [3, 3, 0, 0]);
        assert_eq!(import(&workspace, &["acme -0.5 c2 e2", "acme -2.5 c1 e1"], 0), [2, 1, 1, 0]);
        assert_eq!(billed(&workspace), [("acme".into(), "8".into(), "80".into())]);
    }
}

#[test]
fn a_negative_record_that_corrects_nothing_of_its_tenant_is_set_aside_until_it_does() {
    for engine in ENGINES {
        let workspace = company(engine);
        let lines = ["acme -1 c1 e1", "beta 5 e1", "acme -1 c2", "beta -1 c3 e9"];
        assert_eq!(import(&workspace, &lines, 3), [4, 1, 0, 3]);
        let reasons = workspace.sql("SELECT reason FROM quarantine ORDER BY source_event_id");
        assert_eq!(reasons, [["negative"], ["negative"], ["negative"]]);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM usage_ledger"), 1);
        // Now there is something to correct.
        assert_eq!(import(&workspace, &["acme 3 e1", "acme -1 c1 e1"], 0), [2, 2, 0, 0]);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM quarantine WHERE resolved_at IS NULL"), 2);
    }
}

#[test]
fn a_negative_total_is_billed_as_nothing() {
    for engine in ENGINES {
        let workspace = company(engine);
        assert_eq!(import(&workspace, &["acme 3 e1", "acme -5 c1 e1", "beta 2 e1"], 0), [3, 3, 0, 0]);
        let expected = [("acme".into(), "0".into(), "0".into()), ("beta".into(), "2".into(), "20".into())];
        assert_eq!(billed(&workspace), expected);
        let controls = csv_rows(&workspace.data_files("2026-09")["control_totals.csv"]);
        let of = |measure: &str| {
            controls.iter().find(|row| row["measure"] == measure).unwrap()["quantity"].clone()
        };
        assert_eq!((of("in_window"), of("used"), of("billed")), ("0".into(), "2".into(), "2".into()));
    }
}

#[test]
fn a_correction_of_a_correction_in_one_file_is_taken_whatever_the_order() {
    for engine in ENGINES {
        let workspace = company(engine);
        let lines = [
            "acme -1 c3 c2",
            "acme -2 c2 c1",
            "acme 20 e1",
            "acme -3 c1 e1",
            "acme -1 c5 c4",
            "acme -1 c4 c5",
        ];
        // The last two only name each other.
        assert_eq!(import(&workspace, &lines, 3), [6, 4, 0, 2]);
        assert_eq!(billed(&workspace), [("acme".into(), "14".into(), "140".into())]);
    }
}

#[test]
fn a_correction_says_what_the_billable_rule_asks_for() {
    let workspace = Workspace::new(Engine::Sqlite).observing();
    let rule = "aggregation = \"sum\"\nbillable = [\"outcome = success\", \"ms >= 5\"]";
    workspace.write("catalog.toml", CATALOG.replace("aggregation = \"sum\"", rule));
    workspace.write("tenants.csv", TENANTS);
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    let header = HEADER.trim_end();
    let line = |quantity: &str, id: &str, rest: &str| {
        format!("acme,calls,{quantity},2026-09-10T00:00:00Z,{id},{rest}\n")
    };
    let good = [line("10", "e1", ",,success,5"), line("-4", "c1", "correction,e1,success,5")].concat();
    let bad = [line("-3", "c2", "correction,e1,,5"), line("-3", "c3", "correction,e1,success,")].concat();
    workspace.write("usage.csv", format!("{header},outcome,ms\n{good}{bad}"));
    let ended = workspace.run(&["import", "usage", "usage.csv"]).expect(3);
    for name in ["`outcome`", "`ms`"] {
        assert!(ended.stderr.contains(&format!("the correction has no {name}")), "{}", ended.stderr);
    }
    assert_eq!(billed(&workspace), [("acme".into(), "6".into(), "60".into())]);
}
