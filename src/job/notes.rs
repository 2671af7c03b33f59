//! Notes: what a run keeps of a period beside its figures.
//!
//! In: what is known of the period, its windows. Out: who was seen in time, who is set aside, what is charged. Pure.

use std::collections::BTreeSet;

use crate::domain::bounds::Charge;
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::period::Window;
use crate::job::mapping::Mapped;
use crate::job::parking;
use crate::job::plan::Known;
use crate::job::stage::Stage;
use crate::store::books::ParkedWindow;

#[derive(Debug)]
pub struct Notes {
    /// Windows seen at Stripe while their invoice still takes usage.
    pub observed: Vec<(String, Window)>,
    /// Those of them that had ended, and whose invoice was a draft.
    pub drafts: Vec<(String, Window)>,
    /// All that is set aside now, and since when.
    pub parked: Vec<ParkedWindow>,
    /// What the windows that close now come to at the price in force.
    pub charges: Vec<Charge>,
}

impl Notes {
    /// `before`: what the last run set aside; `new`: what closes or is parked now.
    pub fn new(
        known: &Known<'_>,
        before: &[ParkedWindow],
        new: &[WindowFigures],
        open: &[WindowFigures],
    ) -> Self {
        let looked = known.mapped.iter().zip(&known.compared);
        let in_time = looked.filter(|(mapped, one)| mapped.stage != Stage::Final && !one.is_incomplete());
        let in_time = in_time.map(|(mapped, _)| mapped);
        let key = |mapped: &Mapped| (mapped.tenant_id.clone(), mapped.window);
        let has_draft = |mapped: &&Mapped| mapped.stage == Stage::Ended && mapped.invoice_id.is_some();
        let drafts = in_time.clone().filter(has_draft).map(key).collect();
        let all = new.iter().chain(open);
        Self {
            observed: in_time.map(key).collect(),
            drafts,
            parked: parking::parked(all, before, known.period, known.run_id, known.now),
            charges: charges_of(known, new),
        }
    }
}

/// Of those windows that close and have an invoice: without one Stripe charges nothing, and has shown no draft.
fn charges_of(known: &Known<'_>, new: &[WindowFigures]) -> Vec<Charge> {
    let invoiced = known.mapped.iter().filter(|one| one.invoice_id.is_some());
    let invoiced: BTreeSet<_> = invoiced.map(|one| (one.tenant_id.as_str(), one.window)).collect();
    let closing = new.iter().filter(|one| one.status == WindowStatus::Closed);
    let closing: BTreeSet<_> = closing.map(|one| (one.tenant_id.as_str(), one.window)).collect();
    let both = |key| closing.contains(&key) && invoiced.contains(&key);
    known.charges.iter().filter(|one| both((one.tenant_id.as_str(), one.window))).cloned().collect()
}
