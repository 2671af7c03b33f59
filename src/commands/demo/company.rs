//! The made-up company: its price list, its tenants, and what they use.
//!
//! In: an instant. Out: the text of the files as the company would export them then; the same on every machine. Never
//! knows what the job makes of it.

pub const METER: &str = "b2b.match_request";
pub const EVENT_NAME: &str = "b2b_match_request";

/// Enterprise pays for overage already; for Pro it is a candidate price, which Stripe does not charge yet.
pub const CATALOG: &str = r#"# Match requests, priced in lira (minor units: kuruş).
[[meter]]
key = "b2b.match_request"
aggregation = "sum"
event_name = "b2b_match_request"

[[plan]]
key = "starter"                 # sells no access to the meter
currency = "try"
amount = 49900

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "shadow"            # Stripe sees the usage and charges 0: the price is a candidate
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "enterprise"
currency = "try"
amount = 249900
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "live"              # Stripe charges it
  free_quota = 1000
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

const PRO: std::ops::RangeInclusive<u64> = 41..=220;
const ENTERPRISE: std::ops::RangeInclusive<u64> = 221..=240;
const MONTHS: [&str; 2] = ["2026-09", "2026-10"];

/// A tenant for which something is wrong in September.
pub struct Planted {
    pub tenant_id: &'static str,
    /// The word by which the job is expected to find it; the sentence is told only if it does.
    pub reason: &'static str,
    pub why: &'static str,
}

const STARTER_THAT_USES: u64 = 7;
const NEGATIVE: u64 = 50;
const WITHOUT_IDS: u64 = 120;
const ON_LEGACY: u64 = 140;
const PUSHED_TWICE: u64 = 225;
const LATE: u64 = 230;

pub const PLANTED: [Planted; 6] = [
    Planted { tenant_id: "t007", reason: "no_access", why: "Starter does not sell what it used" },
    Planted { tenant_id: "t050", reason: "negative", why: "the export has a line below zero" },
    Planted { tenant_id: "t120", reason: "no_stripe_mapping", why: "nobody has entered its Stripe ids" },
    Planted { tenant_id: "t140", reason: "unknown_plan", why: "its plan `legacy` is not in the price list" },
    Planted {
        tenant_id: "t225",
        reason: "foreign_usage",
        why: "the application sends its usage to Stripe too",
    },
    Planted { tenant_id: "t230", reason: "the invoice is final", why: "it came late" },
];

/// What the application sends to Stripe by itself: customer and units.
pub const APPLICATION_SENDS: (&str, &str) = ("cus_t225", "900");
const LATE_ARRIVES: &str = "2026-10-01T01:10:00Z";

const TENANTS_HEADER: &str =
    "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at,ended_at\n";

pub fn tenants() -> String {
    let mut csv = TENANTS_HEADER.to_owned();
    for tenant in 1..=*ENTERPRISE.end() {
        let plan = match tenant {
            ON_LEGACY => "legacy",
            _ if PRO.contains(&tenant) => "pro",
            _ if ENTERPRISE.contains(&tenant) => "enterprise",
            _ => "starter",
        };
        csv.push_str(&tenant_row(tenant, plan, tenant != WITHOUT_IDS, "2026-09-01", ""));
    }
    csv
}

/// The tenants that the team mends, from October on: what September was stays as it was.
pub fn mended_tenants() -> String {
    let rows = [
        tenant_row(WITHOUT_IDS, "pro", false, "2026-09-01", "2026-10-01"),
        tenant_row(WITHOUT_IDS, "pro", true, "2026-10-01", ""),
        tenant_row(ON_LEGACY, "legacy", true, "2026-09-01", "2026-10-01"),
        tenant_row(ON_LEGACY, "pro", true, "2026-10-01", ""),
    ];
    format!("{TENANTS_HEADER}{}", rows.concat())
}

fn tenant_row(tenant: u64, plan: &str, at_stripe: bool, from: &str, to: &str) -> String {
    let ids = if at_stripe { format!("cus_t{tenant:03},sub_t{tenant:03}") } else { ",".to_owned() };
    format!("t{tenant:03},Company {tenant:03},{plan},try,{ids},active,{from},{to}\n")
}

/// The export of a month's usage as it is at `now`, in RFC 3339: what has happened so far and has come in.
pub fn usage(month: &str, now: &str) -> String {
    let mut lines = month_of(month);
    lines.retain(|line| line.arrives.as_str() <= now);
    lines.sort_by(|one, other| (&one.arrives, &one.id).cmp(&(&other.arrives, &other.id)));
    let mut csv = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    for Line { tenant, quantity, occurred_at, id, .. } in lines {
        csv.push_str(&format!("t{tenant:03},{METER},{quantity},{occurred_at},{id}\n"));
    }
    csv
}

struct Line {
    tenant: u64,
    quantity: i64,
    occurred_at: String,
    /// When it is in the export.
    arrives: String,
    id: String,
}

/// A month of records: most Pro tenants stay below their quota, some go far beyond.
fn month_of(month: &str) -> Vec<Line> {
    let is_first = month == MONTHS[0];
    let (mut dice, days) = if is_first { (Dice(7), 30) } else { (Dice(11), 31) };
    let mut lines = Vec::new();
    for tenant in *PRO.start()..=*ENTERPRISE.end() {
        let rolled = units(tenant, &mut dice);
        let units = match tenant {
            WITHOUT_IDS => 130,
            PUSHED_TWICE if is_first => 1_040,
            LATE if is_first => 1_150,
            _ => rolled,
        };
        let records = 3 + dice.roll(4);
        for record in 0..records {
            let (day, hour) = (1 + dice.roll(days), dice.roll(24));
            let quantity = units * (record + 1) / records - units * record / records;
            let occurred_at = format!("{month}-{day:02}T{hour:02}:00:00Z");
            if quantity > 0 {
                lines.push(Line::new(
                    month,
                    tenant,
                    quantity.cast_signed(),
                    occurred_at,
                    &record.to_string(),
                ));
            }
        }
    }
    if is_first {
        let at = |day: &str| format!("{month}-{day}:00:00Z");
        lines.push(Line::new(month, STARTER_THAT_USES, 3, at("12T08"), "0"));
        lines.push(Line::new(month, NEGATIVE, -4, at("20T10"), "negative"));
        let late = Line::new(month, LATE, 40, at("30T21"), "late");
        lines.push(Line { arrives: LATE_ARRIVES.to_owned(), ..late });
    }
    lines
}

impl Line {
    fn new(month: &str, tenant: u64, quantity: i64, occurred_at: String, record: &str) -> Self {
        let id = format!("{month}-t{tenant:03}-{record}");
        Self { tenant, quantity, arrives: occurred_at.clone(), occurred_at, id }
    }
}

fn units(tenant: u64, dice: &mut Dice) -> u64 {
    if ENTERPRISE.contains(&tenant) {
        return 300 + dice.roll(900);
    }
    match dice.roll(100) {
        0..=2 => 320 + dice.roll(120),
        3..=17 => 105 + dice.roll(120),
        18..=34 => 80 + dice.roll(20),
        _ => 5 + dice.roll(70),
    }
}

/// The same numbers on every machine (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
