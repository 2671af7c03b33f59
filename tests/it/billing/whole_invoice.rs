//! The whole invoice: with base fee, tax, discount, credit, balance and what was added by hand, each row is told, and all of
//! them are the amount due. And invoices that bill no window that is compared.
//!
//! In: a sandbox in another process, laden by requests in Stripe's shapes. Out: `reconciliation.csv`, checked against what the
//! invoice itself says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::server::SandboxProcess;
use super::world::{DRAFT, FINAL, METER, OPEN, Row, SHADOW, World, outcome, table, tenants, usage};
use crate::support::Engine;

/// Stripe charges 7 TRY above 100; and a plan without usage.
fn catalog() -> String {
    let live = SHADOW.replace("free_quota = 100", "free_quota = 100\n  billing = \"live\"");
    format!("{live}\n[[plan]]\nkey = \"flat\"\ncurrency = \"try\"\ninterval = \"month\"\namount = 5000\n")
}

fn load(sandbox: &SandboxProcess) {
    let id = |made: Value| made["id"].as_str().unwrap().to_owned();
    let rate = id(sandbox.post("/v1/tax_rates", "display_name=KDV&percentage=18&inclusive=false"));
    let coupon = id(sandbox.post("/v1/coupons", "percent_off=10&duration=forever"));
    let form = format!("default_tax_rates[0]={rate}&discounts[0][coupon]={coupon}");
    sandbox.post("/v1/subscriptions/sub_a", &form);
    sandbox.post("/v1/invoiceitems", "customer=cus_a&amount=700&currency=try&description=Set-up");
    sandbox.post("/v1/customers/cus_a/balance_transactions", "amount=-500&currency=try");
    sandbox.post(
        "/v1/billing/credit_grants",
        "customer=cus_a&amount[type]=monetary&amount[monetary][value]=1700&amount[monetary][currency]=try\
         &applicability_config[scope][price_type]=metered&category=paid",
    );
}

/// The renewal invoice of October.
fn renewal(sandbox: &SandboxProcess, subscription: &str) -> Value {
    let created = super::server::seconds("2026-11-01T00:00:00Z");
    let listed = sandbox.get(&format!("/v1/invoices?subscription={subscription}&created={created}"));
    listed["data"][0].clone()
}

fn amount(row: &Row) -> i128 {
    row["stripe_amount_minor"].parse().unwrap()
}

/// Rows that begin with this id: all that is told of the invoice, or of the preview.
fn rows_of(closed: &Value, id: &str, source: &str) -> Vec<Row> {
    let all = table(closed, "reconciliation").into_iter();
    all.filter(|row| row["source"] == source && row["evidence"].split(' ').next() == Some(id)).collect()
}

/// Amount by kind; usage under its meter.
fn by_item(rows: &[Row]) -> BTreeMap<String, i128> {
    let name = |row: &Row| if row["item"].is_empty() { row["meter"].clone() } else { row["item"].clone() };
    rows.iter().map(|row| (name(row), amount(row))).collect()
}

/// Worked out by hand in `sandbox/extras.rs`.
const ALL_KINDS: [(&str, i128); 7] = [
    ("b2b.match_request", 21_000),
    ("balance", -500),
    ("base_fee", 99_900),
    ("credit", -1_700),
    ("discount", -12_160),
    ("one_off", 700),
    ("tax", 19_393),
];

#[test]
fn the_rows_of_an_invoice_with_all_kinds_at_once_are_its_amount_due() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let records = usage([("a", "130"), ("b", "130")]);
        let world = World::remote(engine, &catalog(), &tenants(["a", "b"]), &records, "2026-10-05T00:00:00Z");
        load(world.sandbox());
        let expected: BTreeMap<String, i128> =
            ALL_KINDS.into_iter().map(|(item, amount)| (item.to_owned(), amount)).collect();
        let due: i128 = ALL_KINDS.iter().map(|(_, amount)| amount).sum();
        // The preview, the draft and the final invoice say the same.
        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        assert_eq!(by_item(&rows_of(&open, "sub_a", "preview")), expected);
        let draft = outcome(&world.run_with(DRAFT, &["--period", "2026-10"]).expect(0), "2026-10");
        let id = renewal(world.sandbox(), "sub_a")["id"].as_str().unwrap().to_owned();
        assert_eq!(by_item(&rows_of(&draft, &id, "invoice")), expected);
        let closed = outcome(&world.run_with(FINAL, &["--period", "2026-10"]).expect(0), "2026-10");
        let invoice = renewal(world.sandbox(), "sub_a");
        let rows = rows_of(&closed, &id, "invoice");
        assert_eq!(by_item(&rows), expected, "{rows:?}");
        assert_eq!(rows.iter().map(amount).sum::<i128>(), due);
        assert_eq!(invoice["amount_due"].as_i64().map(i128::from), Some(due));

        // The fee that is paid in advance is told for the window that it pays, and the usage for the one that ended.
        let of = |item: &str| rows.iter().find(|row| row["item"] == item).unwrap();
        assert_eq!(of("base_fee")["window_start"], "2026-11-01T00:00:00Z");
        assert_eq!(of("base_fee")["window_end"], "2026-12-01T00:00:00Z");
        assert_eq!(of("tax")["window_start"], "2026-10-01T00:00:00Z");
        let line = &invoice["lines"]["data"][0]["id"];
        assert_eq!(of("one_off")["evidence"], format!("{id} {}", line.as_str().unwrap()));
        assert_eq!(
            (&*of("tax")["evidence"], &*of("tax")["class"], &*of("tax")["reason"]),
            (&*id, "out_of_scope", "extra_lines")
        );
        // An invoice without any of it has none of these rows.
        let plain = renewal(world.sandbox(), "sub_b")["id"].as_str().unwrap().to_owned();
        let plain: Vec<String> = by_item(&rows_of(&closed, &plain, "invoice")).into_keys().collect();
        assert_eq!(plain, [METER, "base_fee"]);
    }
}

#[test]
fn an_invoice_of_a_window_that_is_not_compared_is_not_lost() {
    let rows = tenants(["parked", "flat", "stray"]).replace("Name of flat,pro", "Name of flat,flat");
    let records = usage([("parked", "130"), ("stray", "150")]);
    let world = World::remote(Engine::Sqlite, &catalog(), &rows, &records, OPEN);
    world.run(OPEN).expect(0);
    // Since then nobody knows the plan of the first, and the last is said to begin in November only.
    let rows = rows.replace("Name of parked,pro", "Name of parked,nowhere");
    let rows = rows.replace("sub_stray,active,2026-10-01", "sub_stray,active,2026-11-01");
    world.workspace.write("tenants.csv", rows);
    world.workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    world.workspace.write("billrecon.toml", "first_period = \"2026-10\"\n");
    let partial = outcome(&world.run_with(FINAL, &["--period", "2026-10"]).expect(3), "2026-10");
    let of = |subscription: &str| {
        let invoice = renewal(world.sandbox(), subscription);
        let rows = rows_of(&partial, invoice["id"].as_str().unwrap(), "invoice");
        let due = invoice["amount_due"].as_i64().map(i128::from);
        assert_eq!(Some(rows.iter().map(amount).sum::<i128>()), due, "{subscription}: {rows:?}");
        let shown = |row: &Row| {
            [&row["tenant_id"], &row["class"], &row["meter"], &row["item"]].map(String::as_str).join(" ")
        };
        let mut shown: Vec<String> = rows.iter().map(shown).collect();
        shown.sort();
        shown
    };
    assert_eq!(of("sub_flat"), ["flat out_of_scope  base_fee"]);
    assert_eq!(of("sub_parked"), ["parked out_of_scope  base_fee", "parked out_of_scope  other"]);
    assert_eq!(
        of("sub_stray"),
        ["stray missing_in_ledger b2b.match_request ", "stray out_of_scope  base_fee"]
    );
}
