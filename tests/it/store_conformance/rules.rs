//! Catalog versions and tenants.
//!
//! In: catalogs as text, tenants with all their rows. Out: the same, to the byte and to the nanosecond. It parses no
//! catalog: the store does not either.

use billrecon::domain::catalog::PlanId;
use billrecon::domain::money::Currency;
use billrecon::domain::period::Interval;
use billrecon::domain::tenant::{Subscription, SubscriptionStatus, Tenant};
use billrecon::store::Store;
use billrecon::store::books::StoredCatalog;

use super::{at, now, on_both, on_both_and_in_turkish, term};

fn catalog(name: &str) -> StoredCatalog {
    // Texts that a careless driver would change: line ends, quotes, a backslash, a four-byte character.
    let body = format!("# {name}\r\n\tkey = \"'a' \\ 😀\"\n");
    StoredCatalog { catalog_hash: format!("hash of {name}"), body }
}

async fn current(store: &Store) -> Option<StoredCatalog> {
    store.books().snapshot().await.unwrap().catalog().await.unwrap()
}

#[test]
fn the_catalog_imported_last_is_the_current_one_and_the_others_are_kept() {
    on_both(async |store, side| {
        assert_eq!(current(&store).await, None);
        let term = term(&store).await;
        // The third import goes back to the first version.
        for name in ["a", "b", "a"] {
            let mut write = store.books().write(&term).await.unwrap();
            write.add_catalog(&catalog(name), now()).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(current(&store).await, Some(catalog(name)));
        }
        let kept = side.texts("SELECT body FROM catalog_versions ORDER BY version").await;
        assert_eq!(kept, ["a", "b", "a"].map(|name| catalog(name).body));
        let all = store.books().snapshot().await.unwrap().catalogs().await.unwrap();
        assert_eq!(all, ["a", "b", "a"].map(catalog));
        let mut view = store.books().snapshot().await.unwrap();
        for name in ["a", "b"] {
            let found = view.catalog_version(&catalog(name).catalog_hash).await.unwrap();
            assert_eq!(found, Some(catalog(name)));
        }
        assert_eq!(view.catalog_version("another").await.unwrap(), None);
    });
}

#[test]
fn a_catalog_that_is_not_committed_never_was() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        write.add_catalog(&catalog("a"), now()).await.unwrap();
        drop(write);
        assert_eq!(current(&store).await, None);
    });
}

fn row(tenant: &str, plan: &str, started_at: &str) -> Subscription {
    Subscription {
        tenant_id: tenant.to_owned(),
        name: format!("{tenant}, Inc."),
        plan: PlanId {
            key: plan.to_owned(),
            interval: Interval::Month,
            currency: Currency::parse("try").unwrap(),
        },
        stripe_customer_id: String::new(),
        stripe_subscription_id: String::new(),
        status: SubscriptionStatus::Active,
        billing_anchor: None,
        trial_end: None,
        started_at: Some(at(started_at)),
        ended_at: None,
    }
}

fn tenant(id: &str, plan: &str) -> Tenant {
    Tenant::new(id.to_owned(), vec![row(id, plan, "2026-01-01T00:00:00Z")]).unwrap()
}

async fn replace(store: &Store, tenants: &[Tenant]) {
    let term = term(store).await;
    let mut write = store.books().write(&term).await.unwrap();
    write.replace_tenants(tenants).await.unwrap();
    write.commit().await.unwrap();
    store.books().release_lease(&term).await.unwrap();
}

async fn tenants(store: &Store) -> Vec<Tenant> {
    store.books().snapshot().await.unwrap().tenants().await.unwrap()
}

#[test]
fn every_column_of_a_tenant_comes_back_as_it_was() {
    let full = Subscription {
        name: "Äcme \"Ltd\" 'x'\u{a0}😀".to_owned(),
        plan: PlanId {
            key: "pro".to_owned(),
            interval: Interval::Year,
            currency: Currency::parse("kwd").unwrap(),
        },
        stripe_customer_id: "cus_1".to_owned(),
        stripe_subscription_id: "sub_1".to_owned(),
        billing_anchor: Some(at("2024-02-29T23:59:59.000000001Z")),
        trial_end: Some(at("2026-03-01T00:00:00.999999999Z")),
        ended_at: Some(at("2026-09-01T00:00:00.5Z")),
        ..row("acme", "pro", "2026-02-01T00:00:00.000000001Z")
    };
    let later = row("acme", "starter", "2026-09-01T00:00:00.5Z");
    let since_ever = Subscription {
        started_at: None,
        ended_at: full.started_at,
        ..row("acme", "old", "2026-01-01T00:00:00Z")
    };
    let acme = Tenant::new("acme".to_owned(), vec![later, full, since_ever]).unwrap();
    on_both(async |store, _| {
        replace(&store, std::slice::from_ref(&acme)).await;
        assert_eq!(tenants(&store).await, std::slice::from_ref(&acme));
    });
}

#[test]
fn every_subscription_status_comes_back_as_it_was() {
    let with = |status: SubscriptionStatus| {
        let id = status.as_str();
        Tenant::new(id.to_owned(), vec![Subscription { status, ..row(id, "pro", "2026-01-01T00:00:00Z") }])
            .unwrap()
    };
    let mut all = SubscriptionStatus::ALL.map(with);
    all.sort_by(|a, b| a.id().cmp(b.id()));
    on_both(async |store, _| {
        replace(&store, &all).await;
        assert_eq!(tenants(&store).await, all);
    });
}

#[test]
fn a_tenant_is_replaced_with_all_its_rows_and_the_others_stay() {
    let two_rows = |first: &str, second: &str| {
        let until = Subscription {
            ended_at: Some(at("2026-06-01T00:00:00Z")),
            ..row("beta", first, "2026-01-01T00:00:00Z")
        };
        Tenant::new("beta".to_owned(), vec![until, row("beta", second, "2026-06-01T00:00:00Z")]).unwrap()
    };
    on_both(async |store, _| {
        replace(&store, &[tenant("acme", "pro"), two_rows("pro", "starter"), tenant("cold", "pro")]).await;
        replace(&store, &[tenant("beta", "enterprise")]).await;
        assert_eq!(
            tenants(&store).await,
            [tenant("acme", "pro"), tenant("beta", "enterprise"), tenant("cold", "pro")]
        );
        replace(&store, &[two_rows("starter", "pro"), tenant("dodo", "pro")]).await;
        let expected =
            [tenant("acme", "pro"), two_rows("starter", "pro"), tenant("cold", "pro"), tenant("dodo", "pro")];
        assert_eq!(tenants(&store).await, expected);
        replace(&store, &[]).await;
        assert_eq!(tenants(&store).await, expected);
    });
}

#[test]
fn tenants_come_in_the_order_of_the_bytes_of_their_ids_whatever_the_collation() {
    let by_bytes = ["I", "Z", "a", "i", "i\u{307}", "~", "ä", "İ", "ı", "😀"];
    on_both_and_in_turkish(async |store, _| {
        let mut given: Vec<Tenant> = by_bytes.iter().map(|id| tenant(id, "pro")).collect();
        given.rotate_left(4);
        replace(&store, &given).await;
        let found = tenants(&store).await;
        assert_eq!(found.iter().map(Tenant::id).collect::<Vec<_>>(), by_bytes);
    });
}

#[test]
fn thousands_of_tenants_are_written_at_once() {
    let all: Vec<Tenant> = (0..2_005).map(|number| tenant(&format!("{number:04}"), "pro")).collect();
    on_both(async |store, _| {
        replace(&store, &all).await;
        assert_eq!(tenants(&store).await, all);
    });
}
