//! The default policy exactly on its edges, reached by real usage, real pushes and real doubts.

use serde_json::Value;

use super::server::Act;
use super::world::{DRAFT, FINAL, OPEN, Row, SHADOW, World, decided, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

/// Windows without an invoice are settled too.
const SETTLED: &str = "2026-11-01T02:00:00Z";

/// Groups of tenants: how many, and the requests of each; `0` without a record.
type Groups<'a> = &'a [(usize, &'a str)];

fn members(groups: Groups<'_>) -> Vec<(String, String)> {
    let all = groups.iter().flat_map(|(count, used)| vec![(*used).to_owned(); *count]);
    all.enumerate().map(|(number, used)| (format!("t{number:03}"), used)).collect()
}

fn company(engine: Engine, groups: Groups<'_>) -> World {
    let members = members(groups);
    let ids = tenants(members.iter().map(|(id, _)| &**id));
    let used = members.iter().filter(|(_, used)| used != "0").map(|(id, used)| (&**id, &**used));
    World::new(engine, SHADOW, &ids, &usage(used))
}

/// Word, reasons and files of October, pushed in time and closed.
fn judged(world: &World, code: i32) -> Value {
    world.run(OPEN).expect(code);
    outcome(&world.run(SETTLED).expect(code), "2026-10")
}

#[track_caller]
fn assert_verdict(groups: Groups<'_>, word: &str, metric: &str, value: &str) {
    let company = company(Engine::Sqlite, groups);
    let outcome = judged(&company, 0);
    assert_eq!(outcome["verdict"], word, "{outcome}");
    let rows = table(&outcome, "decision");
    assert!(rows.iter().any(|row| row["metric"] == metric && row["value"] == value), "{rows:?}");
}

#[test]
fn a_tenth_of_the_tenants_above_the_quota_is_enough_and_a_little_less_is_not() {
    assert_verdict(&[(1, "100"), (9, "60")], "GO", "share_at_100", "0.1");
    assert_verdict(&[(10, "100"), (91, "60")], "NO_GO", "share_at_100", "0.09901");
}

#[test]
fn three_tenths_of_the_tenants_above_the_quota_are_for_review_and_a_little_less_goes() {
    assert_verdict(&[(3, "100"), (7, "60")], "REVIEW", "share_at_100", "0.3");
    assert_verdict(&[(8, "100"), (19, "60")], "GO", "share_at_100", "0.296296");
    assert_verdict(&[(3, "100"), (7, "99.999999999999")], "REVIEW", "tenants_at_100", "3");
}

#[test]
fn a_mean_of_exactly_50_is_not_enough_and_the_smallest_fraction_more_is() {
    assert_verdict(&[(2, "100"), (8, "37.5")], "NO_GO", "mean_used_units", "50");
    assert_verdict(
        &[(2, "100"), (7, "37.5"), (1, "37.500000000001")],
        "GO",
        "mean_used_units",
        "50.0000000000001",
    );
}

#[test]
fn tenants_without_usage_are_counted() {
    assert_verdict(&[(1, "501"), (9, "0")], "GO", "share_at_100", "0.1");
    assert_verdict(&[(1, "500"), (9, "0")], "NO_GO", "mean_used_units", "50");
}

#[test]
fn a_verdict_is_the_same_on_both_databases() {
    let files = ENGINES.map(|engine| {
        let world = company(engine, &[(3, "100"), (7, "60")]);
        table(&judged(&world, 0), "decision")
    });
    assert_eq!(files[0], files[1]);
}

#[test]
fn nobody_on_the_plan_is_not_enough_to_judge() {
    let enterprise = SHADOW.replace("key = \"pro\"", "key = \"enterprise\"");
    let both = format!(
        "{SHADOW}{}",
        enterprise.split_once("[[plan]]").map(|(_, plan)| format!("[[plan]]{plan}")).unwrap()
    );
    let ids = tenants(["a"]).replace(",pro,", ",enterprise,");
    let world = World::new(Engine::Sqlite, &both, &ids, &usage([("a", "60")]));
    let outcome = judged(&world, 0);
    assert_eq!(outcome["verdict"], "INSUFFICIENT_DATA", "{outcome}");
    assert_eq!(decided(&outcome, "full_cycle").0, "1");
    assert_eq!(decided(&outcome, "tenants"), ("0".to_owned(), "false".to_owned()));
}

/// A good company, and one tenant that nobody can map to Stripe.
fn with_unmapped(used: Option<&str>) -> World {
    let good = members(&[(1, "100"), (9, "60")]);
    let ids = format!(
        "{}lost,Lost,pro,try,,,active,2026-10-01T00:00:00Z\n",
        tenants(good.iter().map(|(id, _)| &**id))
    );
    let records = good.iter().map(|(id, used)| (&**id, &**used)).chain(used.map(|used| ("lost", used)));
    World::new(Engine::Sqlite, SHADOW, &ids, &usage(records))
}

#[test]
fn one_parked_tenant_that_is_due_a_push_is_one_too_many() {
    let world = with_unmapped(Some("1"));
    let outcome = judged(&world, 3);
    assert_eq!((&outcome["status"], &outcome["verdict"]), (&"partial".into(), &"NO_GO".into()), "{outcome}");
    assert_eq!(decided(&outcome, "pending_after"), ("1".to_owned(), "false".to_owned()));
    assert_eq!(decided(&outcome, "differences"), ("0".to_owned(), "true".to_owned()));
}

#[test]
fn a_parked_tenant_without_usage_decides_nothing() {
    let world = with_unmapped(None);
    let outcome = judged(&world, 3);
    assert_eq!((&outcome["status"], &outcome["verdict"]), (&"partial".into(), &"GO".into()), "{outcome}");
    assert_eq!(decided(&outcome, "pending_after").0, "0");
}

/// An answer that nobody asks for twice; what cannot be decoded is asked for again for some seconds.
const NO_ANSWER: &str =
    r#"{"error": {"type": "invalid_request_error", "code": "nobody_knows", "message": "No."}}"#;

#[test]
fn one_answer_that_does_not_come_leaves_too_little_to_judge_until_it_can() {
    for engine in ENGINES {
        let good = members(&[(1, "100"), (4, "60")]);
        let ids = tenants(good.iter().map(|(id, _)| &**id));
        let records = usage(good.iter().map(|(id, used)| (&**id, &**used)));
        let mut world = World::remote(engine, SHADOW, &ids, &records, OPEN);
        let proxy = world.through_proxy();
        world.run(OPEN).expect(0);
        proxy.rule(|asked| {
            let is_third = asked.is_total() && asked.path.contains("customer=cus_t003");
            if is_third { Act::Answer(400, NO_ANSWER) } else { Act::Pass }
        });
        let partial = outcome(&world.run(FINAL).expect(3), "2026-10");
        assert_eq!(
            (&partial["status"], &partial["verdict"]),
            (&"partial".into(), &"INSUFFICIENT_DATA".into())
        );
        assert_eq!(decided(&partial, "incomplete"), ("1".to_owned(), "false".to_owned()));
        let parked: Vec<Row> = table(&partial, "exceptions");
        assert_eq!(
            (parked.len(), &*parked[0]["tenant_id"], &*parked[0]["reason"]),
            (1, "t003", "incomplete")
        );

        proxy.rule(|_| Act::Pass);
        let closed = outcome(&world.run(SETTLED).expect(0), "2026-10");
        assert_eq!((&closed["status"], &closed["verdict"]), (&"closed".into(), &"GO".into()), "{closed}");
    }
}

/// One tenant whose records of 1 are pushed in the draft hour, and one record more that comes when it is too late: the
/// error rate, whether the reasons speak of it, and the verdict.
fn late_of(records: usize) -> ((String, String), bool, Value) {
    let ones = vec![("a", "1"); records - 1];
    let world = World::new(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage(ones));
    world.run(DRAFT).expect(0);
    world.import_usage(&usage([("a", "0.5")]));
    let outcome = outcome(&world.run(FINAL).expect(3), "2026-10");
    let reasons = outcome["reasons"].to_string();
    (
        decided(&outcome, "push_error_rate"),
        reasons.contains("did not reach Stripe"),
        outcome["verdict"].clone(),
    )
}

#[test]
fn one_record_in_a_hundred_that_came_too_late_is_too_much_and_a_little_less_is_not() {
    // Half a unit that Stripe does not have is a difference in both.
    let rate = |value: &str, passed: &str| (value.to_owned(), passed.to_owned());
    assert_eq!(late_of(100), (rate("0.01", "false"), true, "NO_GO".into()));
    assert_eq!(late_of(101), (rate("0.009901", "true"), false, "NO_GO".into()));
}

#[test]
fn a_record_of_nothing_that_comes_after_the_push_is_no_push_error() {
    let ten = usage([("a", "100"), ("b", "60"), ("c", "60"), ("d", "60"), ("e", "60")]);
    let world = World::new(Engine::Sqlite, SHADOW, &tenants(["a", "b", "c", "d", "e"]), &ten);
    world.run(OPEN).expect(0);
    world.import_usage("tenant_id,meter,quantity,occurred_at,source_event_id\nb,b2b.match_request,0,2026-10-30T00:00:00Z,zero\n");
    let outcome = outcome(&world.run(FINAL).expect(0), "2026-10");
    assert_eq!(decided(&outcome, "push_error_rate"), ("0".to_owned(), "true".to_owned()));
    assert_eq!(outcome["verdict"], "GO", "{outcome}");
}

#[test]
fn a_plan_whose_price_lacks_only_the_quota_is_told_so() {
    let records = usage([("a", "60")]);
    let flat = r#"price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }"#;
    let (head, _) = SHADOW.split_once("free_quota").unwrap();
    let world = World::new(Engine::Sqlite, &format!("{head}{flat}\n"), &tenants(["a"]), &records);
    let outcome = judged(&world, 0);
    let reason = "no price of the plan `pro` has a free quota above 0, so there is nothing to judge";
    assert_eq!((&outcome["verdict"], &outcome["reasons"][0]), (&"INSUFFICIENT_DATA".into(), &reason.into()));
}
