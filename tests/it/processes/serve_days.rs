//! Sixty days of `serve` by a clock that the test moves, over changes of the clocks.
//!
//! In: the wake loop itself, the job on the sandbox, schedules in zones whose clocks change in that time. Out: every window that fell due was
//! closed, once, by the first wake after it was final; no wake began before the one before it had ended. No real time passes.

use std::cell::Cell;
use std::ops::ControlFlow;

use billrecon::domain::period::parse_zone;
use billrecon::schedule::{Alarm, Schedule, ScheduleError, keep_waking};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Engine, Workspace, block_on};

/// Each zone with a schedule, the days around a change of its clocks, and how many wakes cron would give.
const SERVED: [(&str, &str, &str, usize); 3] = [
    // On 25 October 03:00 becomes 02:00.
    ("Europe/Berlin", "5 */6 * * *", "2026-10-01T00:10:00Z", 60 * 4),
    // On 1 November 02:00 becomes 01:00; once a day, in the hour that comes twice.
    ("America/New_York", "30 1 * * *", "2026-10-05T00:00:00Z", 60),
    // On 4 October 02:00 becomes 02:30: half an hour.
    ("Australia/Lord_Howe", "15 2 * * *", "2026-09-10T00:00:00Z", 60),
];

const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"
event_name = "calls"

[[plan]]
key = "pro"
currency = "usd"
interval = "month"
amount = 100
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "1" }
"#;

/// Calendar months in the zone, and months from anchors of their own.
fn company(start: Timestamp) -> (String, String) {
    let day = |days: i64| start - SignedDuration::from_hours(24 * days);
    let mut tenants =
        "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at\n".to_owned();
    let mut usage = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    for (tenant, days) in [("calendar", 0), ("a", 3), ("b", 11), ("c", 27)] {
        let anchor = if tenant == "calendar" { String::new() } else { day(days).to_string() };
        tenants += &format!("{tenant},pro,usd,cus_{tenant},sub_{tenant},active,{anchor},{}\n", day(days));
        usage += &format!(
            "{tenant},calls,{},{},{tenant}-1\n",
            days + 1,
            day(days) + SignedDuration::from_hours(1)
        );
    }
    (tenants, usage)
}

#[test]
fn sixty_days_of_serve_close_every_due_window_once_over_changes_of_the_clocks() {
    for (zone, expression, start, expected) in SERVED {
        let start: Timestamp = start.parse().unwrap();
        let end = start + SignedDuration::from_hours(60 * 24);
        let workspace = Workspace::new(Engine::Sqlite);
        workspace.write("billrecon.toml", format!("time_zone = \"{zone}\"\nlog = \"warn\"\n"));
        let (tenants, usage) = company(start);
        workspace.import(CATALOG, &tenants, &usage);
        let wakes = serve(&workspace, zone, expression, (start, end));
        // A change of the clocks gives or takes one of a repetition, none of what comes once a day.
        assert!(wakes.len().abs_diff(expected) <= 2, "{zone}: {} wakes", wakes.len());
        assert_closed(&workspace, zone, &wakes);
    }
}

/// The instants of the wakes.
fn serve(
    workspace: &Workspace,
    zone: &str,
    expression: &str,
    (start, end): (Timestamp, Timestamp),
) -> Vec<Timestamp> {
    let time_zone = parse_zone(zone).unwrap();
    let schedule = Schedule { expression: expression.to_owned(), time_zone };
    let (clock, at_work) = (Cell::new(start), Cell::new(false));
    let wakes = std::cell::RefCell::new(Vec::new());
    let wake = async |now: Timestamp, ()| {
        assert!(!at_work.replace(true), "two wakes at a time");
        assert!(wakes.borrow().last().is_none_or(|before| *before < now), "{now} came twice");
        wakes.borrow_mut().push(now);
        let as_of = now.to_string();
        let ended = workspace.run(&["run", "--as-of", &as_of, "--reports", "reports"]);
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        // Now and then a wake takes longer than the step of the schedule.
        let takes = if wakes.borrow().len() % 37 == 0 { 200 } else { 2 };
        clock.set(now + SignedDuration::from_mins(takes));
        at_work.set(false);
        if now < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let ring = async |at: Timestamp| -> Result<(), ScheduleError> {
        clock.set(at);
        Ok(())
    };
    let alarms = [Alarm { work: (), schedule }];
    block_on(keep_waking(&alarms, || clock.get(), ring, std::future::pending(), wake)).unwrap();
    wakes.into_inner()
}

fn assert_closed(workspace: &Workspace, zone: &str, wakes: &[Timestamp]) {
    let sql =
        "SELECT tenant_id, CAST(window_start AS TEXT), CAST(window_end AS TEXT), run_id FROM billing_windows
        ORDER BY tenant_id, window_start";
    let instant = |text: &str| Timestamp::from_nanosecond(text.parse().unwrap()).unwrap();
    let closed = workspace.sql(sql);
    let last_wake = *wakes.last().unwrap();
    for tenant in ["calendar", "a", "b", "c"] {
        let windows: Vec<_> = closed.iter().filter(|row| row[0] == tenant).collect();
        for pair in windows.windows(2) {
            assert_eq!(pair[0][2], pair[1][1], "{zone}: a window was missed or closed twice");
        }
        let last_end = instant(&windows.last().unwrap()[2]);
        // The next one is not final yet, or was only so after the last wake.
        let next_final = last_end + SignedDuration::from_hours(31 * 24 + 1);
        assert!(
            next_final + SignedDuration::from_hours(24) >= last_wake,
            "{zone}: {tenant} stops at {last_end}"
        );
        let least = if tenant == "calendar" { 1 } else { 2 };
        assert!(windows.len() >= least, "{zone}: {tenant}");
    }
    for row in &closed {
        // The sandbox finalizes an hour after the end.
        let is_final = instant(&row[2]) + SignedDuration::from_hours(1);
        let first = wakes.iter().find(|wake| **wake >= is_final).unwrap();
        let run =
            workspace.sql(&format!("SELECT CAST(started_at AS TEXT) FROM runs WHERE run_id = '{}'", row[3]));
        assert_eq!(instant(&run[0][0]), *first, "{zone}: {row:?}");
    }
}
