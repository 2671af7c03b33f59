//! The weather of a seed: which manners the account has, when the job is woken, and what is planted.
//!
//! In: a seed. Out: manners as the TOML that `billrecon sandbox --manners` reads, the instants of what happens, and the
//! tenants with whom something is wrong for good.

use billrecon::sandbox::Seed;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

/// What is wrong with a tenant from the beginning, and so must end with it being parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Somebody else sends events for its customer.
    ForeignUsage,
    /// Its customer was deleted at Stripe.
    CustomerDeleted,
    /// Its subscription has two items of one meter.
    TwoItems,
    /// Stripe's period is not the ledger's window.
    OtherAnchor,
}

impl Plant {
    pub const ALL: [Self; 4] = [Self::ForeignUsage, Self::CustomerDeleted, Self::TwoItems, Self::OtherAnchor];

    /// The reason with which its tenant is parked.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ForeignUsage => "foreign_usage",
            Self::CustomerDeleted => "customer_deleted",
            Self::TwoItems => "double_meter",
            Self::OtherAnchor => "window_mismatch",
        }
    }
}

/// What happens at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// So many tenants in a hundred use more.
    Use(u32),
    Wake,
    SwitchOff,
    SwitchOn,
    BackUp,
    Restore,
}

pub struct Storm {
    pub seed: u64,
    /// While it lasts, as TOML.
    pub manners: String,
    /// For good: also after the storm.
    pub climate: String,
    pub deeds: Vec<(Timestamp, Deed)>,
    /// Until the invoices are final: then not everything can arrive in time.
    pub lasts: bool,
    /// Number of the tenant, and what is wrong with it.
    pub plants: Vec<(usize, Plant)>,
}

impl Storm {
    /// Any weather; for a company of so many tenants.
    pub fn of(seed: u64, tenants: usize) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut now: Timestamp = "2026-10-20T06:00:00Z".parse().unwrap();
        let mut deeds = vec![(now, Deed::Use(90))];
        for _ in 0..random.usize(2..6) {
            now += SignedDuration::from_mins(random.i64(0..60));
            // Later than all memory of Stripe's as often as not.
            now += SignedDuration::from_hours(*random.choice(&[1, 1, 2, 5, 25, 26]).unwrap());
            if random.bool() {
                deeds.push((now, Deed::Use(30)));
            }
            deeds.push((now, Deed::Wake));
        }
        // One of each, and each to another tenant.
        let part = tenants / Plant::ALL.len();
        let plants =
            (0..).zip(Plant::ALL).map(|(number, plant)| (number * part + random.usize(..part), plant));
        let plants = plants.collect();
        let climate = climate(&mut random, seed);
        Self {
            seed,
            manners: format!("{climate}{}", faults(&mut random)),
            climate,
            deeds,
            lasts: false,
            plants,
        }
    }

    /// Whether Stripe drops what it has accepted.
    pub fn drops(&self) -> bool {
        self.manners.contains("[[drop]]")
    }

    /// Whether Stripe does something and its answer is lost.
    pub fn loses_answers_to_events(&self) -> bool {
        let lost = ["hang_after", "reset_after", "cut"];
        let fault = |what| format!("what = \"{what}\"\nendpoint = \"meter_events\"");
        lost.iter().any(|what| self.manners.contains(&fault(what)))
    }

    /// This one fault of the whole endpoint for events, and these deeds.
    pub fn with_events(what: &str, deeds: &[(&str, Deed)]) -> Self {
        let manners = format!("[[fault]]\nwhat = \"{what}\"\nendpoint = \"meter_events\"\n");
        let deeds = deeds.iter().map(|(at, deed)| (at.parse().unwrap(), *deed)).collect();
        Self { seed: 0, manners, climate: String::new(), deeds, lasts: false, plants: Vec::new() }
    }
}

/// How the account is, in good weather too.
fn climate(random: &mut Rng, seed: u64) -> String {
    let late = random.choice(&[0, 0, 60, 600, 3_000]).unwrap();
    let draft = random.choice(&[3_600, 3_600, 14_400, 259_200]).unwrap();
    let shape = random.choice(&["endive", "endive", "basil", "acacia"]).unwrap();
    let numbers = random.choice(&["plain", "plain", "float", "exponent", "text"]).unwrap();
    format!(
        "seed = {seed}\n[totals]\nlate_up_to_seconds = {late}\n[drafts]\nseconds = {draft}\nstale = {}\n[answers]\n\
         shape = \"{shape}\"\nnumbers = \"{numbers}\"\nunheard_of = {}\n[lists]\noverlap = {}\nlines_shown = {}\n",
        random.bool(),
        random.bool(),
        random.bool(),
        random.choice(&[1, 10]).unwrap(),
    )
}

const FAULTS: [&str; 12] = [
    "rate_limited",
    "lock_timeout",
    "error_before",
    "error_after",
    "bad_gateway",
    "unavailable",
    "hang_before",
    "hang_after",
    "reset_before",
    "reset_after",
    "cut",
    "garbled",
];
const ENDPOINTS: [&str; 4] = ["meter_events", "event_summaries", "previews", "invoices"];

/// Between two and eight of them; some strike a request of twenty, some nearly all of an endpoint for a while.
fn faults(random: &mut Rng) -> String {
    let mut toml = String::new();
    for _ in 0..random.usize(2..9) {
        let what = random.choice(&FAULTS).unwrap();
        let endpoint = random.choice(&ENDPOINTS).unwrap();
        let one_in = random.choice(&[2, 5, 20]).unwrap();
        toml += &format!("[[fault]]\nwhat = \"{what}\"\nendpoint = \"{endpoint}\"\none_in = {one_in}\n");
        if *what == "rate_limited" && random.bool() {
            toml += "retry_after = 3\nreason = \"endpoint-rate\"\n";
        }
    }
    if random.bool() {
        toml += "[[drop]]\none_in = 10\ncode = \"no_meter\"\n";
    }
    if random.u32(..4) == 0 {
        toml += "[[fault]]\nwhat = \"unauthorized\"\nskip = 400\ntimes = 1\n";
    }
    toml
}

impl Storm {
    /// The account as the plants want it.
    pub fn plant(&self, mut seed: Seed) -> Seed {
        for (number, plant) in &self.plants {
            let one = &mut seed.subscriptions[*number];
            match plant {
                Plant::TwoItems => {
                    let other = one.prices[0].replace("shadow", "overage");
                    one.prices.push(other);
                }
                Plant::OtherAnchor => one.anchor += SignedDuration::from_hours(48),
                Plant::ForeignUsage | Plant::CustomerDeleted => {}
            }
        }
        seed
    }
}

impl std::fmt::Display for Storm {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let deeds: Vec<String> = self.deeds.iter().map(|(at, deed)| format!("{at} {deed:?}")).collect();
        write!(out, "{deeds:?}, planted {:?}, manners:\n{}", self.plants, self.manners)
    }
}
