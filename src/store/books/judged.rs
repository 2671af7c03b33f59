//! What runs judged a period from, and what they said.
//!
//! In: the facts of a judged run. Out: the same, and those of the periods before one. Written once with the close. Never
//! computes.

use crate::domain::facts::PeriodFacts;
use crate::domain::period::Period;
use crate::domain::trend::SaidBefore;
use crate::store::books::runs::period;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;
use crate::store::row::Row;

/// How many periods before one are looked at.
const PERIODS: usize = 12;

/// What the newest runs said of the periods before one, the newest period first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier(pub Vec<EarlierPeriod>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierPeriod {
    pub facts: PeriodFacts,
    pub said: SaidBefore,
}

impl Earlier {
    /// The facts of the periods right before this one, up to the first that is missing.
    pub fn facts_without_gap(&self, period: Period) -> Vec<PeriodFacts> {
        let expected = std::iter::successors(Some(period.previous()), |one| Some(one.previous()));
        let together = self.0.iter().zip(expected).take_while(|(one, expected)| one.said.period == *expected);
        together.map(|(one, _)| one.facts.clone()).collect()
    }

    pub fn said(self) -> Vec<SaidBefore> {
        self.0.into_iter().map(|one| one.said).collect()
    }
}

impl BooksWrite {
    pub async fn save_facts(&mut self, run_id: &str, facts: &PeriodFacts) -> Result<(), StoreError> {
        let body = serde_json::to_string(facts).map_err(|error| StoreError::inconsistent("facts", error))?;
        let sql = "INSERT INTO run_facts (run_id, body) VALUES (?, ?)";
        self.tx.execute(sql, vec![run_id.into(), body.into()]).await.map(|_| ())
    }
}

impl BooksView {
    /// What a run judged its period from; nothing of a run that judged none, or that an earlier version made.
    pub async fn facts(&mut self, run_id: &str) -> Result<Option<PeriodFacts>, StoreError> {
        let sql = "SELECT body FROM run_facts WHERE run_id = ?";
        let mut found = self.tx.fetch_map(sql, vec![run_id.into()], |mut row| facts_of(&row.text()?)).await?;
        Ok(found.pop())
    }

    /// The newest periods before one, as runs up to a fence have judged them.
    pub async fn judged_before(&mut self, before: Period, fence: i64) -> Result<Earlier, StoreError> {
        let sql = "SELECT runs.period, run_facts.run_id, run_facts.body FROM run_facts
            JOIN runs ON runs.run_id = run_facts.run_id
            WHERE runs.period < ? AND runs.fence <= ? AND runs.verdict <> ''
            ORDER BY runs.period DESC, runs.fence DESC";
        let judged = |mut row: Row| Ok((period(&row.text()?)?, row.text()?, facts_of(&row.text()?)?));
        let mut all = self.tx.fetch_map(sql, vec![before.to_string().into(), fence.into()], judged).await?;
        all.dedup_by_key(|(period, ..)| *period);
        all.truncate(PERIODS);
        let mut earlier = Earlier::default();
        for (period, run_id, facts) in all {
            let rows = self.decision(&run_id).await?;
            earlier.0.push(EarlierPeriod { facts, said: SaidBefore { period, rows } });
        }
        Ok(earlier)
    }
}

fn facts_of(body: &str) -> Result<PeriodFacts, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::inconsistent("the facts of a run", error))
}
