//! A tenant's overage against what it was charged for before.

use super::{exceptions, say};
use crate::billing::world::{METER, SHADOW, World, outcome};
use crate::support::{ENGINES, Engine};

const TENANTS: &str = "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at\n\
                       a,A,pro,try,cus_a,sub_a,active,2026-06-01T00:00:00Z\n";

fn live() -> String {
    SHADOW.replace("free_quota = 100", "billing = \"live\"\n  free_quota = 100")
}

/// One record on the fifth of the month.
fn record(month: &str, quantity: &str) -> String {
    format!(
        "tenant_id,meter,quantity,occurred_at,source_event_id\na,{METER},{quantity},2026-{month}-05T00:00:00Z,{month}-{quantity}\n"
    )
}

/// Uses, pushes and closes a month; `next` is the month after it.
fn close(world: &World, month: &str, next: &str, quantity: &str) {
    world.import_usage(&record(month, quantity));
    for instant in [
        format!("2026-{month}-20T00:00:00Z"),
        format!("2026-{next}-01T00:30:00Z"),
        format!("2026-{next}-01T01:30:00Z"),
    ] {
        world.run(&instant).expect(0);
    }
}

/// 10, 20 and then `third` units above the quota in three months.
fn three_months(engine: Engine, third: &str) -> World {
    let world = World::new(engine, &live(), TENANTS, &record("06", "1"));
    close(&world, "06", "07", "109");
    close(&world, "07", "08", "120");
    close(&world, "08", "09", third);
    world
}

#[test]
fn ten_times_the_highest_of_three_windows_is_sent_and_a_little_more_waits() {
    for engine in ENGINES {
        let world = three_months(engine, "130");
        world.import_usage(&record("09", "400"));
        let open = outcome(&world.run("2026-09-20T00:00:00Z").expect(0), "2026-09");
        assert_eq!(open["counts"]["pushed"], 1);
        world.import_usage(&record("09", "0.001"));
        let open = outcome(&world.run("2026-09-20T01:00:00Z").expect(3), "2026-09");
        // 0.7 minor units more round to 1 more.
        assert_eq!(open["counts"]["pushed"], 0, "{open}");
    }
}

#[test]
fn far_above_what_was_usual_waits_for_a_word_and_the_word_is_for_that_window() {
    for engine in ENGINES {
        let world = three_months(engine, "130");
        world.import_usage(&record("09", "401"));
        let open = outcome(&world.run("2026-09-20T00:00:00Z").expect(3), "2026-09");
        assert_eq!(
            (exceptions(&open), &open["counts"]["pushed"]),
            (vec!["a parked overage_bound".to_owned()], &0.into())
        );
        say(&world, &["unpark", "a"]).expect(0);
        let open = outcome(&world.run("2026-09-20T01:00:00Z").expect(0), "2026-09");
        assert_eq!(open["counts"]["pushed"], 1);
        world.run("2026-10-01T00:30:00Z").expect(0);
        world.run("2026-10-01T01:30:00Z").expect(0);
        // That window is what the next is compared with.
        world.import_usage(&record("10", "3110"));
        world.run("2026-10-20T00:00:00Z").expect(0);
        world.import_usage(&record("10", "1"));
        let open = outcome(&world.run("2026-10-20T01:00:00Z").expect(3), "2026-10");
        assert_eq!(exceptions(&open), ["a parked overage_bound"]);
    }
}

#[test]
fn without_three_windows_of_overage_there_is_nothing_to_compare_with() {
    let world = World::new(Engine::Sqlite, &live(), TENANTS, &record("06", "1"));
    close(&world, "06", "07", "110");
    close(&world, "07", "08", "110");
    world.import_usage(&record("08", "99999"));
    world.run("2026-08-20T00:00:00Z").expect(0);
    // Three windows without overage say nothing either.
    let world = World::new(Engine::Sqlite, &live(), TENANTS, &record("06", "1"));
    for (month, next) in [("06", "07"), ("07", "08"), ("08", "09")] {
        close(&world, month, next, "60");
    }
    world.import_usage(&record("09", "99999"));
    world.run("2026-09-20T00:00:00Z").expect(0);
}
