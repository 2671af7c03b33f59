//! What a person should look at: parked tenants, usage that is not billed, lines in quarantine.
//!
//! In: figures, quarantine, intents. Out: exceptions in the order of `exceptions.csv`, and that table. Never decides
//! anything: each of them was decided before.

use std::collections::BTreeMap;

use crate::domain::accrual::LeftOut;
use crate::domain::catalog::Catalog;
use crate::domain::figures::{Disposition, SegmentUsage, WindowFigures};
use crate::domain::intent::{Intent, IntentState};
use crate::domain::late::{Late, NoValue};
use crate::domain::money::MinorAmount;
use crate::domain::number::Quantity;
use crate::domain::reconcile::{Cause, KnownDifference};
use crate::domain::report::{Cell, Report, Table, number, number_text, text, word};
use crate::domain::tenant::ParkReason;
use crate::domain::usage::UsageTotal;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExceptionKind {
    Excluded,
    Parked,
    Quarantined,
    /// It could no longer be sent to Stripe when it was due.
    Unbillable,
    /// Above the quota of a plan that never bills more.
    Capped,
    /// A difference that is gone since the last run, and its comparison with it.
    Resolved,
    /// Usage of a closed window that came late, and nobody can say what it is worth.
    Unvalued,
    /// Records that were closed, and the ledger holds no more.
    Lost,
    /// Usage of a window that is open at the period's end, and is in no accrual.
    NotAccrued,
    /// Far more or far less than the windows before.
    Jump,
}

impl ExceptionKind {
    const ALL: [Self; 10] = [
        Self::Excluded,
        Self::Parked,
        Self::Quarantined,
        Self::Unbillable,
        Self::Capped,
        Self::Resolved,
        Self::Unvalued,
        Self::Lost,
        Self::NotAccrued,
        Self::Jump,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Parked => "parked",
            Self::Quarantined => "quarantined",
            Self::Unbillable => "unbillable",
            Self::Capped => "capped",
            Self::Resolved => "resolved",
            Self::Unvalued => "unvalued",
            Self::Lost => "lost",
            Self::NotAccrued => "not_accrued",
            Self::Jump => "jump",
        }
    }
}

/// Something that a person should look at. The field order is the order of the rows in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    pub tenant_id: String,
    pub kind: ExceptionKind,
    pub reason: String,
    pub plan: String,
    pub meter: String,
    pub tenant_name: String,
    pub records: u64,
    /// Decimal text; empty where the records have no readable quantity.
    pub quantity: String,
    pub next_step: String,
    /// What the quantity is worth at the candidate price; only for what is unbillable.
    pub amount: Option<MinorAmount>,
}

/// Quarantined records of a period, counted by tenant, meter and reason; texts as they stood in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineCount {
    pub tenant_id: String,
    pub meter: String,
    pub reason: String,
    pub records: u64,
}

/// Collects what a person should look at, sorted.
pub fn exceptions(windows: &[&WindowFigures], quarantine: &[QuarantineCount]) -> Vec<Exception> {
    let mut exceptions: Vec<Exception> = quarantine.iter().map(quarantined).collect();
    for window in windows {
        if let Some(reason) = window.park {
            exceptions.push(parked(window, reason));
        }
        exceptions.extend(window.usage.iter().filter_map(|usage| capped(window, usage)));
        let excluded = window.usage.iter().filter(|usage| usage.disposition != Disposition::Billable);
        exceptions.extend(excluded.map(|usage| Exception {
            quantity: usage.total.quantity.to_string(),
            next_step: excluded_next_step(usage.disposition).to_owned(),
            ..of_usage(window, usage, ExceptionKind::Excluded, usage.disposition.as_str())
        }));
    }
    exceptions.sort();
    exceptions
}

/// What a person should look at of a window that earlier runs closed: what came late and would have been excluded, what
/// came late and has no value, what is gone.
pub fn came_late(window: &WindowFigures, late: &Late) -> Vec<Exception> {
    let excluded = late.excluded.iter().map(|usage| Exception {
        quantity: usage.total.quantity.to_string(),
        next_step: format!("came after the close: {}", excluded_next_step(usage.disposition)),
        ..of_usage(window, usage, ExceptionKind::Excluded, usage.disposition.as_str())
    });
    let unvalued = late.unvalued.iter().map(|one| Exception {
        plan: one.plan.as_ref().map(|plan| plan.key.clone()).unwrap_or_default(),
        next_step: unvalued_next_step(one.why).to_owned(),
        ..of_total(window, ExceptionKind::Unvalued, one.why.as_str(), (&one.meter, one.total))
    });
    let lost = late.lost.iter().map(|(meter, total)| Exception {
        plan: window.last_plan().map(|plan| plan.key.clone()).unwrap_or_default(),
        next_step: "somebody took records out of the ledger that were closed, or changed them: `billrecon verify --all` \
                    names their import; put them back from a backup"
            .to_owned(),
        ..of_total(window, ExceptionKind::Lost, "not_in_ledger", (meter, *total))
    });
    excluded.chain(unvalued).chain(lost).collect()
}

/// What is in no accrual. How much it is nobody can say.
pub fn not_accrued(left_out: &[LeftOut]) -> Vec<Exception> {
    let one = |one: &LeftOut| Exception {
        tenant_id: one.tenant_id.clone(),
        kind: ExceptionKind::NotAccrued,
        reason: one.why.as_str().to_owned(),
        plan: one.plan.key.clone(),
        meter: one.meter.clone(),
        tenant_name: String::new(),
        records: 0,
        quantity: String::new(),
        next_step: format!("accruals.csv is without it: {}", one.why.next_step()),
        amount: None,
    };
    left_out.iter().map(one).collect()
}

fn unvalued_next_step(why: NoValue) -> &'static str {
    match why {
        NoValue::TooLarge => "it is more than a bill can hold, so it is not adjusted: look at the records",
        NoValue::NoCatalog => {
            "the catalog that the window was closed with cannot be read, so it is not adjusted: put that version back \
             (`billrecon verify --all` names it)"
        }
    }
}

fn of_total(
    window: &WindowFigures,
    kind: ExceptionKind,
    reason: &str,
    (meter, total): (&str, UsageTotal),
) -> Exception {
    Exception {
        tenant_id: window.tenant_id.clone(),
        kind,
        reason: reason.to_owned(),
        plan: String::new(),
        meter: meter.to_owned(),
        tenant_name: window.tenant_name.clone(),
        records: total.records,
        quantity: total.quantity.to_string(),
        next_step: String::new(),
        amount: None,
    }
}

fn of_usage(window: &WindowFigures, usage: &SegmentUsage, kind: ExceptionKind, reason: &str) -> Exception {
    Exception {
        tenant_id: window.tenant_id.clone(),
        kind,
        reason: reason.to_owned(),
        plan: usage.plan.as_ref().map(|plan| plan.key.clone()).unwrap_or_default(),
        meter: usage.meter.clone(),
        tenant_name: window.tenant_name.clone(),
        records: usage.total.records,
        quantity: String::new(),
        next_step: String::new(),
        amount: None,
    }
}

/// What a hard cap leaves unbilled; the records of the meter are all named, because no one of them is above the quota.
fn capped(window: &WindowFigures, usage: &SegmentUsage) -> Option<Exception> {
    let capped = usage.split?.capped;
    (!capped.is_zero()).then(|| Exception {
        quantity: capped.to_string(),
        next_step: "the plan ends at its quota: stop the usage there, or offer the next plan".to_owned(),
        ..of_usage(window, usage, ExceptionKind::Capped, "hard_cap")
    })
}

/// Differences that no comparison tells of any more, with the tenants of these windows. Not sorted.
pub fn resolved(vanished: &[KnownDifference], windows: &[&WindowFigures]) -> Vec<Exception> {
    let by_id: BTreeMap<&str, &WindowFigures> =
        windows.iter().map(|window| (window.tenant_id.as_str(), *window)).collect();
    let exception = |one: &KnownDifference| {
        let window = by_id.get(one.tenant_id.as_str());
        let plan = window.and_then(|window| window.last_plan());
        Exception {
            tenant_id: one.tenant_id.clone(),
            kind: ExceptionKind::Resolved,
            reason: one.reason.map_or(one.class.as_str(), Cause::as_str).to_owned(),
            plan: plan.map(|plan| plan.key.clone()).unwrap_or_default(),
            meter: one.meter.clone(),
            tenant_name: window.map(|window| window.tenant_name.clone()).unwrap_or_default(),
            records: 0,
            quantity: String::new(),
            next_step: "nothing is to be done: what differed is no longer there".to_owned(),
            amount: None,
        }
    };
    vanished.iter().map(exception).collect()
}

/// What can no longer be sent to Stripe, with what it is worth at the candidate price. Other intents are left out.
pub fn unbillable<'a>(
    intents: impl Iterator<Item = &'a Intent>,
    windows: &[&WindowFigures],
    catalog_of: impl Fn(&WindowFigures) -> Option<&'a Catalog>,
) -> Vec<Exception> {
    let mut by_tenant: BTreeMap<&str, Vec<&WindowFigures>> = BTreeMap::new();
    for window in windows {
        by_tenant.entry(&window.tenant_id).or_default().push(window);
    }
    let unbillable = intents.filter(|intent| intent.state == IntentState::Unbillable);
    let exception = |intent: &Intent| {
        let of_tenant = by_tenant.get(intent.key.tenant_id.as_str()).into_iter().flatten();
        let window = of_tenant.copied().find(|one| one.window.intersection(intent.key.segment).is_some());
        unbillable_one(intent, window, window.and_then(&catalog_of))
    };
    unbillable.map(exception).collect()
}

fn unbillable_one(intent: &Intent, window: Option<&WindowFigures>, catalog: Option<&Catalog>) -> Exception {
    let key = &intent.key;
    let usage = window.and_then(|window| window.billable(key.segment, &key.meter));
    let plan = usage.and_then(|usage| usage.plan.clone());
    Exception {
        tenant_id: key.tenant_id.clone(),
        kind: ExceptionKind::Unbillable,
        reason: intent.reason.clone(),
        plan: plan.as_ref().map(|plan| plan.key.clone()).unwrap_or_default(),
        meter: key.meter.clone(),
        tenant_name: window.map(|window| window.tenant_name.clone()).unwrap_or_default(),
        records: intent.records,
        quantity: intent.quantity.to_string(),
        next_step: if intent.quantity.is_negative() {
            "give it back by hand if it was charged: Stripe takes no correction any more".to_owned()
        } else {
            "bill it by hand if it is to be paid: Stripe takes it no more".to_owned()
        },
        amount: usage.and_then(|usage| worth(intent.quantity, usage, window?, catalog?)),
    }
}

/// What a bill loses without these units: nothing where no unit was billed, as in a trial.
fn worth(
    quantity: Quantity,
    usage: &SegmentUsage,
    window: &WindowFigures,
    catalog: &Catalog,
) -> Option<MinorAmount> {
    let plan = catalog.plans.get(usage.plan.as_ref()?)?;
    if usage.split.is_some_and(|split| split.billed.is_zero()) {
        return Some(MinorAmount::new(0, plan.id.currency));
    }
    let price = plan.usage.get(&usage.meter)?.for_part(usage.range, window.window).ok()?;
    let used = usage.used().to_quantity().ok()?;
    let currency = plan.id.currency;
    let bill = |used: Quantity| -> Option<i64> {
        let lines = price.rate(used, currency).ok()?;
        lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add)
    };
    let rest = used.checked_sub(quantity).ok()?;
    Some(MinorAmount::new(bill(used)?.checked_sub(bill(rest)?)?, currency))
}

fn parked(window: &WindowFigures, reason: ParkReason) -> Exception {
    Exception {
        tenant_id: window.tenant_id.clone(),
        kind: ExceptionKind::Parked,
        reason: reason.as_str().to_owned(),
        plan: window.last_plan().map(|plan| plan.key.clone()).unwrap_or_default(),
        meter: String::new(),
        tenant_name: window.tenant_name.clone(),
        records: window.usage.iter().map(|usage| usage.total.records).sum(),
        quantity: String::new(),
        next_step: reason.next_step().to_owned(),
        amount: None,
    }
}

fn quarantined(count: &QuarantineCount) -> Exception {
    Exception {
        tenant_id: count.tenant_id.clone(),
        kind: ExceptionKind::Quarantined,
        reason: count.reason.clone(),
        plan: String::new(),
        meter: count.meter.clone(),
        tenant_name: String::new(),
        records: count.records,
        quantity: String::new(),
        next_step: "mend the records at their source and import them again; they are not billed".to_owned(),
        amount: None,
    }
}

fn excluded_next_step(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::NoAccess => "the plan sells no access to this meter: stop the usage or change the plan",
        Disposition::OutsideSubscription => {
            "the tenant had no plan at that time: mend started_at or ended_at"
        }
        Disposition::Inactive => {
            "Stripe makes no invoices for a paused or incomplete subscription: stop the usage, or mend the row's status"
        }
        Disposition::NotBillable => "the meter's billable rule leaves these out: nothing, if that is meant",
        Disposition::Billable => "",
    }
}

impl Report {
    pub(super) fn exception_rows(&self) -> Table<'_> {
        let period = self.period;
        Table {
            name: "exceptions",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "kind",
                "reason",
                "records",
                "quantity",
                "tenant_name",
                "next_step",
                "amount_minor",
                "amount",
                "currency",
            ],
            rows: Box::new(self.exceptions.iter().map(move |one| {
                vec![
                    word(period.to_string()),
                    text(&one.tenant_id),
                    text(&one.plan),
                    text(&one.meter),
                    text(one.kind.as_str()),
                    text(&one.reason),
                    Cell::Number(one.records.to_string()),
                    Cell::Number(one.quantity.clone()),
                    text(&one.tenant_name),
                    text(&one.next_step),
                    number(one.amount.map(|amount| amount.minor)),
                    number(one.amount),
                    word(number_text(one.amount.map(|amount| amount.currency))),
                ]
            })),
        }
    }
}
