//! How the changes of bills spread, for each candidate price and group of bills.
//!
//! In: a table of bills (whose, in which group) and one of their changes at each candidate. Out: counts of tenants, and changes
//! by nearest rank: each is that of a bill that exists, so there is no fraction to round.

use polars::prelude::{
    BooleanChunked, ChunkCompareEq, Column, DataFrame, DataFrameJoinOps, PolarsError, PolarsResult,
    RankMethod, RankOptions, SeriesRank,
};

use crate::analytics::AnalyticsError;

/// One entry per bill; its place is its name.
#[derive(Debug, Default)]
pub struct Bills {
    /// One number per tenant.
    pub tenant: Vec<u32>,
    /// Bills of different groups are never counted together.
    pub group: Vec<u32>,
}

/// One entry per candidate and bill.
#[derive(Debug, Default)]
pub struct Changes {
    pub candidate: Vec<u32>,
    /// The place in [`Bills`].
    pub bill: Vec<u32>,
    pub change_minor: Vec<i64>,
    pub is_better: Vec<bool>,
    pub is_shock: Vec<bool>,
}

/// One candidate and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub candidate: u32,
    pub group: u32,
    pub bills: u32,
    pub tenants: u32,
    /// Tenants with a bill that changes.
    pub affected: u32,
    pub better: u32,
    pub shocked: u32,
    pub shocked_bills: u32,
    pub p50_minor: i64,
    pub p95_minor: i64,
    pub max_minor: i64,
}

/// By candidate and group.
pub fn spreads(bills: Bills, changes: Changes) -> Result<Vec<Spread>, AnalyticsError> {
    if changes.bill.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<u32> = (0..).take(bills.tenant.len()).collect();
    let bills = table(vec![
        Column::new("bill".into(), places),
        Column::new("tenant".into(), bills.tenant),
        Column::new("group".into(), bills.group),
    ])?;
    let changes = table(vec![
        Column::new("candidate".into(), changes.candidate),
        Column::new("bill".into(), changes.bill),
        Column::new("change".into(), changes.change_minor),
        Column::new("better".into(), changes.is_better),
        Column::new("shock".into(), changes.is_shock),
    ])?;
    let fleet = changes.inner_join(&bills, ["bill"], ["bill"])?;
    // Half of the memory; the groups need only what was joined.
    drop((bills, changes));
    let mut spreads = Vec::new();
    // Each group comes as a table of its own; what is given back is only stacked.
    let grouped = fleet.group_by_stable(["candidate", "group"])?;
    grouped.apply(|group| {
        spreads.push(spread(&group)?);
        Ok(group.head(Some(1)))
    })?;
    spreads.sort_unstable_by_key(|one: &Spread| (one.candidate, one.group));
    Ok(spreads)
}

fn table(columns: Vec<Column>) -> PolarsResult<DataFrame> {
    DataFrame::new_infer_height(columns)
}

fn spread(group: &DataFrame) -> PolarsResult<Spread> {
    let change = group.column("change")?.as_materialized_series();
    let tenants = |mask: &BooleanChunked| -> PolarsResult<u32> {
        group.column("tenant")?.filter(mask)?.n_unique().map(count)
    };
    let shock = group.column("shock")?.bool()?;
    let ranks = change.rank(RankOptions { method: RankMethod::Ordinal, descending: false }, None);
    // The first change at or below which at least `percent` of all lie.
    let nearest_rank = |percent: usize| -> PolarsResult<i64> {
        let rank = (group.height() * percent).div_ceil(100);
        let is_it = ranks.idx()?.equal(count(rank));
        let found = change.filter(&is_it)?.i64()?.first();
        found.ok_or_else(|| PolarsError::ComputeError(format!("no change has the rank {rank}").into()))
    };
    Ok(Spread {
        candidate: number(group, "candidate")?,
        group: number(group, "group")?,
        bills: count(group.height()),
        tenants: count(group.column("tenant")?.n_unique()?),
        affected: tenants(&change.i64()?.not_equal(0))?,
        better: tenants(group.column("better")?.bool()?)?,
        shocked: tenants(shock)?,
        shocked_bills: shock.sum().unwrap_or_default(),
        p50_minor: nearest_rank(50)?,
        p95_minor: nearest_rank(95)?,
        max_minor: nearest_rank(100)?,
    })
}

/// What all rows of a group have in a column.
fn number(group: &DataFrame, column: &str) -> PolarsResult<u32> {
    let first = group.column(column)?.u32()?.first();
    first.ok_or_else(|| PolarsError::NoData(format!("a group without `{column}`").into()))
}

/// Places are 32 bits wide, so a table has no more rows.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(changes: &[i64]) -> Spread {
        let places: Vec<u32> = (0..).take(changes.len()).collect();
        let bills = Bills { tenant: places.clone(), group: vec![0; changes.len()] };
        let changes = Changes {
            candidate: vec![3; places.len()],
            bill: places,
            change_minor: changes.to_vec(),
            is_better: vec![false; changes.len()],
            is_shock: vec![false; changes.len()],
        };
        spreads(bills, changes).unwrap()[0]
    }

    #[test]
    fn each_candidate_and_group_is_counted_by_itself() {
        let bills = Bills { tenant: vec![7, 7, 9], group: vec![0, 0, 1] };
        let changes = Changes {
            candidate: vec![0, 0, 0, 1, 1, 1],
            bill: vec![0, 1, 2, 0, 1, 2],
            change_minor: vec![0, 5, -4, 0, 0, i64::MAX],
            is_better: vec![false, false, true, true, true, false],
            is_shock: vec![true, true, false, false, false, true],
        };
        let found = spreads(bills, changes).unwrap();
        let told = |one: &Spread| {
            let Spread { candidate, group, bills, tenants, affected, better, shocked, .. } = *one;
            [candidate, group, bills, tenants, affected, better, shocked]
        };
        let expected =
            [[0, 0, 2, 1, 1, 0, 1], [0, 1, 1, 1, 1, 1, 0], [1, 0, 2, 1, 0, 1, 0], [1, 1, 1, 1, 1, 0, 1]];
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!((found[0].p50_minor, found[0].max_minor, found[3].max_minor), (0, 5, i64::MAX));
    }

    #[test]
    fn no_bills_have_no_spread() {
        assert_eq!(spreads(Bills::default(), Changes::default()).unwrap(), []);
    }

    #[test]
    fn one_bill_is_every_percentile_of_itself() {
        let alone = one(&[-9]);
        assert_eq!((alone.candidate, alone.p50_minor, alone.p95_minor, alone.max_minor), (3, -9, -9, -9));
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_first_change_that_covers_its_share(mut changes in prop::collection::vec(-50i64..50, 1..60)) {
            let found = one(&changes);
            changes.sort_unstable();
            let first = |percent: usize| {
                let covers = |value: &&i64| changes.iter().filter(|one| one <= value).count() * 100 >= changes.len() * percent;
                *changes.iter().find(covers).unwrap()
            };
            prop_assert_eq!([found.p50_minor, found.p95_minor, found.max_minor], [50, 95, 100].map(first));
        }
    }
}
