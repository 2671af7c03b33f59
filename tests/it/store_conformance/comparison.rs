//! What a run found at Stripe and decided: comparison, evidence, decision, verdict, and the message that tells it.
//!
//! In: rows with every word and with everything unknown that can be. Out: the same, and of other runs only what closed.

use billrecon::domain::decide::{DecisionRow, Verdict, VerdictWord};
use billrecon::domain::money::Currency;
use billrecon::domain::number::Quantity;
use billrecon::domain::period::Period;
use billrecon::domain::reconcile::{Age, Cause, Class, Ids, ItemKind, ReconciliationRow, Source};
use billrecon::store::Store;
use billrecon::store::books::{
    ComparedRow, JobCounts, MadeWith, OutboxMessage, PeriodJob, PeriodStatus, Run, RunState, Unsent,
};
use billrecon::store::lease::Term;

use super::{at, now, on_both, on_both_and_in_turkish, term, window};

fn october() -> Period {
    Period::parse("2026-10").unwrap()
}

fn full(tenant: &str) -> ReconciliationRow {
    ReconciliationRow {
        tenant_id: tenant.to_owned(),
        plan: "pro".to_owned(),
        meter: "çağrı, \"x\"".to_owned(),
        window: Some(window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00.000000001Z")),
        source: Source::Invoice,
        class: Class::QuantityMismatch,
        ledger_quantity: Some(Quantity::parse("999999999999999.999999999999").unwrap()),
        stripe_quantity: Some(Quantity::parse("-0.000000000001").unwrap()),
        ledger_amount: Some(i128::MAX),
        stripe_amount: Some(i128::MIN),
        currency: Some(Currency::parse("kwd").unwrap()),
        reason: Some(Cause::LateUsage),
        evidence: Ids::of(["in_1", "billrecon-0"]),
        explained_quantity: Some(Quantity::parse("-999999999999999.999999999999").unwrap()),
        explained_amount: Some(i128::MIN),
        next_step: "finance: \"ask\", ü".to_owned(),
        item: None,
        age: Some(Age::Known { runs: 3 }),
    }
}

/// Nothing known, which is not 0.
fn unknown() -> ReconciliationRow {
    ReconciliationRow {
        tenant_id: String::new(),
        plan: String::new(),
        meter: "calls".to_owned(),
        window: None,
        source: Source::Subscription,
        class: Class::MissingInLedger,
        ledger_quantity: None,
        stripe_quantity: None,
        ledger_amount: None,
        stripe_amount: None,
        currency: None,
        reason: None,
        evidence: Ids::default(),
        explained_quantity: None,
        explained_amount: None,
        next_step: String::new(),
        item: None,
        age: None,
    }
}

/// A row for each word that a file can hold.
fn every_word() -> Vec<ReconciliationRow> {
    let sources = [Source::Preview, Source::MeterTotal, Source::Invoice, Source::Subscription];
    let by_source = sources.map(|source| ReconciliationRow { source, ..full("source") });
    let by_class = Class::ALL.map(|class| ReconciliationRow { class, ..full("class") }.aged(Some(7)));
    let by_reason = Cause::ALL.map(|cause| ReconciliationRow { reason: Some(cause), ..full("reason") });
    let by_item = ItemKind::ALL.map(|item| ReconciliationRow { item: Some(item), ..full("item") });
    by_source.into_iter().chain(by_class).chain(by_reason).chain(by_item).collect()
}

async fn save(store: &Store, term: &Term, run_id: &str, rows: &[(ReconciliationRow, bool)]) {
    let rows: Vec<ComparedRow> =
        rows.iter().map(|(row, closed)| ComparedRow { row: row.clone(), closed: *closed }).collect();
    let evidence = ["{\"id\":\"ü\"}".to_owned(), format!("{{\"run\":\"{run_id}\"}}")];
    let mut write = store.books().write(term).await.unwrap();
    write.save_comparison(october(), run_id, &rows, &evidence).await.unwrap();
    write.commit().await.unwrap();
}

async fn compared(store: &Store, run_id: &str) -> Vec<ReconciliationRow> {
    let mut rows = store.books().snapshot().await.unwrap().comparison(october(), run_id).await.unwrap();
    rows.sort();
    rows
}

#[test]
fn a_comparison_comes_back_with_every_word_every_digit_and_all_that_is_unknown() {
    on_both_and_in_turkish(async |store, _| {
        let term = term(&store).await;
        let zero = ReconciliationRow {
            ledger_quantity: Some(Quantity::ZERO),
            stripe_quantity: Some(Quantity::ZERO),
            ledger_amount: Some(0),
            stripe_amount: Some(0),
            ..full("zero")
        };
        let mut rows: Vec<ReconciliationRow> =
            [full("acme"), unknown(), zero].into_iter().chain(every_word()).collect();
        let written: Vec<_> = rows.iter().map(|row| (row.clone(), false)).collect();
        save(&store, &term, "r-1", &written).await;
        rows.sort();
        assert_eq!(compared(&store, "r-1").await, rows);
    });
}

#[test]
fn rows_of_closed_windows_stay_for_all_reports_and_others_are_of_their_run_only() {
    on_both(async |store, _| {
        let term = term(&store).await;
        save(&store, &term, "r-1", &[(full("closed-1"), true), (full("looked-1"), false)]).await;
        save(&store, &term, "r-2", &[(full("closed-2"), true), (full("looked-2"), false)]).await;
        let tenants = async |run_id| -> Vec<String> {
            compared(&store, run_id).await.into_iter().map(|row| row.tenant_id).collect()
        };
        assert_eq!(tenants("r-1").await, ["closed-1", "closed-2", "looked-1"]);
        assert_eq!(tenants("r-2").await, ["closed-1", "closed-2", "looked-2"]);
        assert_eq!(tenants("").await, ["closed-1", "closed-2"]);
        let mut view = store.books().snapshot().await.unwrap();
        let other = Period::parse("2026-11").unwrap();
        assert!(view.comparison(other, "r-1").await.unwrap().is_empty());
        let evidence = view.evidence("r-2").await.unwrap();
        assert_eq!(evidence, ["{\"id\":\"ü\"}", "{\"run\":\"r-2\"}"]);
    });
}

#[test]
fn what_was_new_or_gone_when_its_window_closed_is_known_or_told_in_the_reports_of_later_runs() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let new = full("new").aged(Some(1));
        let gone = ReconciliationRow { class: Class::Matched, ..full("old") }.aged(Some(4));
        save(&store, &term, "r-1", &[(new, true), (gone, true)]).await;
        let ages = async |run_id| -> Vec<Option<Age>> {
            compared(&store, run_id).await.into_iter().map(|row| row.age).collect()
        };
        assert_eq!(ages("r-1").await, [Some(Age::New), Some(Age::Gone { runs: 4 })]);
        assert_eq!(ages("").await, [Some(Age::Known { runs: 1 }), None]);
    });
}

#[test]
fn a_decision_comes_back_in_the_order_in_which_it_was_made() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let row = |metric: &str, passed| DecisionRow {
            plan: "pro".to_owned(),
            meter: "calls".to_owned(),
            metric: metric.to_owned(),
            value: "0.333333".to_owned(),
            operator: ">=".to_owned(),
            threshold: "0.3".to_owned(),
            passed,
            required: passed.is_some(),
            population: 3,
        };
        let rows = [row("z", Some(true)), row("b", Some(false)), row("m", None)];
        let mut write = store.books().write(&term).await.unwrap();
        write.save_decision("r-1", &rows).await.unwrap();
        write.save_decision("r-2", &rows[..1]).await.unwrap();
        write.commit().await.unwrap();
        let mut view = store.books().snapshot().await.unwrap();
        assert_eq!(view.decision("r-1").await.unwrap(), rows);
        assert_eq!(view.decision("r-2").await.unwrap(), rows[..1]);
    });
}

#[test]
fn a_run_keeps_its_verdict_with_its_reasons_and_the_account_it_spoke_to() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let words = [VerdictWord::Go, VerdictWord::Review, VerdictWord::NoGo, VerdictWord::InsufficientData];
        for (number, word) in words.into_iter().enumerate() {
            let run = Run {
                run_id: format!("r-{number}"),
                period: october(),
                state: RunState::Started,
                fence: 1,
                holder: "host/1".to_owned(),
                started_at: at("2026-11-01T00:00:00Z"),
                code_version: "0.1.0".to_owned(),
                catalog_hash: "c".to_owned(),
                rules_hash: "r".to_owned(),
                bounds: "overage_factor=10".to_owned(),
                time_zone: "UTC".to_owned(),
                period_status: PeriodStatus::Open,
                mode: "LIVE".to_owned(),
                account_id: "acct_1".to_owned(),
                tolerances: "quantity 0.5 or 0 of the ledger's".to_owned(),
                os_user: String::new(),
                made_with: MadeWith::default(),
                verdict: None,
            };
            let job = PeriodJob {
                period: october(),
                status: PeriodStatus::Closed,
                counts: JobCounts::default(),
                tenants_version: 1,
                run_id: run.run_id.clone(),
            };
            let reasons = vec!["30 % \"exceeded\"\n".to_owned(), String::new(), "çok".to_owned()];
            let verdict = Verdict { word, reasons };
            let mut write = store.books().write(&term).await.unwrap();
            write.start_run(&run).await.unwrap();
            write.commit_run(&run.run_id, &job, Some(&verdict)).await.unwrap();
            write.commit().await.unwrap();
            let found = store.books().snapshot().await.unwrap().run(&run.run_id).await.unwrap();
            let expected =
                Run { state: RunState::Committed, ..run.judged(PeriodStatus::Closed, Some(verdict)) };
            assert_eq!(found, Some(expected));
        }
    });
}

fn message(id: &str) -> OutboxMessage {
    OutboxMessage {
        message_id: id.to_owned(),
        run_id: "r-1".to_owned(),
        body: format!("{{\"text\":\"{id} ✅\"}}"),
        ..OutboxMessage::default()
    }
}

async fn unsent(store: &Store) -> Vec<OutboxMessage> {
    let unsent = store.books().snapshot().await.unwrap().unsent_messages().await.unwrap();
    unsent.into_iter().map(|one| one.message).collect()
}

#[test]
fn messages_wait_oldest_first_until_one_is_sent_and_one_id_is_one_message() {
    on_both(async |store, side| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        for (id, when) in
            [("b", "2026-11-01T02:00:00Z"), ("c", "2026-11-01T01:00:00Z"), ("a", "2026-11-01T02:00:00Z")]
        {
            write.add_message(&message(id), at(when)).await.unwrap();
        }
        // A run that is taken up after a crash plans the same message again.
        let again = OutboxMessage { body: "another".to_owned(), ..message("c") };
        write.add_message(&again, at("2026-10-01T00:00:00Z")).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(unsent(&store).await, [message("c"), message("a"), message("b")]);

        let mut append = store.books().append().await.unwrap();
        append.settle_message("c", true, "").await.unwrap();
        append.settle_message("a", false, "503").await.unwrap();
        append.commit().await.unwrap();
        let mut write = store.books().write(&term).await.unwrap();
        write.add_message(&message("c"), now()).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(unsent(&store).await, [message("a"), message("b")], "what was sent is never sent again");
        let told = "SELECT message_id || ' ' || state || ' ' || CAST(attempts AS TEXT) || ' ' || problem
            FROM outbox ORDER BY message_id";
        assert_eq!(side.texts(told).await, ["a planned 0 503", "b planned 0 ", "c sent 0 "]);
    });
}

#[test]
fn of_two_senders_that_have_read_the_same_one_may_try_and_each_part_that_arrived_is_kept() {
    on_both(async |store, _side| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        let verdict =
            OutboxMessage { topic: "verdict".to_owned(), subject: "2026-10".to_owned(), ..message("r-1") };
        write.add_message(&verdict, now()).await.unwrap();
        write.commit().await.unwrap();
        let read = store.books().snapshot().await.unwrap().unsent_messages().await.unwrap();
        let mut claims = Vec::new();
        for _sender in 0..2 {
            let mut append = store.books().append().await.unwrap();
            claims.push(append.claim_message(&read[0]).await.unwrap());
            append.commit().await.unwrap();
        }
        assert_eq!(claims, [true, false]);
        let place =
            async || store.books().snapshot().await.unwrap().place_of("verdict", "2026-10").await.unwrap();
        assert_eq!(place().await, None);
        let mut append = store.books().append().await.unwrap();
        let posted = Unsent { steps: 1, channel: "C1".to_owned(), ts: "1.5".to_owned(), ..read[0].clone() };
        append.save_steps(&posted).await.unwrap();
        append.commit().await.unwrap();
        assert_eq!(place().await, Some(("C1".to_owned(), "1.5".to_owned())));
        let again = store.books().snapshot().await.unwrap().unsent_messages().await.unwrap();
        assert_eq!(again, [Unsent { attempts: 1, ..posted }]);
    });
}

#[test]
fn the_same_alert_is_kept_once_until_its_time_is_over() {
    on_both(async |store, side| {
        let alert = |subject: &str, digest: &str| OutboxMessage {
            topic: "failed".to_owned(),
            subject: subject.to_owned(),
            digest: digest.to_owned(),
            ..message("")
        };
        let [midnight, one, noon] =
            ["2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z", "2026-11-01T12:00:00Z"].map(at);
        let mut append = store.books().append().await.unwrap();
        for (alert, since, when) in [
            (alert("2026-10", "x"), at("2026-10-31T00:00:00Z"), midnight),
            (alert("2026-10", "x"), at("2026-10-31T01:00:00Z"), one),
            (alert("2026-10", "y"), at("2026-10-31T01:00:00Z"), one),
            (alert("2026-11", "x"), at("2026-10-31T01:00:00Z"), one),
            // An hour is the time here, and it was told twelve ago.
            (alert("2026-10", "x"), at("2026-11-01T11:00:00Z"), noon),
        ] {
            append.add_alert(&alert, since, when).await.unwrap();
        }
        append.commit().await.unwrap();
        let told = "SELECT message_id FROM outbox ORDER BY message_id";
        let expected =
            ["failed/2026-10/x/0", "failed/2026-10/x/1", "failed/2026-10/y/0", "failed/2026-11/x/0"];
        assert_eq!(side.texts(told).await, expected);
    });
}
