//! Closed and parked windows with their usage and lines, and what a run reported beside them.
//!
//! In: figures that the domain has rated, at the edges of what they can hold. Out: the same figures, to the digit. It
//! tampers with stored figures by SQL on the side, which a reader has to notice.

use billrecon::domain::aggregation::MeterUsage;
use billrecon::domain::catalog::Catalog;
use billrecon::domain::controls::{ControlTotals, Measure};
use billrecon::domain::figures::{LedgerTotals, WindowFigures, WindowStatus};
use billrecon::domain::money::{Currency, MinorAmount};
use billrecon::domain::number::{Quantity, QuantitySum};
use billrecon::domain::period::Period;
use billrecon::domain::report::{Exception, ExceptionKind};
use billrecon::domain::tenant::Tenant;
use billrecon::domain::usage::UsageTotal;
use billrecon::store::lease::Term;
use billrecon::store::{Store, StoreError};
use jiff::tz::TimeZone;

use super::runs::run;
use super::{on_both, term, window};
use crate::support::Engine;

/// Prices and quotas with twelve places; the base fee of `lot` is the largest amount that a bill can hold.
const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[meter]]
key = "storage"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "calls"
  push = "overage"
  free_quota = "100.000000000001"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700.123456789012" }
  [[plan.usage]]
  meter = "storage"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "0.000000000001" }

[[plan]]
key = "lot"
currency = "kwd"
amount = 9223372036854775807
"#;

/// Two segments with gaps before and after; a plan without usage prices.
const TENANTS: &str = "\
tenant_id,name,plan,currency,started_at,ended_at
acme,\"Äcme, \"\"Ltd\"\"\",lot,kwd,2026-10-02T00:00:00.000000001Z,2026-10-10T00:00:00Z
acme,Acme,pro,try,2026-10-10T00:00:00Z,2026-10-30T00:00:00Z
beta,Beta,none,try,2026-10-01T00:00:00Z,
cold,Cold,pro,try,2026-10-01T00:00:00Z,
zeta,Zeta,lot,kwd,2026-10-01T00:00:00Z,
";

fn october() -> Period {
    Period::parse("2026-10").unwrap()
}

fn tenants() -> Vec<Tenant> {
    billrecon::ingest::tenants::read(TENANTS.as_bytes(), "tenants.csv", &TimeZone::UTC).unwrap()
}

fn catalog() -> Catalog {
    billrecon::ingest::catalog::read(CATALOG, "catalog.toml").unwrap()
}

fn total(records: u64, quantity: &str) -> MeterUsage {
    let billable = UsageTotal { records, quantity: Quantity::parse(quantity).unwrap().into() };
    MeterUsage { billable, ..MeterUsage::default() }
}

/// Usage of every tenant in every segment and gap.
fn ledger_totals(tenants: &[Tenant]) -> LedgerTotals {
    let mut totals = LedgerTotals::new();
    for tenant in tenants {
        let window = tenant.windows(october(), &TimeZone::UTC).remove(0);
        for range in window.segments.iter().map(|segment| segment.range).chain(window.gaps) {
            let by_tenant = totals.entry(range).or_default();
            let by_meter = by_tenant.entry(tenant.id().to_owned()).or_default();
            by_meter.insert("calls".to_owned(), total(3, "1100.5"));
            by_meter.insert("storage".to_owned(), total(9_999_999, "999999999999999.999999999999"));
        }
    }
    totals
}

/// All close but Beta, which is parked: its plan is unknown.
fn figures() -> Vec<WindowFigures> {
    let (tenants, catalog) = (tenants(), catalog());
    let totals = ledger_totals(&tenants);
    let rate = |tenant: &Tenant| {
        let window = tenant.windows(october(), &TimeZone::UTC).remove(0);
        WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed)
    };
    let mut figures: Vec<WindowFigures> = tenants.iter().map(rate).collect();
    // One of each, so that no two of them can be mixed up.
    figures[0].full_cycle = true;
    figures[2].not_billed = true;
    let lines: Vec<usize> = figures.iter().map(|window| window.lines.len()).collect();
    let usage: Vec<usize> = figures.iter().map(|window| window.usage.len()).collect();
    assert_eq!(
        (lines, usage),
        (vec![4, 0, 4, 1], vec![8, 2, 2, 2]),
        "the figures are not what these cases are about"
    );
    figures
}

/// What the store keeps: a parked window's usage is not final.
fn kept(figures: &[WindowFigures]) -> Vec<WindowFigures> {
    let mut kept = figures.to_vec();
    kept.iter_mut()
        .filter(|window| window.status == WindowStatus::Parked)
        .for_each(|window| window.usage.clear());
    kept
}

async fn save(store: &Store, term: &Term, figures: &[WindowFigures]) -> Result<(), StoreError> {
    let mut write = store.books().write(term).await?;
    write.save_windows(october(), figures, "r-1").await?;
    write.commit().await
}

async fn windows(store: &Store) -> Result<Vec<WindowFigures>, StoreError> {
    store.books().snapshot().await?.windows(october()).await
}

#[test]
fn windows_come_back_to_the_digit_with_their_gaps_and_quotas() {
    on_both(async |store, _| {
        let term = term(&store).await;
        save(&store, &term, &figures()).await.unwrap();
        assert_eq!(windows(&store).await.unwrap(), kept(&figures()));
        let elsewhere = store.books().snapshot().await.unwrap().windows(october().next()).await.unwrap();
        assert_eq!(elsewhere, []);
    });
}

#[test]
fn a_meter_has_figures_once_a_window_with_usage_of_it_is_closed() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let has = async |meter: &str| {
            store.books().snapshot().await.unwrap().holds_figures_of(meter).await.unwrap()
        };
        assert!(!has("calls").await);
        // Beta is parked: its usage is not final.
        save(&store, &term, &figures()[1..2]).await.unwrap();
        assert!(!has("calls").await);
        save(&store, &term, &figures()[2..3]).await.unwrap();
        assert!(has("calls").await && has("storage").await);
        assert!(!has("Calls").await && !has("").await);
    });
}

#[test]
fn the_time_that_a_window_accounts_for_comes_back_in_all_its_pieces() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let [mut acme, mut beta, cold, _] = figures().try_into().unwrap();
        assert_eq!(cold.accounted, [cold.window]);
        acme.accounted = vec![
            window("2026-10-02T00:00:00.000000001Z", "2026-10-10T00:00:00Z"),
            window("2026-10-10T00:00:00Z", "2026-10-10T00:00:00.000000001Z"),
        ];
        beta.accounted.clear();
        beta.usage.clear();
        let all = [acme, beta, cold];
        save(&store, &term, &all).await.unwrap();
        assert_eq!(windows(&store).await.unwrap(), all);
    });
}

#[test]
fn a_closed_window_is_refused_a_second_time_and_stays_as_it_was() {
    on_both(async |store, _| {
        let term = term(&store).await;
        save(&store, &term, &figures()).await.unwrap();
        let mut other = figures()[..1].to_vec();
        other[0].tenant_name = "changed".to_owned();
        assert!(save(&store, &term, &other).await.is_err());
        assert_eq!(windows(&store).await.unwrap(), kept(&figures()));
    });
}

#[test]
fn a_parked_window_is_written_anew_at_every_look_and_can_close_then() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let [acme, mut beta, cold, _] = figures().try_into().unwrap();
        save(&store, &term, &[acme.clone(), beta.clone()]).await.unwrap();
        save(&store, &term, &[beta.clone(), cold.clone()]).await.unwrap();
        assert_eq!(windows(&store).await.unwrap(), kept(&[acme.clone(), beta.clone(), cold.clone()]));
        (beta.status, beta.park) = (WindowStatus::Closed, None);
        beta.usage.clear();
        save(&store, &term, std::slice::from_ref(&beta)).await.unwrap();
        assert_eq!(windows(&store).await.unwrap(), [acme, beta, cold]);
    });
}

#[test]
fn a_thousand_windows_are_saved_at_once() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let mut acme = figures().swap_remove(0);
        acme.usage.truncate(1);
        acme.lines.truncate(1);
        let copy = |number| WindowFigures { tenant_id: format!("{number:04}"), ..acme.clone() };
        let many: Vec<WindowFigures> = (0..1_005).map(copy).collect();
        save(&store, &term, &many).await.unwrap();
        assert_eq!(windows(&store).await.unwrap(), many);
    });
}

#[test]
fn a_stored_line_that_no_longer_multiplies_is_an_error_when_read() {
    let unit = |engine, column: &str, table: &str| match engine {
        Engine::Sqlite => format!("UPDATE {table} SET {column}_floor = {column}_floor + 1"),
        Engine::Postgres => format!("UPDATE {table} SET {column} = {column} + 1"),
    };
    on_both(async |store, side| {
        let term = term(&store).await;
        save(&store, &term, &figures()).await.unwrap();
        side.unprotect("window_lines").await;
        let where_overage = "WHERE tenant_id = 'acme' AND tier = 2";
        for (tamper, restore) in [
            ("SET amount_minor = amount_minor + 1".to_owned(), "SET amount_minor = amount_minor - 1"),
            ("SET currency = 'zzz'".to_owned(), "SET currency = 'try'"),
            ("SET kind = 'gift'".to_owned(), "SET kind = 'usage'"),
        ] {
            side.execute(&format!("UPDATE window_lines {tamper} {where_overage}")).await.unwrap();
            let read = windows(&store).await;
            assert!(matches!(read, Err(StoreError::Inconsistent(_))), "{tamper}: {read:?}");
            side.execute(&format!("UPDATE window_lines {restore} {where_overage}")).await.unwrap();
            assert_eq!(windows(&store).await.unwrap(), kept(&figures()));
        }
        for column in ["priced_quantity", "unit_amount"] {
            let tamper = unit(side.engine, column, "window_lines");
            side.execute(&format!("{tamper} {where_overage}")).await.unwrap();
            assert!(matches!(windows(&store).await, Err(StoreError::Inconsistent(_))), "{column}");
        }
    });
}

#[test]
fn figures_without_their_window_are_an_error_when_read() {
    on_both(async |store, side| {
        let term = term(&store).await;
        save(&store, &term, &figures()).await.unwrap();
        side.unprotect("billing_windows").await;
        side.execute("DELETE FROM billing_windows WHERE tenant_id = 'cold'").await.unwrap();
        assert!(matches!(windows(&store).await, Err(StoreError::Inconsistent(_))));
    });
}

/// Every word that a report can hold, and texts that must not be touched.
fn exceptions() -> Vec<Exception> {
    let one = |kind, reason: &str, quantity: &str| Exception {
        tenant_id: "=HYPERLINK(\"http://x\")".to_owned(),
        kind,
        reason: reason.to_owned(),
        plan: "pro".to_owned(),
        meter: "calls".to_owned(),
        tenant_name: "Äcme, \"Ltd\"".to_owned(),
        records: 2,
        quantity: quantity.to_owned(),
        next_step: "mend it".to_owned(),
        amount: None,
    };
    let worth = |minor| Some(MinorAmount::new(minor, Currency::parse("kwd").unwrap()));
    vec![
        Exception { amount: worth(i64::MAX), ..one(ExceptionKind::Unbillable, "the invoice is final", "1") },
        Exception { amount: worth(0), ..one(ExceptionKind::Unbillable, "the invoice is final", "2") },
        one(ExceptionKind::Excluded, "no_access", "0.000000000001"),
        one(ExceptionKind::Parked, "overflow", ""),
        one(ExceptionKind::Quarantined, "negative", ""),
    ]
}

fn controls() -> ControlTotals {
    let beyond_a_bill = QuantitySum::parse("1999999999999998000.000000000001").unwrap();
    let of = |measure: Measure| (measure, UsageTotal { records: measure as u64, quantity: beyond_a_bill });
    let by_measure: std::collections::BTreeMap<_, _> = Measure::ALL.map(of).into();
    ControlTotals([("calls".to_owned(), by_measure.clone()), ("ı".to_owned(), by_measure)].into())
}

#[test]
fn a_report_is_read_back_as_it_was_saved_in_the_order_of_its_rows() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        for run_id in ["r-1", "r-2"] {
            write.start_run(&run(run_id, "2026-10", term.fence)).await.unwrap();
        }
        write.save_windows(october(), &figures(), "r-1").await.unwrap();
        write.save_report("r-1", &exceptions(), &controls()).await.unwrap();
        write.save_report("r-2", &[], &ControlTotals::default()).await.unwrap();
        write.commit().await.unwrap();
        let report = store.books().snapshot().await.unwrap().report(october(), "r-1").await.unwrap();
        assert_eq!(report.windows, kept(&figures()));
        assert_eq!((report.exceptions, report.controls), (exceptions(), controls()));
        let other = store.books().snapshot().await.unwrap().report(october(), "r-2").await.unwrap();
        assert_eq!((other.exceptions, other.controls), (vec![], ControlTotals::default()));
    });
}
