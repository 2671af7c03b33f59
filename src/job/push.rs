//! Push: plans what is to be sent, and reads from totals what has arrived.
//!
//! In: mapped windows, their intents, meter totals. Out: intents in their new states, and the tenants that must be set
//! aside. Pure; `send` does what is planned here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::intent::{self, Intent, IntentState, PushCase, PushKey, PushMode, PushStep, Settlement};
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;
use crate::domain::tenant::ParkReason;
use crate::job::connection::Wire;
use crate::job::intents::Intents;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::Answers;
use crate::job::stage::Stage;

/// What a run is going to do, printed by a dry run and done by a real one.
#[derive(Debug, Default)]
pub struct PushPlan {
    /// To be committed before anything is sent.
    pub new: Vec<Intent>,
    /// New ones and repeated ones, in the order of sending.
    pub sends: Vec<Intent>,
    /// Settled without sending: confirmed, absent, unbillable.
    pub settled: Vec<Intent>,
    /// New ones that can no longer be sent; they are written with the close.
    pub unbillable: Vec<Intent>,
    /// Tenant and window to set aside.
    pub parked: BTreeMap<(String, Window), ParkReason>,
    /// Tenant and window with more to send, once what is on its way has arrived.
    waiting: BTreeSet<(String, Window)>,
    /// Tenants that are due a push, and whose total could not be read.
    pub unread: BTreeSet<String>,
}

/// Plans a period's pushes. Without an answer about a tenant's meter nothing of it is sent, and nothing new of what is
/// `parked` already.
#[tracing::instrument(level = "debug", name = "push", skip_all)]
pub fn plan(
    mapped: &[Mapped],
    intents: &Intents,
    answers: &Answers,
    wire: &Wire,
    parked: BTreeMap<(String, Window), ParkReason>,
    now: Timestamp,
) -> Result<PushPlan, NumberError> {
    let mut plan = PushPlan { parked, ..PushPlan::default() };
    if wire.push == PushMode::Observe {
        return Ok(plan);
    }
    for one in mapped {
        for using in &one.meters {
            let meter = using.meter.as_str();
            let Some(total) = answers.total(one, meter) else {
                plan.note_unread(one, using, &intents.of(one, meter), wire, now)?;
                continue;
            };
            if intents.went_elsewhere(one, meter) {
                plan.park(one, ParkReason::Mapping);
                continue;
            }
            plan.settled.extend(intents.left_at_another_customer(one, meter));
            let mut known = intents.of(one, meter);
            let open = one.stage != Stage::Final;
            let settlement = intent::settle(using.aggregation, &known, total.quantity, open, now)?;
            if one.stands {
                plan.let_stand(&mut known, settlement, open, now);
                if !open {
                    plan.give_up_rest(one, using, &known, total.quantity, wire, now)?;
                }
                continue;
            }
            match settlement {
                Settlement::Foreign => plan.park(one, ParkReason::ForeignUsage),
                Settlement::Undecided => plan.park(one, ParkReason::UnknownPush),
                Settlement::Confirmed => plan.confirm(&mut known, |_| true),
                Settlement::Partly { arrived, absent } => {
                    plan.confirm(&mut known, |one| arrived.contains(one));
                    // What Stripe has said it took is in its hands: it was dropped, and would be again, or its total is
                    // later than Stripe says anywhere that it may be. A delta that comes twice is billed twice, so a
                    // person decides. Of one in doubt nobody has said that it arrived, and what its last request may
                    // have brought would be shown by now: that is the proof, and the next intent takes its place.
                    let took = |one: &Intent| one.state == IntentState::Sent && !using.aggregation.is_gauge();
                    if open && absent.iter().any(took) {
                        plan.park(one, ParkReason::RejectedAsync);
                    } else {
                        plan.give_up(&mut known, &absent, open);
                    }
                }
            }
            if !plan.is_parked(one) {
                plan.next(one, using, &known, wire, now)?;
            }
        }
    }
    Ok(plan.without_parked())
}

/// What goes out after this plan, taken that all of it arrives. Nothing is sent to find out.
pub fn plan_rest(
    plan: &PushPlan,
    waiting: &[Mapped],
    intents: &Intents,
    answers: &Answers,
    wire: &Wire,
    now: Timestamp,
) -> Result<PushPlan, NumberError> {
    let known = intents.assuming(&plan.settled, &plan.sends);
    let answers = answers.assuming(waiting, &known, &plan.sends)?;
    self::plan(waiting, &known, &answers, wire, BTreeMap::new(), now)
}

impl PushPlan {
    /// The windows that are to be planned once more when this plan is done.
    pub fn waiting(&self, mapped: &[Mapped]) -> Vec<Mapped> {
        let waits = |one: &&Mapped| {
            self.waiting.contains(&(one.tenant_id.clone(), one.window)) && !self.is_parked(one)
        };
        mapped.iter().filter(waits).cloned().collect()
    }

    /// Without what would be repeated: in one run each is asked for once.
    pub fn only_new(self) -> Self {
        Self { sends: self.new.clone(), ..self }
    }

    pub fn add(&mut self, more: Self) {
        self.new.extend(more.new);
        self.sends.extend(more.sends);
        self.settled.extend(more.settled);
        self.unbillable.extend(more.unbillable);
        self.parked.extend(more.parked);
        self.unread.extend(more.unread);
    }

    /// A tenant that is set aside on one meter is set aside whole.
    fn without_parked(mut self) -> Self {
        let mut windows: BTreeMap<&str, Vec<Window>> = BTreeMap::new();
        for (tenant_id, window) in self.parked.keys() {
            windows.entry(tenant_id).or_default().push(*window);
        }
        let goes = |one: &Intent| {
            let mut windows = windows.get(one.key.tenant_id.as_str()).into_iter().flatten();
            windows.all(|window| one.key.segment.intersection(*window).is_none())
        };
        self.new.retain(goes);
        self.sends.retain(goes);
        self.unbillable.retain(goes);
        self
    }

    fn park(&mut self, one: &Mapped, reason: ParkReason) {
        self.parked.entry((one.tenant_id.clone(), one.window)).or_insert(reason);
    }

    fn is_parked(&self, one: &Mapped) -> bool {
        self.parked.contains_key(&(one.tenant_id.clone(), one.window))
    }

    /// These have arrived, by the meter's total.
    fn confirm(&mut self, known: &mut [Intent], has_arrived: impl Fn(&Intent) -> bool) {
        let waits =
            |one: &&mut Intent| one.is_counted() && one.state != IntentState::Confirmed && has_arrived(one);
        for one in known.iter_mut().filter(waits) {
            one.confirm();
            self.settled.push(one.clone());
        }
    }

    fn give_up(&mut self, known: &mut [Intent], absent: &[Intent], open: bool) {
        for one in known.iter_mut().filter(|one| absent.contains(one)) {
            one.give_up(open);
            self.settled.push(one.clone());
        }
    }

    fn next(
        &mut self,
        one: &Mapped,
        using: &MeterUse,
        known: &[Intent],
        wire: &Wire,
        now: Timestamp,
    ) -> Result<(), NumberError> {
        let open = one.stage != Stage::Final;
        let mut known = known.to_vec();
        self.retry_or_drop(&mut known, open, now);
        let key = key(one, using, wire);
        match intent::next_step(case(one, using, &key, &known, now))? {
            PushStep::Nothing => {}
            PushStep::Wait => {
                self.waiting.insert((one.tenant_id.clone(), one.window));
            }
            PushStep::Send(intents) => {
                self.new.extend(intents.iter().cloned());
                self.sends.extend(intents);
            }
            PushStep::Unbillable(mut late) => {
                // What was kept back by us did not come late.
                for one in late.iter_mut().filter(|_| !open && one.was_parked) {
                    one.withhold();
                }
                self.unbillable.extend(late);
            }
            PushStep::AheadOfLedger => self.park(one, ParkReason::StripeAheadOfLedger),
            PushStep::TooManyDigits => self.park(one, ParkReason::TooManyDigits),
        }
        Ok(())
    }

    /// A person let stand what Stripe shows: what can be told of our intents is told, and all others wait for nothing more.
    fn let_stand(&mut self, known: &mut [Intent], settlement: Settlement, open: bool, now: Timestamp) {
        match settlement {
            Settlement::Confirmed => self.confirm(known, |_| true),
            Settlement::Partly { arrived, absent } => {
                self.confirm(known, |one| arrived.contains(one));
                // While the invoice takes usage they go on counting: a total may be very late.
                if !open {
                    self.give_up(known, &absent, open);
                }
            }
            Settlement::Foreign | Settlement::Undecided => {}
        }
        for one in known {
            if one.let_stand(now) {
                self.settled.push(one.clone());
            }
        }
    }

    /// The invoice is final: what it lacks can no longer be sent. As long as something of ours may yet show, nobody knows.
    fn give_up_rest(
        &mut self,
        one: &Mapped,
        using: &MeterUse,
        known: &[Intent],
        total: Quantity,
        wire: &Wire,
        now: Timestamp,
    ) -> Result<(), NumberError> {
        if !known.iter().any(|one| one.may_yet_show(now)) {
            let key = key(one, using, wire);
            self.unbillable.extend(intent::left_over(case(one, using, &key, known, now), total)?);
        }
        Ok(())
    }

    /// Nothing is sent to a meter whose total nobody knows; what is due waits.
    fn note_unread(
        &mut self,
        one: &Mapped,
        using: &MeterUse,
        known: &[Intent],
        wire: &Wire,
        now: Timestamp,
    ) -> Result<(), NumberError> {
        let key = key(one, using, wire);
        let next = intent::next_step(case(one, using, &key, known, now))?;
        if matches!(next, PushStep::Send(_)) && !one.stands {
            self.unread.insert(one.tenant_id.clone());
        }
        Ok(())
    }

    /// What is planned or in doubt goes out again; what was never asked for is given up once the invoice is final.
    fn retry_or_drop(&mut self, known: &mut [Intent], open: bool, now: Timestamp) {
        for one in known {
            let never_asked = one.state == IntentState::Planned && one.attempted_at.is_none();
            if open && one.may_be_sent(now) {
                self.sends.push(one.clone());
            } else if never_asked {
                one.state = IntentState::Rejected;
                "never sent, and now it is too late".clone_into(&mut one.reason);
                self.settled.push(one.clone());
            }
        }
    }
}

fn key(one: &Mapped, using: &MeterUse, wire: &Wire) -> PushKey {
    PushKey {
        account_id: wire.account.id.clone(),
        tenant_id: one.tenant_id.clone(),
        customer_id: one.customer_id.clone(),
        meter: using.meter.clone(),
        segment: one.window,
    }
}

fn case<'a>(
    one: &Mapped,
    using: &'a MeterUse,
    key: &'a PushKey,
    intents: &'a [Intent],
    now: Timestamp,
) -> PushCase<'a> {
    let (aggregation, targets) = (using.aggregation, using.targets.as_slice());
    PushCase { aggregation, key, targets, intents, open: one.stage != Stage::Final, period: one.period, now }
}

/// After the sending: which of them have arrived, by totals that were read again.
pub fn confirm(
    mapped: &[Mapped],
    intents: &mut Intents,
    answers: &Answers,
    wire: &Wire,
    now: Timestamp,
) -> Result<Vec<Intent>, NumberError> {
    let mut plan = PushPlan::default();
    if wire.push == PushMode::Observe {
        return Ok(plan.settled);
    }
    for one in mapped {
        for using in &one.meters {
            let Some(total) = answers.total(one, &using.meter) else { continue };
            let mut known = intents.of(one, &using.meter);
            let open = one.stage != Stage::Final;
            match intent::settle(using.aggregation, &known, total.quantity, open, now)? {
                Settlement::Confirmed => plan.confirm(&mut known, |_| true),
                Settlement::Partly { arrived, .. } => plan.confirm(&mut known, |one| arrived.contains(one)),
                Settlement::Foreign | Settlement::Undecided => {}
            }
        }
    }
    for one in &plan.settled {
        intents.put(one.clone());
    }
    Ok(plan.settled)
}
