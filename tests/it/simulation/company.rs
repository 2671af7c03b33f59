//! The company of a seeded run: tenants on two plans, what they use and take back, and what Stripe knows of them.
//!
//! In: a seed's random numbers. Out: the files to import, the account's seed, and what each tenant has used, in thousandths,
//! counted here and by none of the project's code.

use billrecon::sandbox::{
    Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedScheme, SeedSubscription, SeedTier,
};
use jiff::Timestamp;

pub const CALLS: &str = "calls";
pub const SEATS: &str = "seats";

/// Units with a quota, and a gauge.
pub const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[meter]]
key = "seats"
aggregation = "last"

[[plan]]
key = "pro"
currency = "usd"
amount = 9900
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
  shadow_price_id = "price_shadow_calls"
  overage_price_id = "price_overage_calls"
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "7" } ] }

[[plan]]
key = "team"
currency = "usd"
amount = 4900
  [[plan.usage]]
  meter = "seats"
  shadow_price_id = "price_shadow_seats"
  overage_price_id = "price_overage_seats"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

/// One tenant, and what it has used so far.
pub struct Tenant {
    pub id: String,
    pub anchor: Timestamp,
    /// In thousandths of a unit.
    pub used: i64,
    /// The most that it ever was.
    pub most_used: i64,
    records: usize,
    /// The newest record that nothing was taken back of yet.
    correctable: Option<(String, i64)>,
}

impl Tenant {
    pub fn customer(&self) -> String {
        format!("cus_{}", self.id)
    }

    pub fn meter(&self) -> &'static str {
        if self.is_gauge() { SEATS } else { CALLS }
    }

    /// Every fifth.
    fn is_gauge(&self) -> bool {
        self.id.ends_with(['0', '5'])
    }
}

pub struct Company {
    pub tenants: Vec<Tenant>,
}

impl Company {
    /// Half of the windows begin in the middle of a minute, where Stripe's totals do not.
    pub fn new(tenants: usize) -> Self {
        let tenant = |number: usize| Tenant {
            id: format!("t{number:03}"),
            anchor: ["2026-10-01T00:00:00Z", "2026-10-01T00:00:37Z"][number % 2].parse().unwrap(),
            used: 0,
            most_used: 0,
            records: 0,
            correctable: None,
        };
        Self { tenants: (0..tenants).map(tenant).collect() }
    }

    pub fn tenants_csv(&self) -> String {
        let head = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at\n";
        let row = |one: &Tenant| {
            let plan = if one.is_gauge() { "team" } else { "pro" };
            format!("{0},{plan},usd,cus_{0},sub_{0},active,{1},{1}\n", one.id, one.anchor)
        };
        self.tenants.iter().map(row).fold(head.to_owned(), |all, row| all + &row)
    }

    /// More usage until `now`: of each tenant with this chance in a hundred. Some of it takes back what came before.
    pub fn use_more(&mut self, random: &mut fastrand::Rng, chance: u32, now: Timestamp) -> String {
        let mut csv = "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects\n".to_owned();
        for one in &mut self.tenants {
            if random.u32(..100) >= chance {
                continue;
            }
            let at = now - jiff::SignedDuration::from_secs(random.i64(1..3_000));
            one.records += 1;
            let source = format!("{}-{}", one.id, one.records);
            let takes_back = one.correctable.take().filter(|_| random.u32(..100) < 10);
            let (quantity, correction) = match takes_back {
                Some((corrected, units)) => (-random.i64(1..=units), format!("correction,{corrected}")),
                None => (random.i64(1..200_000), ",".to_owned()),
            };
            csv +=
                &format!("{},{},{},{at},{source},{correction}\n", one.id, one.meter(), thousandths(quantity));
            one.used = if one.is_gauge() { quantity } else { one.used + quantity };
            one.most_used = one.most_used.max(one.used);
            one.correctable = Some((source, quantity)).filter(|_| quantity > 0 && !one.is_gauge());
        }
        csv
    }

    pub fn at_stripe(&self) -> Seed {
        let meter =
            |key: &str, formula| SeedMeter { key: key.to_owned(), event_name: key.to_owned(), formula };
        let subscription = |one: &Tenant| {
            subscription(&one.id, one.customer(), &[&format!("price_shadow_{}", one.meter())], one.anchor)
        };
        Seed {
            meters: vec![meter(CALLS, SeedFormula::Sum), meter(SEATS, SeedFormula::Last)],
            prices: prices(),
            customers: self
                .tenants
                .iter()
                .map(|one| SeedCustomer { id: one.customer(), name: one.id.clone() })
                .collect(),
            subscriptions: self.tenants.iter().map(subscription).collect(),
        }
    }
}

fn prices() -> Vec<SeedPrice> {
    vec![
        price("price_shadow_calls", Some(CALLS), per_unit("0")),
        price("price_overage_calls", Some(CALLS), graduated()),
        price("price_shadow_seats", Some(SEATS), per_unit("0")),
        price("price_overage_seats", Some(SEATS), per_unit("500")),
    ]
}

/// The monthly subscription of a tenant, as it is from its anchor on.
pub fn subscription(
    tenant_id: &str,
    customer: String,
    prices: &[&str],
    anchor: Timestamp,
) -> SeedSubscription {
    SeedSubscription {
        id: format!("sub_{tenant_id}"),
        customer,
        prices: prices.iter().map(|price| (*price).to_owned()).collect(),
        interval: "month".to_owned(),
        anchor,
        started_at: anchor,
        ended_at: None,
        trial_end: None,
        status: "active".to_owned(),
        past_statuses: Vec::new(),
        windows: Vec::new(),
    }
}

/// A monthly price; without a meter it is a fee.
pub fn price(id: &str, meter: Option<&str>, scheme: SeedScheme) -> SeedPrice {
    SeedPrice {
        id: id.to_owned(),
        currency: "usd".to_owned(),
        interval: "month".to_owned(),
        meter: meter.map(str::to_owned),
        scheme,
        lookup_key: None,
    }
}

pub fn per_unit(amount: &str) -> SeedScheme {
    SeedScheme::PerUnit { unit_amount_decimal: amount.to_owned(), transform: None }
}

/// 100 free, then 7 cents each.
pub fn graduated() -> SeedScheme {
    let tier = |up_to: Option<&str>, amount: &str| SeedTier {
        up_to: up_to.map(str::to_owned),
        unit_amount_decimal: amount.to_owned(),
        flat_amount_decimal: None,
    };
    SeedScheme::Graduated(vec![tier(Some("100"), "0"), tier(None, "7")])
}

/// `12345` is `12.345`.
pub fn thousandths(quantity: i64) -> String {
    let (sign, units) = (if quantity < 0 { "-" } else { "" }, quantity.unsigned_abs());
    format!("{sign}{}.{:03}", units / 1_000, units % 1_000)
}

/// `12.3` is `12300`; anything finer was sent by nobody.
pub fn read_thousandths(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(fraction.len() <= 3, "{text}");
    sign * format!("{whole}{fraction:0<3}").parse::<i64>().unwrap()
}
