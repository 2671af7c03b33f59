//! Playing a seed: the company is imported, the job woken through the storm and after it until it says done, and then the
//! account is compared with what was used.
//!
//! In: a seed, a planted bug. Out: what happened, and everything that is wrong. No socket and no clock: the account is asked
//! in this process, and waits are let go by.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use billrecon::domain::bounds::Bounds;
use billrecon::domain::invoice::Account;
use billrecon::domain::period::Period;
use billrecon::domain::reconcile::Tolerances;
use billrecon::domain::report::ExceptionKind;
use billrecon::domain::telling::Notify;
use billrecon::job::import::{self, Input};
use billrecon::job::{
    self, PeriodOutcome, RunOptions, Settings, SlackSettings, StripeSettings, Target, Wake,
};
use billrecon::sandbox::{Clock, Local, Manners, State};
use billrecon::store::Database;
use billrecon::store::books::PeriodStatus;
use billrecon::stripe::{Limits, Pace, Stripe, Waits};
use http_body_util::Full;
use hyper::Request;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::company::{CATALOG, Company, Tenant, read_thousandths, thousandths};
use super::storm::{Deed, Plant, Storm};
use super::wire::{Bug, Wire};

pub struct Played {
    seed: u64,
    pub wakes: u64,
    pub requests: u64,
    pub events: u64,
    pub faults_met: u64,
    pub parked: u64,
    wrong: Vec<String>,
}

impl Played {
    pub fn faults(&self) -> Vec<String> {
        self.wrong.iter().map(|wrong| format!("SEED={}: {wrong}", self.seed)).collect()
    }
}

/// Plays a storm with a company of so many tenants to its end.
pub fn play(storm: Storm, tenants: usize, bug: Bug) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut game = Game::new(storm, tenants, bug).await;
        game.through_the_storm().await;
        game.until_done().await;
        game.judged()
    })
}

/// October, which has ended by the first of November, for all of them.
const PERIOD: &str = "2026-10";
const FOREIGN: &str = "1.5";
/// After that many wakes in calm weather the job must be done.
const MOST_WAKES: usize = 16;

struct Game {
    folder: tempfile::TempDir,
    settings: Settings,
    company: Company,
    storm: Storm,
    random: fastrand::Rng,
    local: Local,
    wire: Wire,
    wakes: u64,
    now: Timestamp,
    /// Of the newest run that wrote one.
    outcome: Option<PeriodOutcome>,
    troubles: Vec<String>,
    /// Tenants that were parked because Stripe has dropped what it took.
    dropped: BTreeSet<String>,
}

impl Game {
    async fn new(storm: Storm, tenants: usize, bug: Bug) -> Self {
        let random = fastrand::Rng::with_seed(storm.seed);
        let company = Company::new(tenants);
        let now: Timestamp = "2026-10-10T00:00:00Z".parse().unwrap();
        let manners: Manners = toml::from_str(&storm.climate).unwrap();
        let local =
            Local::open(State::Memory, Clock::At(now), &storm.plant(company.at_stripe()), manners).unwrap();
        let wire = Wire::new(local.clone(), bug);
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        import::catalog(&settings, input(CATALOG), Duration::ZERO, now).await.unwrap();
        import::tenants(&settings, input(&company.tenants_csv()), Duration::ZERO, now).await.unwrap();
        let mut game = Self {
            folder,
            settings,
            company,
            storm,
            random,
            local,
            wire,
            wakes: 0,
            now,
            outcome: None,
            troubles: Vec::new(),
            dropped: BTreeSet::new(),
        };
        game.plant().await;
        game
    }

    /// What somebody does at Stripe before the job is set up.
    async fn plant(&mut self) {
        for (number, plant) in self.storm.plants.clone() {
            let one = &self.company.tenants[number];
            match plant {
                Plant::ForeignUsage => {
                    let event = format!(
                        "event_name={}&payload[stripe_customer_id]={}&payload[value]={FOREIGN}&identifier=foreign",
                        one.meter(),
                        one.customer()
                    );
                    self.ask("POST", "/v1/billing/meter_events", event).await;
                }
                Plant::CustomerDeleted => {
                    self.ask("DELETE", &format!("/v1/customers/{}", one.customer()), String::new()).await;
                }
                Plant::TwoItems | Plant::OtherAnchor => {}
            }
        }
    }

    async fn ask(&self, method: &str, path: &str, body: String) {
        let request = Request::builder().method(method).uri(format!("http://account{path}"));
        let request =
            request.header("authorization", "Bearer sk_test_somebody").body(Full::from(body)).unwrap();
        let answer = self.local.answer(request).await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {answer:?}");
    }

    async fn through_the_storm(&mut self) {
        self.local.behave(toml::from_str(&self.storm.manners).unwrap());
        for (at, deed) in self.storm.deeds.clone() {
            self.now = at;
            match deed {
                Deed::Use(chance) => self.use_more(chance).await,
                Deed::Wake => self.wake(at).await,
                Deed::SwitchOff => std::fs::write(&self.settings.off_switch, "").unwrap(),
                Deed::SwitchOn => std::fs::remove_file(&self.settings.off_switch).unwrap(),
                Deed::BackUp => self.copy("billrecon.db", "backup.db"),
                Deed::Restore => self.copy("backup.db", "billrecon.db"),
            }
        }
    }

    /// Between two wakes the database is one file.
    fn copy(&self, from: &str, to: &str) {
        let folder = self.folder.path();
        assert!(!folder.join("billrecon.db-wal").exists());
        std::fs::copy(folder.join(from), folder.join(to)).unwrap();
    }

    async fn use_more(&mut self, chance: u32) {
        let csv = self.company.use_more(&mut self.random, chance, self.now);
        let receipt = import::usage(&self.settings, input(&csv), self.now, |_| {}).await.unwrap();
        assert_eq!(receipt.counts.accepted, receipt.counts.read, "{:?}", receipt.quarantined);
    }

    /// Days of calm, the hour of the drafts, and then day after day.
    async fn until_done(&mut self) {
        if !self.storm.lasts {
            self.calm();
        }
        let day = SignedDuration::from_hours(26);
        let first: Timestamp = "2026-11-01T00:20:00Z".parse().unwrap();
        for chance in [20, 0] {
            if first < self.now + day {
                break;
            }
            self.now += day;
            self.use_more(chance).await;
            self.wake(self.now).await;
        }
        for instant in [first, first + SignedDuration::from_mins(30)] {
            if self.now < instant {
                self.wake(instant).await;
            }
        }
        self.calm();
        for _ in 0..MOST_WAKES {
            self.wake(self.now + day).await;
            if self.is_done() {
                return;
            }
        }
    }

    fn calm(&self) {
        self.local.behave(toml::from_str(&self.storm.climate).unwrap());
    }

    async fn wake(&mut self, now: Timestamp) {
        self.now = now;
        self.wakes += 1;
        self.local.reach(now);
        let options = RunOptions { period: Some(Period::parse(PERIOD).unwrap()), ..RunOptions::default() };
        match Box::pin(self.run(&options)).await {
            Ok(wake) => {
                self.troubles.extend(wake.failures.iter().map(|failure| format!("{now}: {failure:#}")));
                let written = wake.outcomes.into_iter().find(|one| one.purpose.is_some());
                let parked = written.iter().flat_map(|one| &one.exceptions);
                let dropped = parked.filter(|one| one.reason == "rejected_async" && self.storm.drops());
                self.dropped.extend(dropped.map(|one| one.tenant_id.clone()));
                self.outcome = written.or(self.outcome.take());
            }
            // In a storm a wake may well fail as a whole; the next one goes on.
            Err(error) => self.troubles.push(format!("{now}: {error:#}")),
        }
    }

    async fn run(&self, options: &RunOptions) -> anyhow::Result<Wake> {
        let limits = Limits { waits: Waits::Skipped, ..Limits::default() };
        let stripe = Stripe::through(self.wire.exchange(), "sk_test_simulation".to_owned().into(), limits)?;
        let account: Account = stripe.account().await?;
        job::run_on(Target::Remote(Box::new(stripe), account), &self.settings, options, self.now).await
    }
}

impl Game {
    fn is_done(&self) -> bool {
        let Some(outcome) = &self.outcome else { return false };
        let has_ended = matches!(outcome.status, PeriodStatus::Closed | PeriodStatus::Partial);
        has_ended
            && outcome.counts.closed + outcome.counts.parked == outcome.counts.tenants
            && outcome.provisional == 0
    }

    fn state(&self) -> String {
        let state = |one: &PeriodOutcome| {
            format!("{:?}, {:?}, {} provisional", one.status, one.counts, one.provisional)
        };
        self.outcome.as_ref().map_or("no outcome".to_owned(), state)
    }

    /// Holds what Stripe will bill against what was used.
    fn judged(self) -> Played {
        let parked = self.parked();
        let planted: BTreeMap<&str, Plant> = self
            .storm
            .plants
            .iter()
            .map(|(number, plant)| (&*self.company.tenants[*number].id, *plant))
            .collect();
        let mut wrong = Vec::new();
        for one in &self.company.tenants {
            let at_stripe = self.at_stripe(one);
            let foreign = if planted.get(&*one.id) == Some(&Plant::ForeignUsage) {
                read_thousandths(FOREIGN)
            } else {
                0
            };
            let says = format!("{} at Stripe, {} used", thousandths(at_stripe), thousandths(one.used));
            if at_stripe > one.most_used + foreign {
                wrong.push(format!("{}: counted twice: {says}", one.id));
            }
            // Only a storm that lasts excuses it, and an event that Stripe has dropped.
            let is_excused = self.storm.lasts || self.dropped.contains(&one.id);
            if self.unbillable(one) != 0 && !is_excused && !parked.contains_key(&one.id) {
                wrong.push(format!("{}: called unbillable: {says}", one.id));
            }
            match (parked.get(&one.id), planted.get(&*one.id)) {
                (None, None) if at_stripe + self.unbillable(one) != one.used => {
                    wrong.push(format!("{}: not all there: {says}", one.id));
                }
                (Some(reason), Some(plant)) if reason != plant.reason() => {
                    wrong.push(format!("{}: {plant:?}, and parked as {reason}", one.id));
                }
                (Some(reason), None) => wrong.push(format!("{}: parked as {reason} ({says})", one.id)),
                (None, Some(plant)) => wrong.push(format!("{}: {plant:?}, and not parked", one.id)),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
        let seen = self.wire.seen();
        wrong.extend(seen.broken_rules.iter().cloned());
        if !self.is_done() {
            wrong.push(format!("not done: {}", self.state()));
        }
        if !wrong.is_empty() {
            wrong.extend(self.troubles.iter().rev().take(5).cloned());
            wrong.push(self.storm.to_string());
        }
        Played {
            seed: self.storm.seed,
            wakes: self.wakes,
            requests: seen.requests,
            events: seen.events,
            faults_met: seen.faults,
            parked: parked.len() as u64,
            wrong,
        }
    }

    fn parked(&self) -> BTreeMap<String, String> {
        let all = self.outcome.iter().flat_map(|outcome| &outcome.exceptions);
        all.filter(|one| one.kind == ExceptionKind::Parked)
            .map(|one| (one.tenant_id.clone(), one.reason.clone()))
            .collect()
    }

    /// What the job itself says can no longer be billed, in thousandths.
    fn unbillable(&self, one: &Tenant) -> i64 {
        let all = self.outcome.iter().flat_map(|outcome| &outcome.exceptions);
        let of_tenant = all.filter(|found| found.tenant_id == one.id);
        let unbillable = of_tenant.filter(|found| found.kind == ExceptionKind::Unbillable);
        unbillable.map(|found| read_thousandths(&found.quantity)).sum()
    }

    /// In thousandths.
    fn at_stripe(&self, one: &Tenant) -> i64 {
        let end = one.anchor + SignedDuration::from_hours(31 * 24);
        let total = self.local.true_total(one.meter(), &one.customer(), one.anchor, end);
        read_thousandths(&total.unwrap())
    }
}

pub fn input(text: &str) -> Input {
    Input { name: "file".to_owned(), reader: Box::new(Cursor::new(text.to_owned().into_bytes())) }
}

pub fn settings(folder: &Path) -> Settings {
    Settings {
        ledger: None,
        database: Database::parse("sqlite://billrecon.db", folder).unwrap(),
        reports: folder.join("reports"),
        time_zone: TimeZone::UTC,
        time_zone_name: "UTC".to_owned(),
        first_period: None,
        late_usage_periods: 12,
        settle_delay: SignedDuration::from_hours(2),
        lease_ttl: Duration::from_mins(1),
        rules_hash: "simulation".to_owned(),
        policy: None,
        bounds: Bounds::default(),
        stripe: StripeSettings {
            api_key: None,
            api_base: String::new(),
            sandbox: false,
            sandbox_state: None,
            pace: Pace::default(),
        },
        push_mode: None,
        off_switch: folder.join("billrecon.off"),
        tolerances: Tolerances::default(),
        slack: SlackSettings {
            destination: None,
            owner: None,
            notify: Notify::All,
            alert_again: SignedDuration::ZERO,
        },
        runner_may_approve: true,
        demo: false,
    }
}
