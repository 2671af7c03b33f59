//! `explain`, and what a closed period keeps when the catalog changes.
//!
//! In: small companies on both databases. Out: what the command says, in words and as JSON, and the files of a period that
//! is judged again. Never looks into the program: figures are computed here by hand.

use serde_json::Value;

use crate::support::{ENGINES, Engine, Workspace, csv_rows};

fn catalog(unit: &str, quota: &str) -> String {
    format!(
        r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "usd"
amount = 1000
  [[plan.usage]]
  meter = "calls"
  free_quota = {quota}
  price = {{ billing_scheme = "per_unit", unit_amount_decimal = "{unit}" }}
"#
    )
}

const TENANTS: &str = "\
tenant_id,name,plan,currency,started_at,stripe_customer_id,stripe_subscription_id
acme,Acme,pro,usd,2026-09-01T00:00:00Z,cus_acme,sub_acme
beta,Beta,legacy,usd,2026-09-01T00:00:00Z,cus_beta,sub_beta
";

const USAGE: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id,source
acme,calls,100.25,2026-09-10T00:00:00Z,e1,api
acme,calls,49.75,2026-09-11T00:00:00Z,e2,
acme,calls,7,2026-10-01T00:00:00Z,e3,
beta,calls,120,2026-09-10T00:00:00Z,e1,
";

const AFTER: [&str; 5] = ["run", "--period", "2026-09", "--as-of", "2026-10-02T00:00:00Z"];

/// September is closed but for Beta, whose plan the catalog lacks; then one more record comes.
fn company(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine).observing();
    workspace.import(&catalog("10", "100"), TENANTS, USAGE);
    workspace.run(&AFTER).expect(3);
    let header = USAGE.lines().next().unwrap();
    workspace.write("late.csv", format!("{header}\nacme,calls,3,2026-09-30T23:59:59Z,late,\n"));
    workspace.run(&["import", "usage", "late.csv"]).expect(0);
    workspace
}

fn explain(workspace: &Workspace, tenant: &str, period: &str) -> Value {
    workspace.run(&["explain", tenant, "--period", period, "--records", "--json"]).expect(0).json()
}

#[test]
fn a_closed_figure_is_told_from_its_records_to_its_total() {
    for engine in ENGINES {
        let workspace = company(engine);
        let told = workspace.run(&["explain", "acme", "--period", "2026-09"]).expect(0).stdout;
        let hash = workspace.sql("SELECT catalog_hash FROM catalog_versions")[0][0].clone();
        let expected = [
            "SANDBOX: acme (Acme), 2026-09",
            &format!("window 2026-09-01T00:00:00Z to 2026-10-01T00:00:00Z: closed, catalog {}", &hash[..12]),
            "  calls on plan pro, 2026-09-01T00:00:00Z to 2026-10-01T00:00:00Z",
            "    meter     sum",
            "    records   2 records, 150 units",
            "    used      150 = 100 free + 50 billed",
            "    price     10 per unit (minor units), 100 units free",
            "    line      tier 1, usage: 100 x 0 = 0 -> 0.00 USD",
            "    line      tier 2, usage: 50 x 10 = 500 -> 5.00 USD",
            "  calls: 80 % of 100 reached, 150 used, seen at 2026-10-02T00:00:00Z",
            "  calls: 90 % of 100 reached, 150 used, seen at 2026-10-02T00:00:00Z",
            "  calls: 95 % of 100 reached, 150 used, seen at 2026-10-02T00:00:00Z",
            "  calls: 100 % of 100 reached, 150 used, seen at 2026-10-02T00:00:00Z",
            "  calls: 1 record, 3 units came after the close and changed nothing of it",
            "  base fee of pro: 10.00 USD",
            "  total: 15.00 USD",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_records_behind_a_figure_are_named_in_the_order_of_time() {
    for engine in ENGINES {
        let workspace = company(engine);
        let window = &explain(&workspace, "acme", "2026-09")["windows"][0];
        let records = window["usage"][0]["records_behind"].as_array().unwrap();
        let told: Vec<String> = records
            .iter()
            .map(|one| {
                ["source_event_id", "quantity", "source", "fate"]
                    .map(|key| one[key].as_str().unwrap())
                    .join(" ")
            })
            .collect();
        assert_eq!(told, ["e1 100.25 api counted", "e2 49.75  counted", "late 3  late"]);
        assert_eq!(window["totals"][0]["amount_minor"], 1500);
        assert_eq!(window["late"][0]["records"], 1);
        let silent = workspace.run(&["explain", "acme", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!(silent["windows"][0]["usage"][0]["records_behind"], serde_json::json!([]));
    }
}

#[test]
fn one_meter_has_its_own_total_and_one_that_nobody_knows_is_wrong_usage() {
    let workspace = company(Engine::Sqlite);
    let of = |meter: &str| {
        ["explain", "acme", "--period", "2026-09", "--meter", meter].map(str::to_owned).to_vec()
    };
    let of_calls = of("calls");
    let mut words: Vec<&str> = of_calls.iter().map(String::as_str).collect();
    let told = workspace.run(&words).expect(0).stdout;
    assert!(told.contains("  total: 5.00 USD") && !told.contains("base fee"), "{told}");
    words.push("--json");
    let window = &workspace.run(&words).expect(0).json()["windows"][0];
    assert_eq!((&window["base"], &window["totals"][0]["amount_minor"]), (&Value::Null, &500.into()));
    assert_eq!(window["late"][0]["records"], 1);
    let wrong = of("cals");
    let ended = workspace.run(&wrong.iter().map(String::as_str).collect::<Vec<_>>()).expect(2);
    let words = "there is no meter `cals`: did you mean `calls`? (there are: calls)";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

/// A fee that fits 64 bits, and usage that does not fit beside it.
#[test]
fn a_total_beyond_64_bits_is_an_error_and_never_null() {
    let workspace = Workspace::new(Engine::Sqlite).observing();
    let fee = format!("amount = {}", i64::MAX);
    workspace.import(&catalog("10", "100").replace("amount = 1000", &fee), TENANTS, USAGE);
    let ended = workspace.run(&["explain", "acme", "--period", "2026-09", "--json"]).expect(65);
    assert!(ended.stderr.contains("amount does not fit 64 bits"), "{}", ended.stderr);
}

#[test]
fn a_mark_that_turns_the_reading_direction_is_escaped_in_json() {
    let workspace = Workspace::new(Engine::Sqlite).observing();
    workspace.import(&catalog("10", "100"), &TENANTS.replace("Acme", "Ac\u{202e}me"), USAGE);
    let ended = workspace.run(&["explain", "acme", "--period", "2026-09", "--json"]).expect(0);
    assert!(ended.stdout.contains("Ac\\u202eme"), "{}", ended.stdout);
    assert_eq!(ended.json()["tenant_name"], "Ac\u{202e}me");
}

#[test]
fn an_open_window_and_a_parked_one_are_told_as_the_ledger_stands() {
    let workspace = company(Engine::Sqlite);
    let open = &explain(&workspace, "acme", "2026-10")["windows"][0];
    assert_eq!((open["status"].as_str(), open["usage"][0]["used"].as_str()), (Some("open"), Some("7")));
    let parked = workspace.run(&["explain", "beta", "--period", "2026-09"]).expect(0).stdout;
    assert!(parked.contains("  parked, unknown_plan: add the plan to the catalog"), "{parked}");
    assert!(parked.contains("records   1 record, 120 units"), "{parked}");
    let before = workspace.run(&["explain", "acme", "--period", "2026-01"]).expect(0).stdout;
    assert!(before.contains("no window of this tenant has that label"), "{before}");
}

#[test]
fn a_tenant_that_does_not_exist_is_wrong_usage_and_nothing_is_written() {
    let workspace = company(Engine::Sqlite);
    let before = std::fs::read(workspace.path("billrecon.db")).unwrap();
    let ended = workspace.run(&["explain", "acne", "--period", "2026-09"]).expect(2);
    assert!(ended.stderr.contains("there is no tenant `acne`"), "{}", ended.stderr);
    explain(&workspace, "acme", "2026-09");
    assert_eq!(std::fs::read(workspace.path("billrecon.db")).unwrap(), before);
}

#[test]
fn a_closed_window_keeps_its_catalog_when_another_is_imported() {
    for engine in ENGINES {
        let workspace = company(engine);
        let before = explain(&workspace, "acme", "2026-09");
        let legacy = "[[plan]]\nkey = \"legacy\"\ncurrency = \"usd\"\namount = 500\n";
        workspace.write("new.toml", format!("{}{legacy}", catalog("20", "1000")));
        workspace.run(&["import", "catalog", "new.toml"]).expect(0);
        assert_eq!(explain(&workspace, "acme", "2026-09"), before);
        let open = &explain(&workspace, "acme", "2026-10")["windows"][0]["usage"][0];
        assert_eq!(
            (open["price"].as_str(), open["free_quota"].as_str()),
            (Some("20 per unit"), Some("1000"))
        );
        // Beta closes now, and the period is judged again: Acme used 150 of the 100 units that it had.
        let again = [&AFTER[..], &["--json"]].concat();
        // What came late for Acme is adjusted with it, and waits for a person.
        let json = workspace.run(&again).expect(3).json();
        let folder = workspace.path(json["reports_dir"].as_str().unwrap());
        let decision = csv_rows(&std::fs::read(folder.join("decision.csv")).unwrap());
        let value =
            |metric: &str| decision.iter().find(|row| row["metric"] == metric).unwrap()["value"].clone();
        assert_eq!((value("tenants_at_100"), value("tenants")), ("1".into(), "1".into()));
        assert_eq!(value("would_be_overage_minor_usd"), "500");
        let hashes = workspace.sql("SELECT tenant_id, catalog_hash FROM billing_windows ORDER BY tenant_id");
        assert_ne!(hashes[0][1], hashes[1][1]);
        assert_eq!(before["windows"][0]["catalog_hash"], hashes[0][1].as_str());
    }
}

const FLEET: &str = r#"
[[meter]]
key = "devices"
aggregation = "max"
per = "source"

[[meter]]
key = "sessions"
aggregation = "count"
billable = ["outcome = success", "duration_ms >= 5000"]

[[plan]]
key = "free"
currency = "usd"
hard_cap = true
  [[plan.usage]]
  meter = "devices"
  free_quota = 10
  [[plan.usage]]
  meter = "sessions"
  free_quota = 1
"#;

const READINGS: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id,source,outcome,duration_ms
acme,devices,5,2026-09-10T00:00:00Z,d1,east,,
acme,devices,7,2026-09-10T01:00:00Z,d2,east,,
acme,devices,6,2026-09-10T01:00:00Z,d3,west,,
acme,devices,6,2026-09-10T02:00:00Z,d4,west,,
acme,sessions,1,2026-09-10T00:00:00Z,s1,,success,5000
acme,sessions,1,2026-09-10T00:00:01Z,s2,,success,4999.999
acme,sessions,1,2026-09-10T00:00:02Z,s3,,failure,9000
acme,sessions,1,2026-09-10T00:00:03Z,s4,,success,
acme,sessions,1,2026-09-10T00:00:04Z,s5,,success,6000
";

#[test]
fn a_gauge_a_rule_and_a_cap_are_told_record_by_record() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine).observing();
        let tenants = TENANTS.replace(",pro,", ",free,").replace(",legacy,", ",free,");
        workspace.import(FLEET, &tenants, READINGS);
        workspace.run(&AFTER).expect(0);
        let told = workspace.run(&["explain", "acme", "--period", "2026-09"]).expect(0).stdout;
        for line in [
            "    meter     max per source, added up",
            "    records   4 records, 24 units",
            "    aggregate 2 records, 13 units, 2 superseded",
            "    used      13 = 10 free + 0 billed + 3 capped",
            "    price     0 per unit (minor units), 10 units free, nothing above is billed",
            "    line      tier 1, usage: 10 x 0 = 0 -> 0.00 USD",
            "    meter     count, billable if outcome = success and duration_ms >= 5000",
            "    excluded  not_billable: 3 records, 3 units",
            "    used      2 = 1 free + 0 billed + 1 capped",
        ] {
            assert!(told.lines().any(|one| one == line), "{line}\n{told}");
        }
        let window = &explain(&workspace, "acme", "2026-09")["windows"][0];
        let fates: Vec<String> = window["usage"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|usage| usage["records_behind"].as_array().unwrap())
            .map(|one| {
                format!("{} {}", one["source_event_id"].as_str().unwrap(), one["fate"].as_str().unwrap())
            })
            .collect();
        let expected = [
            "d1 superseded",
            "d2 counted",
            "d3 superseded",
            // Of two readings that are equally high the newer one.
            "d4 counted",
            "s1 counted",
            "s2 not_billable",
            "s3 not_billable",
            "s4 not_billable",
            "s5 counted",
        ];
        assert_eq!(fates, expected);
        let exceptions = csv_rows(&workspace.data_files("2026-09")["exceptions.csv"]);
        let of_acme = exceptions
            .iter()
            .map(|row| ["kind", "reason", "meter", "records", "quantity"].map(|name| row[name].as_str()));
        let expected = [
            ["excluded", "not_billable", "sessions", "3", "3"],
            ["capped", "hard_cap", "devices", "4", "3"],
            ["capped", "hard_cap", "sessions", "2", "1"],
        ];
        assert_eq!(of_acme.collect::<Vec<_>>(), expected);
    }
}

fn fates(window: &Value) -> Vec<String> {
    let usage = window["usage"].as_array().unwrap().iter();
    let records = usage.flat_map(|usage| usage["records_behind"].as_array().unwrap());
    records.map(|one| ["source_event_id", "fate"].map(|key| one[key].as_str().unwrap()).join(" ")).collect()
}

/// The highest reading of all comes late; then as if it had been imported together with others.
#[test]
fn a_late_reading_of_a_gauge_counts_nothing_and_takes_nothing_from_the_one_that_counted() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine).observing();
        let fleet = FLEET.replace("per = \"source\"\n", "");
        let tenants = TENANTS.replace(",pro,", ",free,").replace(",legacy,", ",free,");
        workspace.import(&fleet, &tenants, READINGS);
        workspace.run(&AFTER).expect(0);
        let header = READINGS.lines().next().unwrap();
        let late = "acme,devices,9,2026-09-10T03:00:00Z,d5,east,,\nacme,sessions,1,2026-09-10T00:00:05Z,s6,,failure,1";
        workspace.write("late.csv", format!("{header}\n{late}\n"));
        workspace.run(&["import", "usage", "late.csv"]).expect(0);
        let told = fates(&explain(&workspace, "acme", "2026-09")["windows"][0]);
        let devices = ["d1 superseded", "d2 counted", "d3 superseded", "d4 superseded", "d5 late"];
        let sessions =
            ["s1 counted", "s2 not_billable", "s3 not_billable", "s4 not_billable", "s5 counted", "s6 late"];
        assert_eq!(told, [&devices[..], &sessions].concat());
        let text = workspace.run(&["explain", "acme", "--period", "2026-09", "--records"]).expect(0).stdout;
        assert!(text.contains(" d5: 9, late, source east"), "{text}");
        // As if these and the late one had been imported at one instant: one of them is late, and nobody knows which.
        workspace.unprotect("usage_ledger");
        let told_with = |ids: &[&str]| {
            let newest = ids.join("', '");
            workspace.sql(&format!(
                "UPDATE usage_ledger SET recorded_at = CASE WHEN source_event_id IN ('d5', '{newest}') THEN 2 ELSE 1 END
                WHERE meter = 'devices' RETURNING tenant_id"
            ));
            fates(&explain(&workspace, "acme", "2026-09")["windows"][0])[..5].to_vec()
        };
        let expected = |fates: [&str; 5]| {
            (1..).zip(fates).map(|(number, fate): (u8, _)| format!("d{number} {fate}")).collect::<Vec<_>>()
        };
        let (unsure, superseded) = ("late_or_not", "superseded");
        // The one that is sure comes to what was closed.
        assert_eq!(told_with(&["d1", "d3", "d4"]), expected([unsure, "counted", unsure, unsure, unsure]));
        // None that is sure does, so one that is unsure counted.
        assert_eq!(told_with(&["d2"]), expected([superseded, unsure, superseded, superseded, unsure]));
        assert_eq!(told_with(&["d1", "d2", "d3", "d4"]), expected([unsure; 5]));
    }
}
