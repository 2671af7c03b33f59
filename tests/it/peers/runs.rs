//! Mistakes of runs: two at a time, sums over customers, failures that are called success or leave no trace, dry runs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::count;
use crate::billing::server::{Act, Asked, Proxy};
use crate::billing::world::{FINAL, OPEN, SHADOW, World, compared, folder, outcome, table, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

/// lago, `MeterGuard`, frappe: six workers, six invoices. Four replicas wake at once, twice: one at a time works.
#[test]
fn mistake_1_two_replicas_close_the_same_month() {
    for engine in ENGINES {
        let ids = tenants(["a", "b"]);
        let world = World::remote(engine, SHADOW, &ids, &usage([("a", "60"), ("b", "130")]), OPEN);
        for instant in [OPEN, FINAL] {
            world.sandbox().move_to(instant);
            let replica = |_| {
                let mut command = world.command(&["run", "--as-of", instant, "--period", "2026-10"]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            };
            let replicas: Vec<_> = (0..4).map(replica).collect();
            let codes: Vec<_> =
                replicas.into_iter().map(|child| Ended::of(child.wait_with_output().unwrap()).code).collect();
            assert!(codes.contains(&Some(0)), "{codes:?}");
            assert!(codes.iter().all(|code| matches!(code, Some(0 | 11))), "{codes:?}");
        }
        assert_eq!(count(&world, "billing_windows"), 2);
        assert_eq!(count(&world, "audit_log WHERE event = 'run_committed'"), 1);
        let identifiers = world.identifiers();
        assert_eq!(identifiers.iter().collect::<BTreeSet<_>>().len(), identifiers.len());
        assert_eq!((world.at_stripe("a"), world.at_stripe("b")), ("60".to_owned(), "130".to_owned()));
    }
}

/// `MeterGuard`: the sum over all customers agrees, and two of them are billed wrongly.
#[test]
fn mistake_2_one_item_is_compared_with_the_sum_of_all_customers() {
    for engine in ENGINES {
        let ids = tenants(["a", "b"]);
        let world = World::remote(engine, SHADOW, &ids, &usage([("a", "60"), ("b", "130")]), OPEN);
        world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
        world.sandbox().move_to(OPEN);
        world.sandbox().send_event("cus_a", "70", "app-1");
        world.sandbox().send_event("cus_b", "120", "app-2");
        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        let wrong = |tenant: &str| {
            let rows = compared(&open, tenant);
            rows.iter()
                .map(|row| row.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(wrong("a"), ["quantity_mismatch 60 70", "quantity_mismatch 60 70"]);
        assert_eq!(wrong("b"), ["quantity_mismatch 130 120", "quantity_mismatch 130 120"]);
    }
}

/// A company of which Stripe does not tell `b`'s total when October is to close.
fn with_an_answer_that_fails(engine: Engine) -> (World, Proxy, Ended) {
    let records = usage([("a", "60"), ("b", "130")]);
    let mut world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
    let proxy = world.through_proxy();
    world.run(OPEN).expect(0);
    proxy.rule(|asked| if is_total_of_b(asked) { Act::Change(spoil) } else { Act::Pass });
    let ended = world.run(FINAL);
    (world, proxy, ended)
}

fn is_total_of_b(asked: &Asked) -> bool {
    asked.is_total() && asked.path.contains("cus_b")
}

fn spoil(body: &mut Value) {
    *body = json!({"object": "list", "data": "a string", "has_more": false});
}

/// `MeterGuard`: some tenants failed, and the run was green.
#[test]
fn mistake_3_a_run_with_failed_tenants_is_reported_as_success() {
    for engine in ENGINES {
        let (world, proxy, ended) = with_an_answer_that_fails(engine);
        let october = outcome(&ended.expect(3), "2026-10");
        assert_eq!(october["verdict"], "INSUFFICIENT_DATA", "{october}");
        assert_ne!(october["status"], "closed");
        assert!(compared(&october, "b").iter().any(|row| row.contains("incomplete")), "{october}");
        assert!(compared(&october, "a").iter().all(|row| row.contains("matched")), "{october}");
        // Once the answer is there, so is the close.
        proxy.rule(|_| Act::Pass);
        let mended = outcome(&world.run("2026-11-01T02:30:00Z").expect(0), "2026-10");
        assert_eq!(mended["status"], "closed");
    }
}

/// Formance: an early return, and nobody can say what happened.
#[test]
fn mistake_14_a_failed_result_is_not_saved() {
    for engine in ENGINES {
        let (_world, _proxy, ended) = with_an_answer_that_fails(engine);
        let october = outcome(&ended, "2026-10");
        let evidence = fs::read_to_string(folder(&october).join("evidence.ndjson")).unwrap();
        let lines = evidence.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_b: Vec<Value> =
            lines.filter(|line| line["request_id"] == "req_proxy" && line["tenant_id"] == "b").collect();
        assert!(of_b.iter().any(|line| line["source"] == "meter_total"), "{evidence}");
        let exceptions = table(&october, "exceptions");
        assert!(
            exceptions.iter().any(|row| row["tenant_id"] == "b" && row["kind"] == "parked"),
            "{exceptions:?}"
        );
    }
}

/// frappe: what is cancelled keeps its place in a unique index, or gives it away. A push that Stripe refused gives its
/// place to another; a run that died gives the period to another; a row of a subscription that ended stays beside the next.
#[test]
fn mistake_11_a_cancelled_row_blocks_or_frees_the_unique_slot() {
    for engine in ENGINES {
        let mut world = World::remote(engine, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
        let proxy = world.through_proxy();
        proxy.rule(|asked| if asked.is_push() { Act::Answer(400, REFUSED) } else { Act::Pass });
        world.run(OPEN);
        assert_eq!(world.intents(), [("rejected".to_owned(), 1)]);
        world.workspace.sql("UPDATE runs SET state = 'started' RETURNING run_id");
        proxy.rule(|_| Act::Pass);
        let again = outcome(&world.run("2026-10-20T11:00:00Z").expect(0), "2026-10");
        assert_eq!(compared(&again, "a")[0], "meter_total matched 60 60");
        assert_eq!(world.intents(), [("confirmed".to_owned(), 1), ("rejected".to_owned(), 1)]);
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        assert_eq!(closed["status"], "closed");
        assert_eq!(count(&world, "runs WHERE state = 'abandoned'"), 1);
        assert_eq!(count(&world, "billing_period_jobs WHERE period = '2026-10'"), 1);
        assert_eq!(count(&world, "billing_windows WHERE tenant_id = 'a'"), 1);
    }
}

const REFUSED: &str =
    r#"{"error": {"type": "invalid_request_error", "code": "parameter_invalid", "message": "no"}}"#;

/// estuary: a preview that plays in a world of its own shows creates that will never be. What is settled has none, and what
/// is planned is what the real run does.
#[test]
fn mistake_12_a_dry_run_shows_phantom_creates() {
    for engine in ENGINES {
        let world = World::new(engine, SHADOW, &tenants(["a"]), &usage([("a", "60")]));
        let pushes = |ended: Ended| outcome(&ended.expect(0), "2026-10")["pushes"].clone();
        let planned = pushes(world.run_with(OPEN, &["--dry-run"]));
        assert_eq!(planned.as_array().unwrap().len(), 1);
        assert_eq!((world.intents(), world.identifiers()), (Vec::new(), Vec::new()));
        assert_eq!(planned, pushes(world.run(OPEN)));
        let settled = pushes(world.run_with("2026-10-20T11:00:00Z", &["--dry-run"]));
        assert_eq!(settled, json!([]), "nothing is left to create");
    }
}
