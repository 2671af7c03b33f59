//! The differences that runs note for the next ones.
//!
//! In: differences with every word, some of them gone. Out: the same, one row for each whatever number of runs wrote it.

use billrecon::domain::period::Period;
use billrecon::domain::reconcile::{Cause, Class, Followed, KnownDifference, Source};
use billrecon::store::Store;
use billrecon::store::lease::Term;

use super::{at, on_both, term};

fn one(tenant: &str, subject: &str) -> KnownDifference {
    KnownDifference {
        tenant_id: tenant.to_owned(),
        meter: "çağrı, \"x\"".to_owned(),
        source: Source::MeterTotal,
        subject: subject.to_owned(),
        first_seen: at("2026-10-01T00:00:00.000000001Z"),
        last_seen: at("2026-10-03T00:00:00Z"),
        runs: 3,
        gone_at: None,
        class: Class::QuantityMismatch,
        reason: None,
    }
}

async fn save(store: &Store, term: &Term, period: &str, all: Followed) {
    let mut write = store.books().write(term).await.unwrap();
    write.save_differences(Period::parse(period).unwrap(), &all).await.unwrap();
    write.commit().await.unwrap();
}

async fn differences(store: &Store, period: &str) -> Vec<KnownDifference> {
    let mut view = store.books().snapshot().await.unwrap();
    let mut all = view.differences(Period::parse(period).unwrap()).await.unwrap();
    all.sort_by_key(|one| (one.tenant_id.clone(), one.source, one.subject.clone()));
    all
}

#[test]
fn differences_come_back_as_they_were_noted_and_each_of_them_once() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let gone = KnownDifference {
            source: Source::Subscription,
            gone_at: Some(at("2026-10-03T00:00:00Z")),
            class: Class::MissingInLedger,
            reason: Some(Cause::Mapping),
            ..one("", "sub_1")
        };
        let preview = KnownDifference {
            source: Source::Preview,
            runs: u64::from(u32::MAX) + 1,
            ..one("acme", "2026-10-01T00:00:00Z")
        };
        let total = one("acme", "2026-10-01T00:00:00Z");
        let first = Followed {
            superseded: vec![preview.clone()],
            agreed: vec![total.clone()],
            vanished: vec![gone.clone()],
            ..Followed::default()
        };
        save(&store, &term, "2026-10", first.clone()).await;
        save(&store, &term, "2026-11", Followed { seen: vec![one("other", "x")], ..Followed::default() })
            .await;
        assert_eq!(differences(&store, "2026-10").await, [gone.clone(), preview, total.clone()]);

        let later = KnownDifference {
            last_seen: at("2026-10-04T00:00:00Z"),
            runs: 4,
            class: Class::MissingInStripe,
            reason: Some(Cause::NotPushed),
            ..total
        };
        let back = KnownDifference { first_seen: at("2026-10-04T00:00:00Z"), runs: 1, gone_at: None, ..gone };
        save(
            &store,
            &term,
            "2026-10",
            Followed { seen: vec![later.clone(), back.clone()], ..Followed::default() },
        )
        .await;
        let found = differences(&store, "2026-10").await;
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0], &found[2]), (&back, &later), "the last run counts");
    });
}
