//! Suggest: which overage price to set, from what the tenants of a plan used in a closed period.
//!
//! In: the plan, a target share, a step, the database, read-only. Out: a suggestion for each plan with that key (one currency and
//! interval each). The plan is that of the current catalog, the usage that of the close. Never writes.

use crate::domain::catalog::Plan;
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::period::Period;
use crate::domain::pricing::simulate::in_minor;
use crate::domain::pricing::suggest::{Question, Suggestion, members, suggest};
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::price::{Source, Wanted};
use crate::job::{Refusal, Settings, policy};

/// What overage usually is to bring, in percent of the base fees.
const USUAL_PERCENT: u64 = 20;

/// What somebody has said, in major units where it is a price; for the rest the policy speaks, and then what is usual.
#[derive(Clone, Debug)]
pub struct Aim {
    /// In percent.
    pub target: Option<Quantity>,
    pub step: Option<UnitAmount>,
    pub range: [Option<UnitAmount>; 2],
    /// Empty: two and a half quotas.
    pub at: Vec<Quantity>,
}

#[derive(Debug)]
pub struct Suggested {
    pub mode: String,
    pub period: Period,
    pub plan: String,
    pub meter: String,
    pub target: Quantity,
    pub suggestions: Vec<OfPlan>,
}

#[derive(Debug)]
pub struct OfPlan {
    pub suggestion: Suggestion,
    pub step: UnitAmount,
    /// Windows on the plan that do not count: trials, partial, mixed, parked ones.
    pub left_out: u64,
}

pub async fn run(settings: &Settings, wanted: &Wanted, aim: &Aim) -> anyhow::Result<Suggested> {
    let (source, mut view) = Source::read(settings, wanted.periods).await?;
    let names = wanted.names(&source.catalog)?;
    let hash = &source.stored.catalog_hash;
    let catalogs = Catalogs::read(&source.catalog, hash, hashes(&source.windows), &mut view).await?;
    let selection = names.selection(wanted);
    let guide = policy(settings.policy.as_ref(), &source.catalog)?.price;
    let target = aim.target.or(guide.target_share).map_or_else(|| Quantity::whole(USUAL_PERCENT), Ok)?;
    let step = aim.step.or(guide.step).unwrap_or(UnitAmount::whole(1));
    let range = [aim.range[0].or(guide.minimum), aim.range[1].or(guide.maximum)];
    let mut suggestions = Vec::new();
    for plan in source.catalog.plans.values().filter(|plan| selection.holds(&plan.id)) {
        let Some(price) = plan.usage.get(&names.meter) else { continue };
        let windows = source.windows.iter().map(|one| (one, catalogs.of(one)));
        let (members, left_out) = members((&plan.id, &names.meter), windows)?;
        let in_plan = |amount: UnitAmount| minor(amount, plan);
        let [min, max] = range.map(|bound| bound.map(in_plan).transpose());
        let step = in_plan(step)?;
        let question = Question {
            plan,
            meter: &names.meter,
            price,
            catalog: &source.catalog,
            target,
            step,
            range: [min?, max?],
            at: if aim.at.is_empty() { usual_quantity(price.free_quota) } else { aim.at.clone() },
        };
        suggestions.push(OfPlan { suggestion: suggest(&question, &members)?, step, left_out });
    }
    Ok(Suggested {
        mode: source.mode,
        period: source.periods[0],
        plan: names.plan,
        meter: names.meter,
        target,
        suggestions,
    })
}

fn minor(amount: UnitAmount, plan: &Plan) -> Result<UnitAmount, Refusal> {
    let currency = plan.id.currency;
    in_minor(amount, currency)
        .map_err(|error| Refusal::Usage(format!("{amount} {} {error}", currency.code().to_uppercase())))
}

/// Two and a half quotas, rounded up to a whole unit.
fn usual_quantity(quota: Option<Quantity>) -> Vec<Quantity> {
    let quantity = quota.and_then(|quota| quota.share_rounded_up(5, 2).ok());
    quantity.filter(|quantity| !quantity.is_zero()).into_iter().collect()
}
