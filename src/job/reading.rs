//! Reading: Stripe's answers about the windows of one period.
//!
//! In: mapped windows. Out: meter totals, previews, and evidence lines with the ids of the requests. An answer that could
//! not be read is `None`: never 0. Trouble that concerns every tenant ends the wake; other trouble stays with its tenant.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::domain::intent::{self, Intent, PushMode};
use crate::domain::invoice::{Invoice, MeterTotal, Unread};
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::tenant::{ParkReason, Tenant};
use crate::job::connection::Wire;
use crate::job::edges;
use crate::job::intents::Intents;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::progress::Progress;
use crate::job::stage::Stage;
use crate::job::standing::Standing;
use crate::stripe::{StripeError, Total};

/// Tenant, window and meter.
pub type TotalKey = (String, Window, String);

#[derive(Debug, Default)]
pub struct Answers {
    pub totals: BTreeMap<TotalKey, Option<MeterTotal>>,
    /// By tenant and window; of open windows only.
    pub previews: BTreeMap<(String, Window), Preview>,
    /// Tenant and window of the customers that Stripe does not have.
    pub without_customer: BTreeMap<(String, Window), ParkReason>,
    /// What was asked and how it was answered, one JSON object a line.
    pub evidence: Vec<String>,
}

/// What Stripe said when it was asked for the next invoice.
#[derive(Debug)]
pub enum Preview {
    Unreadable,
    /// There will be none: the subscription has ended.
    Nothing,
    Next(Box<Invoice>),
}

impl Answers {
    pub fn total(&self, mapped: &Mapped, meter: &str) -> Option<&MeterTotal> {
        self.totals.get(&(mapped.tenant_id.clone(), mapped.window, meter.to_owned()))?.as_ref()
    }

    pub fn is_without_customer(&self, mapped: &Mapped) -> bool {
        self.without_customer.contains_key(&(mapped.tenant_id.clone(), mapped.window))
    }

    /// The totals as they will be if all of these arrive, which are some of the intents.
    pub fn assuming(
        &self,
        mapped: &[Mapped],
        intents: &Intents,
        sends: &[Intent],
    ) -> Result<Self, NumberError> {
        let sends = Intents::new(sends.to_vec());
        let mut totals = self.totals.clone();
        for one in mapped {
            for using in &one.meters {
                let key = (one.tenant_id.clone(), one.window, using.meter.clone());
                if let Some(Some(total)) = totals.get_mut(&key) {
                    let (known, sends) = (intents.of(one, &using.meter), sends.of(one, &using.meter));
                    total.quantity = intent::total_with(using.aggregation, total.quantity, &known, &sends)?;
                }
            }
        }
        Ok(Self { totals, ..Self::default() })
    }

    pub fn preview(&self, mapped: &Mapped) -> &Preview {
        self.previews.get(&(mapped.tenant_id.clone(), mapped.window)).unwrap_or(&Preview::Unreadable)
    }
}

/// The evidence of what stands at Stripe and is not understood, with the tenant whose it is.
pub fn unread(standing: &Standing, tenants: &[Tenant]) -> Vec<String> {
    let owners = owners(tenants);
    let told = |source: &str, subscription_id: Option<&String>, one: &Unread| {
        let tenant_id = subscription_id.and_then(|id| owners.get(id.as_str())).copied().unwrap_or_default();
        json!({
            "tenant_id": tenant_id, "window_start": "", "source": source, "id": one.id.as_deref().unwrap_or_default(),
            "request_id": one.request_id, "answer": one.what,
        })
        .to_string()
    };
    let subscriptions = standing.unread_subscriptions.iter().map(|(_, one)| one);
    let subscriptions = subscriptions.map(|one| told("subscription", one.id.as_ref(), one));
    let invoices = standing.unread_invoices.iter();
    subscriptions.chain(invoices.map(|one| told("invoice", one.subscription_id.as_ref(), one))).collect()
}

/// The tenant of each subscription.
pub fn owners(tenants: &[Tenant]) -> BTreeMap<&str, &str> {
    let rows = tenants.iter().flat_map(Tenant::subscriptions);
    rows.map(|row| (row.stripe_subscription_id.as_str(), row.tenant_id.as_str())).collect()
}

/// Reads the meters' totals of the windows that `wanted` picks. Pushing, a window that would be final but for an invoice that
/// is not understood is left alone: nobody can say what of it is too late.
#[tracing::instrument(level = "debug", name = "read", skip_all)]
pub async fn read_totals(
    mapped: &[Mapped],
    wanted: impl Fn(&Mapped) -> bool,
    wire: &Wire,
    standing: &Standing,
    answers: &mut Answers,
) -> Result<(), StripeError> {
    let asked: Vec<(&Mapped, &MeterUse, &str)> = mapped
        .iter()
        .filter(|one| wanted(one) && !is_undecided(one, wire, standing))
        .flat_map(|one| one.meters.iter().map(move |using| (one, using)))
        .filter_map(|(one, using)| Some((one, using, standing.meters.get(&using.meter)?.id.as_str())))
        .collect();
    let mut progress = Progress::of(asked.len());
    let requests = asked.into_iter().map(|(one, using, meter_id)| async move {
        (one, using, meter_id, wire.stripe.meter_total(meter_id, &one.customer_id, one.window).await)
    });
    let mut results = stream::iter(requests).buffered(wire.stripe.at_a_time());
    let mut unreadable = Unreadable::new("meter_total", "meter totals");
    while let Some((one, using, meter_id, result)) = results.next().await {
        progress.step();
        let answer = unreadable.unless(result, &mut answers.evidence, one, meter_id)?;
        let key = (one.tenant_id.clone(), one.window);
        let total = match answer {
            None => None,
            Some(Total::NoCustomer { request_id }) => {
                let told = format!("there is no customer {}", one.customer_id);
                answers.evidence.push(line(one, "meter_total", meter_id, &request_id, &told));
                answers.without_customer.insert(key.clone(), ParkReason::CustomerDeleted);
                None
            }
            Some(Total::Counted(total)) => {
                let quantity = total.quantity.to_string();
                answers.evidence.push(line(one, "meter_total", meter_id, &total.request_id, &quantity));
                if let Some(edges) = using.expected.edges {
                    let told = edges::told(edges);
                    answers.evidence.push(line(one, "edge_minutes", meter_id, &total.request_id, &told));
                }
                Some(total)
            }
        };
        answers.totals.insert((key.0, key.1, using.meter.clone()), total);
    }
    unreadable.tell();
    Ok(())
}

/// Reads the previews of open windows.
#[tracing::instrument(level = "debug", name = "read", skip_all)]
pub async fn read_previews(mapped: &[Mapped], wire: &Wire, answers: &mut Answers) -> Result<(), StripeError> {
    let open = mapped.iter().filter(|one| one.stage == Stage::Open);
    let requests = open.map(|one| async move { (one, wire.stripe.preview(&one.subscription_id).await) });
    let requests: Vec<_> = requests.collect();
    let mut progress = Progress::of(requests.len());
    let mut results = stream::iter(requests).buffered(wire.stripe.at_a_time());
    let mut unreadable = Unreadable::new("preview", "previews");
    while let Some((one, result)) = results.next().await {
        progress.step();
        let answer = unreadable.unless(result, &mut answers.evidence, one, &one.subscription_id)?;
        let preview = match answer {
            None => Preview::Unreadable,
            Some(None) => Preview::Nothing,
            Some(Some(next)) => {
                let lines = format!("{} lines", next.lines.len());
                answers.evidence.push(line(one, "preview", &next.id, &next.request_id, &lines));
                Preview::Next(Box::new(next))
            }
        };
        answers.previews.insert((one.tenant_id.clone(), one.window), preview);
    }
    unreadable.tell();
    Ok(())
}

fn is_undecided(one: &Mapped, wire: &Wire, standing: &Standing) -> bool {
    wire.push == PushMode::Push && one.stage == Stage::Final && one.unread_invoice(standing).is_some()
}

/// Answers that could not be read: told of once, whatever their number.
struct Unreadable {
    source: &'static str,
    plural: &'static str,
    count: u64,
    /// The first, in words.
    first: String,
}

impl Unreadable {
    fn new(source: &'static str, plural: &'static str) -> Self {
        Self { source, plural, count: 0, first: String::new() }
    }

    fn unless<T>(
        &mut self,
        result: Result<T, StripeError>,
        evidence: &mut Vec<String>,
        one: &Mapped,
        id: &str,
    ) -> Result<Option<T>, StripeError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.concerns_all() => Err(error),
            Err(error) => {
                // An open circuit has been told of once, for all.
                if !matches!(error, StripeError::CircuitOpen { .. }) {
                    if self.count == 0 {
                        self.first = format!("tenant {}, {id}: {error}", one.tenant_id);
                    }
                    self.count += 1;
                }
                evidence.push(line(one, self.source, id, error.request_id(), &error.to_string()));
                Ok(None)
            }
        }
    }

    fn tell(&self) {
        let Self { source, plural, count, first } = self;
        match count {
            0 => {}
            1 => tracing::warn!("a tenant's {source} could not be read: {first}"),
            _ => tracing::warn!("{count} tenants' {plural} could not be read; the first: {first}"),
        }
    }
}

pub fn line(one: &Mapped, source: &str, id: &str, request_id: &str, answer: &str) -> String {
    json!({
        "tenant_id": one.tenant_id, "window_start": one.window.start.to_string(), "source": source, "id": id,
        "request_id": request_id, "answer": answer,
    })
    .to_string()
}
