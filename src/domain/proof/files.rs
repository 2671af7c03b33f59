//! The figures of a set of files, proved from the files alone.
//!
//! In: the rows of `lines.csv`, `control_totals.csv`, `exceptions.csv`, `summary.csv`, `adjustments.csv`,
//! `reconciliation.csv` and `accruals.csv` as text, with their line numbers; the sums of `manifest.json`. Out: the first
//! figure that does not follow from the others, with file, line and column. Needs no database and no catalog: it is what an
//! auditor can do with the folder in hand.

mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::controls::Measure;
use crate::domain::money::{Currency, MinorAmount, MinorSum};
use crate::domain::number::{Quantity, QuantitySum, UnitAmount};
use crate::domain::rating::LineKind;
use crate::domain::usage::UsageTotal;

/// A figure that does not hold. `line` is 0 where the file as a whole is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FileFault {
    pub file: &'static str,
    pub line: u64,
    pub column: String,
    pub problem: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if self.line > 0 {
            write!(out, ", line {}", self.line)?;
        }
        if !self.column.is_empty() {
            write!(out, ", column {}", self.column)?;
        }
        write!(out, ": {}", self.problem)
    }
}

/// One row of a file, by column.
pub struct Cells<'a> {
    pub file: &'static str,
    pub line: u64,
    pub by_column: BTreeMap<&'a str, &'a str>,
}

impl Cells<'_> {
    fn text(&self, column: &str) -> Result<&str, FileFault> {
        let text = self.by_column.get(column).copied();
        text.ok_or_else(|| self.fault(column, "the file has no such column".to_owned()))
    }

    fn read<T, E: fmt::Display>(
        &self,
        column: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, FileFault> {
        let text = self.text(column)?;
        parse(text).map_err(|error| self.fault(column, format!("`{text}` {error}")))
    }

    fn sum(&self, column: &str) -> Result<QuantitySum, FileFault> {
        self.read(column, QuantitySum::parse)
    }

    /// Whole number; an empty cell counts as 0.
    fn whole<T: std::str::FromStr + Default>(&self, column: &str) -> Result<T, FileFault> {
        let whole = |text: &str| text.parse().map_err(|_| "is no whole number");
        if self.text(column)?.is_empty() { Ok(T::default()) } else { self.read(column, whole) }
    }

    fn total(&self) -> Result<UsageTotal, FileFault> {
        let quantity =
            if self.text("quantity")?.is_empty() { QuantitySum::ZERO } else { self.sum("quantity")? };
        Ok(UsageTotal { records: self.whole("records")?, quantity })
    }

    fn fault(&self, column: &str, problem: String) -> FileFault {
        FileFault { file: self.file, line: self.line, column: column.to_owned(), problem }
    }

    /// The cell says what the other cells make.
    fn is(&self, column: &str, made: &impl ToString, how: &str) -> Result<(), FileFault> {
        let (written, made) = (self.text(column)?, made.to_string());
        if written == made {
            return Ok(());
        }
        Err(self.fault(column, format!("`{written}` is written, but {how} makes {made}")))
    }
}

/// Plan, interval, currency: texts as the files have them.
type PlanKey = (String, String, String);

#[derive(Default)]
struct PlanSum {
    tenants: BTreeSet<String>,
    base: i128,
    usage: i128,
}

/// Adds up what the files say; [`FilesProof::finish`] holds it against each other.
#[derive(Default)]
pub struct FilesProof {
    controls: BTreeMap<String, BTreeMap<Measure, UsageTotal>>,
    /// Where a measure stands in its file.
    at: BTreeMap<(String, Measure), u64>,
    plans: BTreeMap<PlanKey, PlanSum>,
    summary: Vec<PlanKey>,
    /// Units of usage lines, by meter.
    billed: BTreeMap<String, QuantitySum>,
    /// Exceptions by kind and meter.
    exceptions: BTreeMap<(String, String), UsageTotal>,
    /// Late usage by meter; `None`: the set has no such file.
    late: Option<BTreeMap<String, UsageTotal>>,
    /// By currency, in minor units: base fees, usage, late usage.
    money: BTreeMap<String, [i128; 3]>,
    /// The keys of accruals.
    accrued: BTreeSet<Vec<String>>,
}

const CONTROLS: &str = "control_totals.csv";

impl FilesProof {
    /// A row of `lines.csv`.
    pub fn line(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let quantity = |text: &str| QuantitySum::parse(text).and_then(QuantitySum::to_quantity);
        let kind = |text: &str| LineKind::parse(text).ok_or("is no kind of line");
        let kind = row.read("kind", kind)?;
        let priced: Quantity = row.read("priced_quantity", quantity)?;
        let unit_amount = row.read("unit_amount_decimal", UnitAmount::parse_stored)?;
        let currency = row.read("currency", Currency::parse)?;
        // A base fee is charged once, and so is a fee of a tier, which holds no units.
        if kind != LineKind::Usage {
            let quantity = if kind == LineKind::Base { "1" } else { "0" };
            row.is("quantity", &quantity, "a fee")?;
            row.is("priced_quantity", &"1", "a fee")?;
        }
        let exact = priced.times(unit_amount);
        row.is("exact_amount_minor", &exact, "priced_quantity times unit_amount_decimal")?;
        let rounded = MinorAmount::round(exact, currency);
        let rounded = rounded.map_err(|error| row.fault("amount_minor", error.to_string()))?;
        row.is("amount_minor", &rounded.minor, "exact_amount_minor, rounded,")?;
        row.is("amount", &rounded, "amount_minor")?;
        if kind == LineKind::Usage {
            let more = row.sum("quantity")?;
            let billed = self.billed.entry(row.text("meter")?.to_owned()).or_default();
            *billed = billed.checked_add(more).map_err(|error| row.fault("quantity", error.to_string()))?;
        }
        let plan = self.plans.entry(plan_of(row)?).or_default();
        plan.tenants.insert(row.text("tenant_id")?.to_owned());
        let side = if kind == LineKind::Base { &mut plan.base } else { &mut plan.usage };
        *side += i128::from(rounded.minor);
        let [base, usage, _] = self.money.entry(row.text("currency")?.to_owned()).or_default();
        *(if kind == LineKind::Base { base } else { usage }) += i128::from(rounded.minor);
        Ok(())
    }

    /// A row of `summary.csv`, once all lines are read.
    pub fn summary(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let key = plan_of(row)?;
        let Some(plan) = self.plans.get(&key) else {
            return Err(row.fault("plan", "lines.csv has no line on this plan".to_owned()));
        };
        row.is("tenants", &plan.tenants.len(), "lines.csv")?;
        let currency = row.read("currency", Currency::parse)?;
        for (name, minor) in
            [("base", plan.base), ("usage", plan.usage), ("total", plan.base.saturating_add(plan.usage))]
        {
            row.is(&format!("{name}_amount_minor"), &minor, "the sum of its lines in lines.csv")?;
            row.is(&format!("{name}_amount"), &MinorSum { minor, currency }, "the same in minor units")?;
        }
        self.summary.push(key);
        Ok(())
    }

    /// A row of `control_totals.csv`.
    pub fn control(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let measure = row.read("measure", |text| Measure::parse(text).ok_or("is no measure"))?;
        let meter = row.text("meter")?.to_owned();
        self.at.insert((meter.clone(), measure), row.line);
        self.controls.entry(meter).or_default().insert(measure, row.total()?);
        Ok(())
    }

    /// A row of `exceptions.csv`.
    pub fn exception(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let minor: i64 = row.whole("amount_minor")?;
        if !row.text("amount_minor")?.is_empty() {
            let currency = row.read("currency", Currency::parse)?;
            row.is("amount", &MinorAmount::new(minor, currency), "amount_minor")?;
        }
        let key = (row.text("kind")?.to_owned(), row.text("meter")?.to_owned());
        add(self.exceptions.entry(key).or_default(), row.total()?, row)
    }

    /// A set with an `adjustments.csv` says of all late usage whose it is.
    pub fn has_adjustments(&mut self) {
        self.late.get_or_insert_default();
    }

    /// A row of `adjustments.csv`.
    pub fn adjustment(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let late = row.sum("late_quantity")?;
        let restated = row.sum("original_quantity")?.checked_add(late);
        let restated = restated.map_err(|error| row.fault("restated_quantity", error.to_string()))?;
        row.is("restated_quantity", &restated, "original and late together")?;
        let minor = |column: &str| row.whole::<i128>(column);
        let restated = minor("original_amount_minor")?.saturating_add(minor("late_amount_minor")?);
        row.is("restated_amount_minor", &restated, "original and late together")?;
        let currency = row.read("currency", Currency::parse)?;
        for name in ["original", "late", "restated"] {
            let minor = minor(&format!("{name}_amount_minor"))?;
            row.is(&format!("{name}_amount"), &MinorSum { minor, currency }, "the same in minor units")?;
        }
        let [_, _, money] = self.money.entry(currency.to_string()).or_default();
        *money = money.saturating_add(minor("late_amount_minor")?);
        let of_meter = self.late.get_or_insert_default().entry(row.text("meter")?.to_owned()).or_default();
        add(of_meter, UsageTotal { records: row.whole("records")?, quantity: late }, row)
    }

    /// The sums that `manifest.json` names by currency: base fees, usage, late usage.
    pub fn manifest(&self, totals: &BTreeMap<String, [String; 3]>) -> Result<(), FileFault> {
        let made: BTreeMap<String, [String; 3]> = self
            .money
            .iter()
            .map(|(currency, sums)| (currency.clone(), sums.map(|sum| sum.to_string())))
            .collect();
        if made == *totals {
            return Ok(());
        }
        let all: BTreeSet<&String> = made.keys().chain(totals.keys()).collect();
        let other = all.into_iter().find(|currency| made.get(*currency) != totals.get(*currency));
        let problem = format!(
            "base, usage or late amounts in {} are not the sums of lines.csv and adjustments.csv",
            other.map_or("", String::as_str)
        );
        Err(FileFault { file: "manifest.json", line: 0, column: "totals".to_owned(), problem })
    }

    /// Whether all of it holds together.
    pub fn finish(&self) -> Result<(), FileFault> {
        if let Some(key) = self.plans.keys().find(|key| !self.summary.contains(key)) {
            let problem = format!("no row for plan {}/{}/{}, which lines.csv has", key.0, key.1, key.2);
            return Err(FileFault { file: "summary.csv", line: 0, column: String::new(), problem });
        }
        for meter in self.billed.keys().chain(self.exceptions.keys().map(|(_, meter)| meter)) {
            let is_counted = |kind: &str| self.exception_of(kind, meter) != UsageTotal::default();
            let matters = self.billed.contains_key(meter)
                || ["excluded", "capped", "lost", "unvalued"].into_iter().any(is_counted);
            if matters && !self.controls.contains_key(meter) {
                return Err(Self::whole_file(format!("no rows for meter {meter}, which other files have")));
            }
        }
        self.controls.keys().try_for_each(|meter| self.finish_meter(meter))
    }

    fn finish_meter(&self, meter: &str) -> Result<(), FileFault> {
        use Measure::{
            Accepted, Aggregate, Billed, Capped, Excluded, Free, InWindow, Late, Lost, Parked, Superseded,
            Used,
        };
        self.tie(meter, &[Accepted, Lost], &[InWindow, Late, Excluded, Parked])?;
        if self.controls.get(meter).is_some_and(|measures| measures.contains_key(&Aggregate)) {
            self.tie(meter, &[InWindow], &[Aggregate, Superseded])?;
            self.tie_units(meter, &[Aggregate], &[Free, Billed, Capped])?;
        } else {
            self.tie_units(meter, &[Used], &[Free, Billed, Capped, Parked])?;
        }
        let units = |quantity| UsageTotal { records: 0, quantity };
        let billed = units(self.billed.get(meter).copied().unwrap_or_default());
        let rated = units(self.sum(meter, &[Free, Billed])?.quantity);
        if billed != rated {
            let problem = format!(
                "meter {meter}: free and billed are {} units, but the usage lines of lines.csv hold {}",
                rated.quantity, billed.quantity
            );
            return Err(self.at(meter, Billed, "quantity", problem));
        }
        for (kind, measure) in [("excluded", Excluded), ("capped", Capped), ("lost", Lost)] {
            let (rows, total) = (self.exception_of(kind, meter), self.total(meter, measure));
            let same =
                rows.quantity == total.quantity && (measure == Capped || rows.records == total.records);
            if !same {
                let problem = format!("meter {meter}: the {kind} rows of exceptions.csv do not add up to it");
                return Err(self.at(meter, measure, "quantity", problem));
            }
        }
        self.finish_late(meter)
    }

    /// A gauge's late readings are records all the same; what they come to is no sum. What has no value is no adjustment.
    fn finish_late(&self, meter: &str) -> Result<(), FileFault> {
        let Some(late) = &self.late else { return Ok(()) };
        let (rows, total) = (late.get(meter).copied().unwrap_or_default(), self.total(meter, Measure::Late));
        let rows = rows.checked_add(self.exception_of("unvalued", meter));
        let rows = rows.map_err(|error| Self::whole_file(format!("meter {meter}: a sum {error}")))?;
        let is_gauge = self.controls.get(meter).is_some_and(|one| one.contains_key(&Measure::Aggregate));
        if rows.records == total.records && (is_gauge || rows.quantity == total.quantity) {
            return Ok(());
        }
        let problem = format!(
            "meter {meter}: the rows of adjustments.csv and the unvalued ones of exceptions.csv do not add up to it"
        );
        Err(self.at(meter, Measure::Late, "quantity", problem))
    }

    fn tie(&self, meter: &str, whole: &[Measure], parts: &[Measure]) -> Result<(), FileFault> {
        let (sum, total) = (self.sum(meter, parts)?, self.sum(meter, whole)?);
        if sum.records != total.records {
            return Err(self.untied(
                meter,
                (whole, total.records.to_string()),
                parts,
                "records",
                &sum.records,
            ));
        }
        self.tie_units(meter, whole, parts)
    }

    fn tie_units(&self, meter: &str, whole: &[Measure], parts: &[Measure]) -> Result<(), FileFault> {
        let (sum, total) = (self.sum(meter, parts)?.quantity, self.sum(meter, whole)?.quantity);
        if sum == total {
            return Ok(());
        }
        Err(self.untied(meter, (whole, total.to_string()), parts, "quantity", &sum))
    }

    fn untied(
        &self,
        meter: &str,
        (whole, written): (&[Measure], String),
        parts: &[Measure],
        column: &str,
        sum: &impl ToString,
    ) -> FileFault {
        // What is not there is 0, and not worth a word.
        let is_there = |one: &&Measure| self.at.contains_key(&(meter.to_owned(), **one));
        let words = |all: &[Measure]| {
            all.iter().filter(is_there).map(|one| one.as_str()).collect::<Vec<_>>().join(" + ")
        };
        let problem = format!(
            "meter {meter}: {} is {written}, but {} make {}",
            words(whole),
            words(parts),
            sum.to_string()
        );
        self.at(meter, whole[0], column, problem)
    }

    fn sum(&self, meter: &str, parts: &[Measure]) -> Result<UsageTotal, FileFault> {
        let mut totals = parts.iter().map(|part| self.total(meter, *part));
        let sum = totals.try_fold(UsageTotal::default(), UsageTotal::checked_add);
        sum.map_err(|error| Self::whole_file(format!("meter {meter}: a sum {error}")))
    }

    fn total(&self, meter: &str, measure: Measure) -> UsageTotal {
        self.controls.get(meter).and_then(|by| by.get(&measure)).copied().unwrap_or_default()
    }

    fn exception_of(&self, kind: &str, meter: &str) -> UsageTotal {
        self.exceptions.get(&(kind.to_owned(), meter.to_owned())).copied().unwrap_or_default()
    }

    fn at(&self, meter: &str, measure: Measure, column: &str, problem: String) -> FileFault {
        let line = self.at.get(&(meter.to_owned(), measure)).copied().unwrap_or_default();
        FileFault { file: CONTROLS, line, column: column.to_owned(), problem }
    }

    fn whole_file(problem: String) -> FileFault {
        FileFault { file: CONTROLS, line: 0, column: String::new(), problem }
    }
}

fn plan_of(row: &Cells<'_>) -> Result<PlanKey, FileFault> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok((text("plan")?, text("interval")?, text("currency")?))
}

fn add(total: &mut UsageTotal, more: UsageTotal, row: &Cells<'_>) -> Result<(), FileFault> {
    *total = total.checked_add(more).map_err(|error| row.fault("quantity", error.to_string()))?;
    Ok(())
}
