//! What if: Stripe itself computes what open windows would cost at the candidate prices.
//!
//! In: mapped windows in shadow billing, the catalog, what stands at Stripe. Out: a [`WhatIf`] for each meter, with our own
//! rating of the quantity that Stripe counted. It only reads, and nothing of it enters a report, a comparison or a verdict.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::stream::{self, StreamExt as _};

use crate::domain::catalog::{Billing, Catalog, UsagePrice};
use crate::domain::figures::WindowFigures;
use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::money::{Currency, MinorAmount};
use crate::domain::number::Quantity;
use crate::domain::period::Window;
use crate::domain::quote::amount_of;
use crate::domain::reconcile::is_period_of;
use crate::job::connection::Wire;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::{Answers, Preview};
use crate::job::stage::Stage;
use crate::job::standing::Standing;
use crate::stripe::{ITEMS_AT_MOST, Replaced, StripeError};

/// One meter of an open window, as it would be billed.
#[derive(Clone, Debug)]
pub struct WhatIf {
    pub tenant_id: String,
    pub plan: String,
    pub meter: String,
    pub window: Window,
    pub subscription_id: String,
    /// The candidate; empty where the catalog names none.
    pub price_id: String,
    pub currency: Currency,
    /// What Stripe is to see, and what our reports say that it will cost; `None`: more than a bill can hold.
    pub ledger: (Quantity, Option<MinorAmount>),
    pub answer: Result<Answer, Skip>,
}

/// What Stripe would bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub quantity: Quantity,
    pub amount: MinorAmount,
    /// Our rating of Stripe's quantity.
    pub rated: MinorAmount,
    /// What Stripe counts at the price in force; `None` where that could not be read.
    pub in_force_quantity: Option<Quantity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The amounts differ for one and the same quantity.
    Differs,
    /// The amounts agree, but Stripe counts something else than at the price in force: it may count a replaced item anew.
    OtherQuantity,
    Skipped,
    Agrees,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    NoCandidate,
    Trial,
    NoItem,
    Refused { code: String, message: String },
    Failed(String),
    NoInvoice,
    Incomplete,
    NoLine,
    StrangeLine,
    Overflow,
}

impl WhatIf {
    pub fn outcome(&self) -> Outcome {
        match &self.answer {
            Err(_) => Outcome::Skipped,
            Ok(answer) if answer.amount != answer.rated => Outcome::Differs,
            Ok(answer) if answer.in_force_quantity.is_some_and(|one| one != answer.quantity) => {
                Outcome::OtherQuantity
            }
            Ok(_) => Outcome::Agrees,
        }
    }

    /// Why the outcome is what it is; empty where all agrees.
    pub fn reason(&self) -> String {
        match (self.outcome(), &self.answer) {
            (_, Err(skip)) => skip.to_string(),
            (Outcome::Differs, Ok(answer)) => {
                format!("for {} units we would charge {}", answer.quantity, answer.rated)
            }
            (Outcome::OtherQuantity, Ok(answer)) => {
                let counted = answer.in_force_quantity.unwrap_or_default();
                format!("Stripe counts {} units, and {counted} at the price in force", answer.quantity)
            }
            (Outcome::Agrees | Outcome::Skipped, Ok(_)) => String::new(),
        }
    }
}

impl Outcome {
    pub const ALL: [Self; 4] = [Self::Differs, Self::OtherQuantity, Self::Skipped, Self::Agrees];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::OtherQuantity => "other_quantity",
            Self::Skipped => "skipped",
            Self::Agrees => "agrees",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoCandidate => "the catalog names no candidate price at Stripe: set overage_price_id",
            Self::Trial => "in a trial nothing is charged",
            Self::NoItem => "the subscription has no item at the price in force of its plan",
            Self::Refused { code, message } => return write!(out, "Stripe refused with {code}: {message}"),
            Self::Failed(why) => return out.write_str(why),
            Self::NoInvoice => "Stripe will make no further invoice for the subscription",
            Self::Incomplete => "not every line of the preview could be read",
            Self::NoLine => "the preview has no line at the candidate price",
            Self::StrangeLine => "a line is of another time or currency, or without a quantity",
            Self::Overflow => "the amount is beyond what a bill can hold",
        })
    }
}

/// Asks about every meter of the open windows that is billed by a shadow price. Trouble that concerns every tenant is an
/// error; other trouble is why a row is skipped.
pub async fn ask(
    mapped: &[Mapped],
    catalog: &Catalog,
    standing: &Standing,
    figures: &[WindowFigures],
    answers: &Answers,
    wire: &Wire,
) -> Result<Vec<WhatIf>, StripeError> {
    let figures: BTreeMap<_, _> =
        figures.iter().map(|one| ((one.tenant_id.as_str(), one.window), one)).collect();
    let mut rows = Vec::new();
    let mut requests = Vec::new();
    for one in mapped.iter().filter(|one| one.stage == Stage::Open) {
        let figures = figures.get(&(one.tenant_id.as_str(), one.window)).copied();
        let mut questions = Vec::new();
        for using in &one.meters {
            let plan = catalog.plans.get(&using.expected.plan);
            let usage = plan.and_then(|plan| plan.usage.get(&using.meter));
            let Some(usage) = usage.filter(|usage| usage.billing == Billing::Shadow) else { continue };
            let question = Question { one, using, usage, figures };
            match question.replaced(standing) {
                Ok(replaced) => questions.push((question, replaced)),
                Err(skip) => rows.push(question.row(String::new(), Err(skip))),
            }
        }
        requests.extend(questions.chunks(ITEMS_AT_MOST).map(|some| (one, some.to_vec())));
    }
    let requests = requests.into_iter().map(|(one, questions)| async move {
        let replaced: Vec<Replaced> = questions.iter().map(|(_, replaced)| replaced.clone()).collect();
        (one, questions, wire.stripe.preview_with(&one.subscription_id, &replaced).await)
    });
    let mut results = stream::iter(requests).buffered(wire.stripe.at_a_time());
    while let Some((one, questions, result)) = results.next().await {
        let preview = match result {
            Err(error) if error.concerns_all() => return Err(error),
            result => readable(result),
        };
        for (question, replaced) in questions {
            let in_force = question.in_force_quantity(answers.preview(one), standing);
            let answer = preview.as_ref().map_err(Clone::clone);
            let answer = answer.and_then(|preview| question.answer(preview, &replaced, in_force));
            rows.push(question.row(replaced.price_id, answer));
        }
    }
    rows.sort_by(|a, b| (&a.tenant_id, a.window, &a.meter).cmp(&(&b.tenant_id, b.window, &b.meter)));
    Ok(rows)
}

fn readable(result: Result<Option<Invoice>, StripeError>) -> Result<Invoice, Skip> {
    match result {
        Ok(Some(preview)) if preview.lines_complete => Ok(preview),
        Ok(Some(_)) => Err(Skip::Incomplete),
        Ok(None) => Err(Skip::NoInvoice),
        Err(StripeError::Refused { code, message, .. }) => Err(Skip::Refused { code, message }),
        Err(error) => Err(Skip::Failed(error.to_string())),
    }
}

/// One meter of a window that is billed by a shadow price.
#[derive(Clone, Copy)]
struct Question<'a> {
    one: &'a Mapped,
    using: &'a MeterUse,
    usage: &'a UsagePrice,
    figures: Option<&'a WindowFigures>,
}

impl Question<'_> {
    /// The item that has the price in force, and the price that it is to have.
    fn replaced(&self, standing: &Standing) -> Result<Replaced, Skip> {
        let key = (self.using.expected.plan.clone(), self.using.meter.clone());
        let price_id = standing.candidates.get(&key).ok_or(Skip::NoCandidate)?;
        if self.using.expected.trial {
            return Err(Skip::Trial);
        }
        let subscription = standing.subscriptions.get(&self.one.subscription_id).ok_or(Skip::NoItem)?;
        let in_force = standing.in_force.get(&key);
        let item = subscription.items.iter().find(|item| in_force == Some(&item.price_id));
        let item_id = item.ok_or(Skip::NoItem)?.id.clone();
        Ok(Replaced { item_id, price_id: price_id.clone() })
    }

    fn in_force_quantity(&self, preview: &Preview, standing: &Standing) -> Option<Quantity> {
        let Preview::Next(preview) = preview else { return None };
        let key = (self.using.expected.plan.clone(), self.using.meter.clone());
        let in_force = standing.in_force.get(&key)?;
        let lines = lines_at(preview.lines_complete.then_some(preview)?, in_force);
        quantity_of(&lines).ok()
    }

    fn answer(
        &self,
        preview: &Invoice,
        replaced: &Replaced,
        in_force_quantity: Option<Quantity>,
    ) -> Result<Answer, Skip> {
        let expected = &self.using.expected;
        let currency = expected.plan.currency;
        let lines = lines_at(preview, &replaced.price_id);
        if lines.is_empty() {
            return Err(Skip::NoLine);
        }
        let is_ours = |line: &&InvoiceLine| {
            line.currency == currency && is_period_of(line.period, expected.window, expected.served)
        };
        if !lines.iter().all(is_ours) {
            return Err(Skip::StrangeLine);
        }
        let quantity = quantity_of(&lines)?;
        let sum = lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor));
        let amount = MinorAmount::new(sum.ok_or(Skip::Overflow)?, currency);
        let rated = self.usage.at_stripe().rate(quantity, currency).map_err(|_| Skip::Overflow)?;
        let rated = amount_of(&rated, currency).map_err(|_| Skip::Overflow)?;
        Ok(Answer { quantity, amount, rated, in_force_quantity })
    }

    fn row(&self, price_id: String, answer: Result<Answer, Skip>) -> WhatIf {
        let expected = &self.using.expected;
        let currency = expected.plan.currency;
        let lines = self.figures.into_iter().flat_map(|figures| &figures.lines);
        let lines = lines.filter(|line| line.meter == self.using.meter).map(|line| &line.line);
        WhatIf {
            tenant_id: expected.tenant_id.clone(),
            plan: expected.plan.key.clone(),
            meter: self.using.meter.clone(),
            window: expected.window,
            subscription_id: self.one.subscription_id.clone(),
            price_id,
            currency,
            ledger: (expected.quantity, amount_of(lines, currency).ok()),
            answer,
        }
    }
}

/// The usage lines of a price.
fn lines_at<'a>(invoice: &'a Invoice, price_id: &str) -> Vec<&'a InvoiceLine> {
    let at_price = |line: &&InvoiceLine| !line.proration && line.price_id.as_deref() == Some(price_id);
    invoice.lines.iter().filter(at_price).collect()
}

fn quantity_of(lines: &[&InvoiceLine]) -> Result<Quantity, Skip> {
    lines.iter().try_fold(Quantity::ZERO, |sum, line| {
        let quantity = line.quantity.ok_or(Skip::StrangeLine)?;
        sum.checked_add(quantity).map_err(|_| Skip::Overflow)
    })
}
