//! `billrecon guard`, from outside: a company in the hour in which Stripe holds its renewal invoices as drafts.
//!
//! In: a sandbox in another process, drafts that were spoiled in one way each, the real binary. Out: who is named, with what
//! money, cause, time and command, and that nothing else was asked for or written.

mod bounds;
mod lines;
mod thousands;
mod waits;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::billing::server::{Act, Proxy, SandboxProcess};
use crate::billing::world::{DRAFT, FINAL, METER, SHADOW, World, compared, outcome, tenants, usage};
use crate::support::{Ended, Engine};

/// Stripe charges 7 TRY above 100.
fn live() -> String {
    SHADOW.replace("free_quota = 100", "free_quota = 100\n  billing = \"live\"")
}

fn guard(world: &World, as_of: &str, flags: &[&str]) -> Ended {
    let arguments = [&["guard", "--as-of", as_of], flags].concat();
    Ended::of(world.command(&arguments).output().unwrap())
}

fn found(world: &World, as_of: &str, code: i32) -> Value {
    serde_json::from_str(&guard(world, as_of, &["--json"]).expect(code).stdout).unwrap()
}

/// `tenant money reason` of each finding of a group, in their order; `item` stands for what is no usage.
fn named(found: &Value, group: &str) -> Vec<String> {
    let told = |one: &Value| {
        let tenant = one["tenant_id"].as_str().unwrap().to_owned();
        let money = one["difference"].as_array().unwrap().iter().map(|one| one["amount"].as_str().unwrap());
        let reasons = one["rows"].as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap());
        std::iter::once(tenant.as_str()).chain(money).chain(reasons).collect::<Vec<_>>().join(" ")
    };
    found[group].as_array().unwrap().iter().map(told).collect()
}

fn nobody(found: &Value, groups: &[&str]) {
    for group in groups {
        assert_eq!(found[group], json!([]), "{group}");
    }
}

/// Ids of the shadow price, the overage price and the base fee.
fn prices(sandbox: &SandboxProcess) -> [String; 3] {
    let listed = sandbox.get("/v1/prices?limit=100");
    let all = listed["data"].as_array().unwrap();
    let id = |of: &dyn Fn(&Value) -> bool| {
        all.iter().find(|price| of(price)).unwrap()["id"].as_str().unwrap().to_owned()
    };
    [
        id(&|price| price["recurring"]["usage_type"] == "metered" && price["billing_scheme"] == "per_unit"),
        id(&|price| price["billing_scheme"] == "tiered"),
        id(&|price| price["recurring"]["usage_type"] == "licensed"),
    ]
}

/// The item of a subscription with this price.
fn item(sandbox: &SandboxProcess, subscription: &str, price: &str) -> String {
    let shown = sandbox.get(&format!("/v1/subscriptions/{subscription}"));
    let items = shown["items"]["data"].as_array().unwrap();
    let found = items.iter().find(|item| item["price"]["id"] == price);
    found.unwrap_or_else(|| panic!("{shown}"))["id"].as_str().unwrap().to_owned()
}

/// Bytes of all files beside the sandbox's own; readers of SQLite share memory through a file that holds no data.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = crate::support::files(folder);
    all.retain(|name, bytes| {
        !name.starts_with("remote.sandbox") && !name.ends_with("-shm") && !bytes.is_empty()
    });
    all
}

/// A guard's JSON, after which all files are as they were and nothing but reads was asked for.
fn only_read(world: &World, proxy: &Proxy, code: i32) -> (Value, usize) {
    let before = files(&world.workspace.path(""));
    let all = found(world, DRAFT, code);
    let after = files(&world.workspace.path(""));
    let changed: Vec<&String> =
        after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
    let asked = proxy.take();
    assert!(asked.iter().all(|one| one.method == "GET"), "{asked:?}");
    (all, asked.iter().filter(|one| one.is_total()).count())
}

/// Where the application sends its usage itself.
fn observed(engine: Engine, ids: &[&str]) -> World {
    let records = usage(ids.iter().map(|id| (*id, "130")));
    let world =
        World::remote(engine, SHADOW, &tenants(ids.iter().copied()), &records, "2026-10-01T00:00:00Z");
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world
}

/// Seven drafts: six of them spoiled in one way each.
fn spoiled(engine: Engine) -> (World, Proxy) {
    let mut world = observed(engine, &["b", "c", "d", "e", "f", "g", "right"]);
    let sandbox = world.sandbox();
    let [shadow, overage, base] = prices(sandbox);
    let change = |tenant: &str, form: &str| {
        sandbox.post(&format!("/v1/subscriptions/sub_{tenant}"), &format!("{form}&proration_behavior=none"))
    };
    let of_b = item(sandbox, "sub_b", &shadow);
    change("b", &format!("items[0][id]={of_b}&items[0][price]={overage}"));
    change("d", &format!("items[0][price]={overage}"));
    let of_f = item(sandbox, "sub_f", &base);
    change("f", &format!("items[0][id]={of_f}&items[0][quantity]=2"));
    let of_g = item(sandbox, "sub_g", &shadow);
    change("g", &format!("items[0][id]={of_g}&items[0][deleted]=true"));
    sandbox.move_to("2026-10-20T00:00:00Z");
    for (tenant, value) in
        [("b", "130"), ("d", "130"), ("e", "130"), ("f", "130"), ("g", "130"), ("right", "130")]
    {
        sandbox.send_event(&format!("cus_{tenant}"), value, tenant);
    }
    sandbox.move_to(DRAFT);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(melt) } else { Act::Pass });
    (world, proxy)
}

#[test]
fn each_kind_of_wrong_is_named_with_its_money_cause_and_time_and_nobody_else_is() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (world, proxy) = spoiled(engine);
        let (all, totals) = only_read(&world, &proxy, 3);
        assert_eq!(totals, 2 + 3, "only where a quantity differs; a second look where the total does");
        assert_eq!(all["drafts"], 7, "{all}");
        // The worst money first, and where none is at stake the most units.
        let wrong =
            ["f 999.00 pricing_diff", "d 210.00 double_meter", "b 210.00 mapping", "c 0.00 not_pushed"];
        assert_eq!(named(&all, "wrong"), wrong, "{all}");
        assert_eq!(named(&all, "uncompared"), ["e", "g"], "{all}");
        nobody(&all, &["needs_run", "settles"]);
        let of_c = &all["wrong"][3];
        assert_eq!(
            (&of_c["minutes_left"], &of_c["finalizes_at"], &of_c["window_end"]),
            (&json!(30), &json!("2026-11-01T01:00:00Z"), &json!("2026-11-01T00:00:00Z"))
        );
        let row = &of_c["rows"][0];
        assert_eq!(
            (&row["meter"], &row["ledger_quantity"], &row["stripe_quantity"]),
            (&json!(METER), &json!("130"), &json!("0"))
        );
        let id = of_c["invoice_id"].as_str().unwrap();
        assert_eq!(of_c["hold"], format!("stripe invoices update {id} -d auto_advance=false"));
        assert_eq!(of_c["link"], format!("https://dashboard.stripe.com/test/invoices/{id}"));
    }
}

#[test]
fn a_person_is_told_the_same_in_words_and_the_close_names_the_same_causes() {
    let (mut world, _proxy) = spoiled(Engine::Sqlite);
    let text = guard(&world, DRAFT, &[]).expect(3).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        format!("SANDBOX  7 draft invoices at {DRAFT}: 4 wrong, 0 need a run, 2 not compared")
    );
    assert!(lines[1].starts_with("WRONG  f  in_"), "{text}");
    assert!(lines[1].ends_with("+999.00 TRY  final at 01:00 UTC, in 30 min"), "{text}");
    assert!(text.contains("  base fee: draft 1998.00, plan 999.00 TRY"), "{text}");
    assert!(text.contains("data[") && text.contains("NOT COMPARED  e  in_"), "{text}");
    // Of another month's windows there is no draft; what is not understood may be one.
    let other = guard(&world, DRAFT, &["--json", "--period", "2026-11"]).expect(3);
    let other = serde_json::from_str::<Value>(&other.stdout).unwrap();
    assert_eq!((&other["wrong"], &other["drafts"]), (&json!([]), &json!(1)));
    for (period, word) in [("2026-09", "before the first one"), ("2099-01", "has not begun")] {
        let refused = guard(&world, DRAFT, &["--period", period]).expect(2);
        assert!(refused.stderr.contains(word) && refused.stdout.is_empty(), "{refused:?}");
    }
    // Where nobody acts, the close names the same cause.
    world.connect(&world.sandbox().url());
    let closed = outcome(&world.run(FINAL).expect(3), "2026-10");
    for (tenant, cause) in [("b", "mapping"), ("c", "not_pushed")] {
        let told = compared(&closed, tenant);
        let of_invoice = told.iter().find(|row| row.starts_with("invoice ")).unwrap();
        assert!(of_invoice.ends_with(cause), "{tenant}: {told:?}");
    }
}

/// The total of e's draft is no number.
fn melt(list: &mut Value) {
    for invoice in list["data"].as_array_mut().unwrap() {
        if invoice["customer"] == "cus_e" {
            invoice["lines"]["data"][0]["amount"] = "melted".into();
        }
    }
}

#[test]
fn where_all_drafts_agree_the_guard_ends_with_0_and_says_so() {
    let mut world = observed(Engine::Sqlite, &["a", "b"]);
    world.sandbox().move_to("2026-10-20T00:00:00Z");
    for tenant in ["a", "b"] {
        world.sandbox().send_event(&format!("cus_{tenant}"), "130", tenant);
    }
    // Before the end there is no draft, and after the finalization none is left.
    for (instant, drafts) in [("2026-10-31T23:59:00Z", 0), (DRAFT, 2), ("2026-11-01T01:30:00Z", 0)] {
        world.sandbox().move_to(instant);
        let all = found(&world, instant, 0);
        assert_eq!(all["drafts"], drafts, "{instant}");
        nobody(&all, &["wrong", "needs_run", "uncompared", "settles"]);
    }
    let asked = world.through_proxy();
    guard(&world, "2026-11-01T01:30:00Z", &[]).expect(0);
    assert!(asked.take().iter().all(|one| !one.is_total() && !one.is_preview()));
    // A time to come is for sandboxes only, and a wrong flag is wrong usage.
    guard(&world, "never", &[]).expect(2);
    assert!(fs::exists(world.workspace.path("remote.sandbox")).unwrap());
}
