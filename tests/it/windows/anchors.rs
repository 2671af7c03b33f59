//! Sixty tenants with all sorts of anchors, trials and intervals: no window of theirs is another than Stripe's.
//!
//! In: tenants drawn from a fixed sequence, a run every nine days for half a year. Out: nobody is parked, and whatever
//! closes has matched Stripe's invoices. The sandbox lays out its windows by itself.

use super::{FLAT, MATCH, Month};
use crate::support::{CATALOG, Engine, Workspace, files};

const JANUARY: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// Numbers that look random and are the same every time.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }
}

fn at(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()
}

/// A tenant that starts in January 2026, on any second; a third of them on the last days.
fn tenant(number: usize, draw: &mut Sequence) -> String {
    let last_days = draw.below(3) == 0;
    let start = JANUARY + if last_days { 28 * DAY + draw.below(3 * DAY) } else { draw.below(31 * DAY) };
    let has_trial = draw.below(2) == 0;
    let trial_end = if has_trial { at(start + 1 + draw.below(70 * DAY)) } else { String::new() };
    // Ahead of the start or behind it; a trial leaves it without meaning.
    let anchor = match draw.below(3) {
        0 if trial_end.is_empty() => at(start),
        0 => at(start + draw.below(20 * DAY)),
        _ => at(start - draw.below(400 * DAY)),
    };
    let interval = ["month", "month", "month", "year"][usize::try_from(draw.below(4)).unwrap()];
    format!("t{number:02},flat,{anchor},{trial_end},{},{interval},try,cus_{number},sub_{number}\n", at(start))
}

#[test]
fn nobody_is_parked_because_its_windows_are_not_stripes() {
    let mut draw = Sequence(2026);
    let tenants: String = (0..60).map(|number| tenant(number, &mut draw)).collect();
    let columns = "tenant_id,plan,billing_anchor,trial_end,started_at,interval,currency";
    let usage: String = (0..60)
        .flat_map(|number| (0..26).map(move |week| (number, week)))
        .map(|(number, week)| {
            let instant = at(JANUARY + week * 7 * DAY + 3_600);
            format!("t{number:02},{MATCH},{},{instant},w{week}\n", week + 1)
        })
        .collect();
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(
        &format!("{CATALOG}{FLAT}"),
        &format!("{columns},stripe_customer_id,stripe_subscription_id\n{tenants}"),
        &format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{usage}"),
    );
    let mut closed = 0;
    for wake in 1..=20 {
        let ended = workspace.run(&["run", "--as-of", &at(JANUARY + wake * 9 * DAY), "--json"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        for line in ended.stdout.lines() {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(folder) = json["reports_dir"].as_str() else { continue };
            let month = Month { files: files(&workspace.path(folder)), json: json.clone() };
            month.assert_ties();
            let parked: Vec<String> =
                month.exceptions().into_iter().filter(|one| one.contains(" parked ")).collect();
            assert!(parked.is_empty(), "{parked:?}\n{tenants}");
            let rows = month.rows("reconciliation.csv");
            let unread = rows.iter().filter(|row| row["class"] == "incomplete").count();
            assert_eq!(unread, 0, "a line of another window\n{tenants}");
            closed += json["counts"]["closed"].as_u64().unwrap();
        }
    }
    assert!(closed > 60, "{closed}");
}
