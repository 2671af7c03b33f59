//! Holds, releases, what is parked and since when, charges, drafts: on both databases.

use std::collections::BTreeMap;

use billrecon::domain::bounds::{Charge, History};
use billrecon::domain::money::{Currency, MinorSum};
use billrecon::domain::parking::{Hold, Release, Word};
use billrecon::domain::period::{Period, Window};
use billrecon::domain::tenant::ParkReason;
use billrecon::store::Store;
use billrecon::store::books::{DraftWatch, ParkedWindow};

use super::{now, on_both, term, window};

fn month(text: &str) -> Period {
    Period::parse(text).unwrap()
}

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

fn word(note: &str) -> Word {
    Word { by: "ada".to_owned(), note: note.to_owned(), at: now() }
}

fn hold(tenant: &str, period: Option<&str>) -> Hold {
    Hold { tenant_id: tenant.to_owned(), period: period.map(month), word: word("why") }
}

async fn say(store: &Store, hold: &Hold, goes_on: bool) {
    let term = term(store).await;
    let mut write = store.books().write(&term).await.unwrap();
    write.add_hold(hold, goes_on).await.unwrap();
    write.commit().await.unwrap();
    store.books().release_lease(&term).await.unwrap();
}

#[test]
fn a_hold_is_in_force_until_a_later_row_ends_it() {
    on_both(async |store, side| {
        let (always, once) = (hold("acme", None), hold("acme", Some("2026-10")));
        say(&store, &always, true).await;
        say(&store, &once, true).await;
        let holds = async || store.books().snapshot().await.unwrap().parking().await.unwrap().holds;
        assert_eq!(holds().await, [always.clone(), once.clone()]);
        say(&store, &always, false).await;
        assert_eq!(holds().await, [once]);
        let again = Hold { word: word("again"), ..always };
        say(&store, &again, true).await;
        assert_eq!(holds().await[0], again);
        for statement in ["UPDATE holds SET note = 'x'", "DELETE FROM holds"] {
            let refused = side.execute(statement).await.unwrap_err();
            assert!(refused.contains("append-only"), "{refused}");
        }
        assert_eq!(side.texts("SELECT CAST(COUNT(*) AS TEXT) FROM holds").await, ["4"]);
    });
}

#[test]
fn releases_come_back_as_they_were_given() {
    on_both(async |store, side| {
        let of_window = Release {
            period: month("2026-10"),
            window: Some(("acme".to_owned(), october())),
            reason: ParkReason::ForeignUsage,
            word: word("one"),
        };
        let reason = ParkReason::PeriodBound;
        let of_period = Release { window: None, reason, word: word("two"), ..of_window.clone() };
        let mut write = store.books().write(&term(&store).await).await.unwrap();
        write.add_release(&of_window).await.unwrap();
        write.add_release(&of_period).await.unwrap();
        write.commit().await.unwrap();
        let parking = store.books().snapshot().await.unwrap().parking().await.unwrap();
        assert_eq!(parking.releases, [of_window, of_period]);
        for statement in ["UPDATE releases SET note = 'x'", "DELETE FROM releases"] {
            assert!(side.execute(statement).await.unwrap_err().contains("append-only"));
        }
    });
}

#[test]
fn what_is_parked_is_replaced_period_by_period() {
    on_both(async |store, _| {
        let parked = |tenant: &str, period: &str, reason| ParkedWindow {
            tenant_id: tenant.to_owned(),
            window: october(),
            period: month(period),
            reason,
            since: now(),
            run_id: "r-1".to_owned(),
            kept_back: reason == ParkReason::Held,
        };
        let (a, b) = (parked("a", "2026-10", ParkReason::Held), parked("b", "2026-11", ParkReason::Mapping));
        let term = term(&store).await;
        let save = async |period: &str, rows: &[ParkedWindow]| {
            let mut write = store.books().write(&term).await.unwrap();
            write.save_parked(month(period), rows).await.unwrap();
            write.commit().await.unwrap();
            store.books().snapshot().await.unwrap().parked().await.unwrap()
        };
        assert_eq!(save("2026-10", std::slice::from_ref(&a)).await.len(), 1);
        assert_eq!(save("2026-11", std::slice::from_ref(&b)).await, [a, b.clone()]);
        assert_eq!(save("2026-10", &[]).await.len(), 1);
        let of = store.books().snapshot().await.unwrap().parked_in(month("2026-11")).await.unwrap();
        assert_eq!(of, [b]);
    });
}

/// The first days of months from January 2024 on.
fn months(count: usize) -> Vec<Window> {
    let first = |number: usize| format!("{}-{:02}-01T00:00:00Z", 2024 + number / 12, number % 12 + 1);
    (0..count).map(|number| window(&first(number), &first(number + 1))).collect()
}

fn charge(tenant: &str, basis: &str, window: Window, minor: i128) -> Charge {
    let currency = Currency::parse("try").unwrap();
    Charge {
        tenant_id: tenant.to_owned(),
        window,
        basis: basis.to_owned(),
        amount: MinorSum { minor, currency },
    }
}

#[test]
fn the_highest_of_the_last_twelve_windows_of_each_basis_is_found() {
    on_both(async |store, _| {
        let months = months(14);
        let mut charges: Vec<Charge> = months
            .iter()
            .zip((0..14).rev())
            .map(|(month, minor)| charge("a", "pro", *month, minor))
            .collect();
        charges.push(charge("b", "pro", months[0], 7));
        charges.push(charge("b", "lite", months[1], 9));
        // Nothing of it is charged.
        charges.push(charge("c", "", months[0], 0));
        let mut write = store.books().write(&term(&store).await).await.unwrap();
        write.add_charges(month("2024-01"), &charges).await.unwrap();
        write.commit().await.unwrap();
        let mut view = store.books().snapshot().await.unwrap();
        let histories = view.charge_histories().await.unwrap();
        let of = |tenant: &str, basis: &str| histories.get(&(tenant.to_owned(), basis.to_owned())).copied();
        // The two oldest, which are the highest, no longer count.
        assert_eq!(of("a", "pro"), Some(History { windows: 12, highest: 11 }));
        assert_eq!(of("b", "pro"), Some(History { windows: 1, highest: 7 }));
        assert_eq!(of("b", "lite"), Some(History { windows: 1, highest: 9 }));
        assert_eq!(histories.len(), 3);
    });
}

#[test]
fn what_a_period_came_to_is_added_up_without_an_overflow() {
    on_both(async |store, _| {
        let months = months(3);
        let charges = months.iter().map(|month| charge("a", "pro", *month, i128::from(i64::MAX)));
        let mut write = store.books().write(&term(&store).await).await.unwrap();
        write.add_charges(month("2024-01"), &charges.collect::<Vec<_>>()).await.unwrap();
        write.commit().await.unwrap();
        let sums = store.books().snapshot().await.unwrap().charged(month("2024-01")).await.unwrap();
        let sum = i128::from(i64::MAX) * 3;
        assert_eq!(sums, BTreeMap::from([(Currency::parse("try").unwrap(), sum)]));
        assert!(store.books().snapshot().await.unwrap().charged(month("2024-02")).await.unwrap().is_empty());
    });
}

#[test]
fn drafts_that_were_seen_are_counted_by_period() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let (labels, windows) = (["2024-01", "2024-02", "2024-03", "2024-04"], months(4));
        let mut write = store.books().write(&term).await.unwrap();
        for (label, window) in labels.iter().zip(&windows) {
            let both = [charge("a", "", *window, 0), charge("b", "", *window, 0)];
            write.add_charges(month(label), &both).await.unwrap();
        }
        write.add_drafts(&[("a".to_owned(), windows[2])], "r-1").await.unwrap();
        // A later run that sees it too changes nothing.
        write.add_drafts(&[("a".to_owned(), windows[2])], "r-2").await.unwrap();
        write.commit().await.unwrap();
        let watched = store.books().snapshot().await.unwrap().drafts_watched().await.unwrap();
        let row = |label: &str, seen| DraftWatch { period: month(label), windows: 2, seen };
        assert_eq!(watched, [row("2024-02", 0), row("2024-03", 1), row("2024-04", 0)]);
    });
}
