//! Planted causes: a company of 1,000 tenants, many of them spoiled in one of the 17 ways, looked at in one run.
//!
//! In: a seed. Out: nothing, or each tenant whose cause was not named, or was named without one, and every row in which what is
//! explained and what is not do not come to the difference. `SEED=n cargo test --test it planted` plays one alone.

mod company;
mod judge;
mod plant;

use std::collections::BTreeSet;
use std::time::Duration;

use billrecon::domain::intent::PushMode;
use billrecon::domain::invoice::Account;
use billrecon::domain::period::Period;
use billrecon::job::import;
use billrecon::job::{self, PeriodOutcome, RunOptions, Settings, Target};
use billrecon::sandbox::{Clock, Local, Manners, State};
use billrecon::stripe::{Limits, Stripe, Waits};
use http_body_util::Full;
use hyper::Request;
use jiff::Timestamp;

use crate::simulation::play::{input, settings};
use crate::simulation::wire::{Bug, Wire};
use company::{CHANGE, Company, END, Event, at};
use plant::{Plant, Sender};

const TENANTS: usize = 1_000;
const SEEDS: u64 = 1;
const SEEDS_OF_JUDGES: u64 = 5;

#[test]
fn where_the_application_sends_every_planted_cause_is_named_and_the_sums_come_out_exactly() {
    each_seed(Sender::Application);
}

#[test]
fn where_the_job_sends_every_planted_cause_is_named_and_the_sums_come_out_exactly() {
    each_seed(Sender::Job);
}

fn each_seed(sender: Sender) {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) if std::env::var_os("BILLRECON_TEST_JUDGES").is_some() => (0..SEEDS_OF_JUDGES).collect(),
        Err(_) => (0..SEEDS).collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let company = Company::new(TENANTS, sender, &mut random);
        let planted: BTreeSet<&str> =
            company.tenants.iter().filter_map(|one| one.plant).map(Plant::word).collect();
        assert_eq!(planted.len(), Plant::of(sender).len(), "SEED={seed} has not planted every cause");
        let outcome = runtime.block_on(async { Play::new(company).await.through().await });
        let wrong = judge::faults(&outcome.0, &outcome.1);
        assert!(wrong.is_empty(), "SEED={seed}: {} faults\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The company with its database, and Stripe without a socket.
struct Play {
    company: Company,
    folder: tempfile::TempDir,
    settings: Settings,
    local: Local,
    wire: Wire,
    /// Until then everything has happened.
    reached: Timestamp,
}

impl Play {
    async fn new(company: Company) -> Self {
        let now = at("2026-10-10T12:00:00Z");
        let manners = manners(&company, false);
        let local = Local::open(State::Memory, Clock::At(now), &company.at_stripe(), manners).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let push_mode = (company.sender == Sender::Application).then_some(PushMode::Observe);
        let settings = Settings { push_mode, ..settings(folder.path()) };
        import::catalog(&settings, input(&company.catalog()), Duration::ZERO, now).await.unwrap();
        import::tenants(&settings, input(&company.tenants_csv()), Duration::ZERO, now).await.unwrap();
        let wire = Wire::new(local.clone(), Bug::None);
        Self { company, folder, settings, local, wire, reached: now }
    }

    /// To the last look; the company, and the files of that look.
    async fn through(mut self) -> (Company, judge::Files) {
        let job_sends = self.company.sender == Sender::Job;
        if job_sends {
            // What is used on the first plan is sent while it is the plan.
            self.go_to("2026-10-15T00:00:00Z").await;
            self.take_identifiers("2026-10-15T00:00:00Z").await;
            self.wake("2026-10-15T00:00:00Z").await;
        }
        self.go_to(CHANGE).await;
        self.change_plans().await;
        if job_sends {
            // What was sent is seen to have arrived before Stripe's answers about some are nonsense.
            for instant in ["2026-10-26T00:00:00Z", "2026-10-27T00:00:00Z"] {
                self.go_to(instant).await;
                self.wake(instant).await;
            }
        }
        self.local.behave(manners(&self.company, true));
        // Most windows close; what is still open or a draft is looked at in the end.
        for instant in ["2026-11-05T11:25:00Z", "2026-11-05T11:52:30Z"] {
            self.go_to(instant).await;
            self.wake(instant).await;
        }
        std::fs::write(&self.settings.off_switch, "").unwrap();
        self.go_to(END).await;
        let outcome = self.wake(END).await;
        let files = judge::Files::read(outcome.reports_dir.as_deref().unwrap());
        drop(self.folder);
        (self.company, files)
    }

    /// All that is used and sent until then.
    async fn go_to(&mut self, instant: &str) {
        let (from, until) = (self.reached, at(instant));
        for (when, csv) in self.company.imports(from, until) {
            let receipt = import::usage(&self.settings, input(&csv), when, |_| {}).await.unwrap();
            assert_eq!(receipt.counts.accepted, receipt.counts.read, "{:?}", receipt.quarantined);
        }
        for (customer, event) in self.company.events(from, until) {
            self.local.reach(event.sent);
            self.send(&customer, &event).await;
        }
        self.local.reach(until);
        self.reached = until;
    }

    async fn send(&self, customer: &str, event: &Event) {
        let Event { identifier, value, timestamp, .. } = event;
        let body = format!(
            "event_name=calls&identifier={identifier}&timestamp={}&payload[value]={value}\
             &payload[stripe_customer_id]={customer}",
            timestamp.as_second()
        );
        self.ask("POST", "/v1/billing/meter_events", body).await;
    }

    async fn ask(&self, method: &str, path: &str, body: String) -> serde_json::Value {
        let request = Request::builder().method(method).uri(format!("http://account{path}"));
        let request =
            request.header("authorization", "Bearer sk_test_somebody").body(Full::from(body)).unwrap();
        let answer = self.local.answer(request).await.unwrap();
        let status = answer.status();
        let body = answer.body().clone().into_inner().unwrap_or_default();
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// The item of the first plan is replaced by one of the second.
    async fn change_plans(&self) {
        for one in self.company.tenants.iter().filter(|one| one.plant == Some(Plant::MidCycleChange)) {
            let path = format!("/v1/subscriptions/sub_{}", one.id);
            let subscription = self.ask("GET", &path, String::new()).await;
            let item = subscription["items"]["data"][0]["id"].as_str().unwrap();
            let form = format!("items[0][id]={item}&items[0][price]=price_team&proration_behavior=none");
            self.ask("POST", &path, form).await;
        }
    }

    /// Somebody sends events under the identifiers of what the job is about to push.
    async fn take_identifiers(&self, instant: &str) {
        let wake = self.run(instant, true).await;
        for intent in wake.outcomes.iter().flat_map(|outcome| &outcome.pushes) {
            let mut tenants = self.company.tenants.iter();
            let is_planted = |one: &company::Tenant| {
                one.id == intent.key.tenant_id && one.plant == Some(Plant::DuplicateRejected)
            };
            if tenants.any(is_planted) {
                let event = Event {
                    identifier: intent.identifier.clone(),
                    value: "1".to_owned(),
                    timestamp: at(instant),
                    sent: at(instant),
                };
                self.send("cus_stranger", &event).await;
            }
        }
    }

    async fn wake(&self, instant: &str) -> PeriodOutcome {
        let mut wake = self.run(instant, false).await;
        assert!(wake.failures.is_empty(), "{instant}: {:?}", wake.failures);
        assert_eq!(wake.outcomes.len(), 1);
        wake.outcomes.remove(0)
    }

    async fn run(&self, instant: &str, dry_run: bool) -> job::Wake {
        self.local.reach(at(instant));
        let period = Some(Period::parse("2026-10").unwrap());
        let options = RunOptions { period, dry_run, ..RunOptions::default() };
        let limits = Limits { waits: Waits::Skipped, ..Limits::default() };
        let key = "sk_test_planted".to_owned().into();
        let stripe = Stripe::through(self.wire.exchange(), key, limits).unwrap();
        let account: Account = stripe.account().await.unwrap();
        let target = Target::Remote(Box::new(stripe), account);
        Box::pin(job::run_on(target, &self.settings, &options, at(instant))).await.unwrap()
    }
}

/// Totals lag by ten minutes, drafts show what was known when they were made, what is sent for some customers is dropped, and in
/// the end Stripe answers nonsense about others.
fn manners(company: &Company, in_the_end: bool) -> Manners {
    let mut text = "[totals]\nlate_by_seconds = 600\n[drafts]\nstale = true\n".to_owned();
    for one in &company.tenants {
        let customer = one.customer();
        match one.plant {
            Some(Plant::IncompleteData) if in_the_end => {
                text += &format!(
                    "[[fault]]\nwhat = \"garbled\"\nendpoint = \"event_summaries\"\ncustomer = \"{customer}\"\n"
                );
            }
            Some(Plant::RejectedAsync) => text += &format!("[[drop]]\ncustomer = \"{customer}\"\n"),
            _ => {}
        }
    }
    toml::from_str(&text).unwrap()
}
