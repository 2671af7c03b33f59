//! Beside: what stands on a window's invoice and is no usage of it.
//!
//! In: a mapped window, Stripe's answers. Out: rows of the class `out_of_scope`. Pure.

use crate::domain::reconcile::{ReconciliationRow, Scope, Source, out_of_scope};
use crate::job::compare::invoice;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::{Answers, Preview};
use crate::job::stage::Stage;
use crate::job::standing::Standing;

/// Base fee, prorations and whatever else stands on the same invoice.
pub fn beside(one: &Mapped, answers: &Answers, standing: &Standing) -> Vec<ReconciliationRow> {
    let (invoice, source) = match one.stage {
        Stage::Open => match answers.preview(one) {
            Preview::Next(invoice) => (Some(invoice), Source::Preview),
            Preview::Nothing | Preview::Unreadable => (None, Source::Preview),
        },
        Stage::Ended | Stage::Final => (invoice(one, standing), Source::Invoice),
    };
    let Some(invoice) = invoice else { return Vec::new() };
    let scopes: Vec<Scope> = standing.meters.values().map(|meter| meter.scope.clone()).collect();
    let plan = one.meters.first().map_or("", |using: &MeterUse| using.expected.plan.key.as_str());
    let evidence = if source == Source::Preview { &one.subscription_id } else { &invoice.id };
    out_of_scope(&one.tenant_id, plan, one.window, invoice, source, &scopes, evidence)
}
