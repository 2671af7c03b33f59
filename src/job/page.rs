//! Page: what only the page of a report shows, and neither the plan of a run nor the books hold ready.
//!
//! In: a report, its run, the books. Out: the same report with its price curves and what was pushed day by day. The same for
//! the run itself and for whoever makes its files again: both read what the run left in the database.

use crate::domain::catalog::Catalog;
use crate::domain::period::Period;
use crate::domain::pricing::curve::curves;
use crate::domain::report::Report;
use crate::job::catalogs::{Catalogs, hashes};
use crate::store::books::{BooksView, Run};

/// The whole report of a committed run, as its files show it.
pub async fn report(period: Period, run_id: &str, view: &mut BooksView) -> anyhow::Result<Report> {
    let mut report = view.report(period, run_id).await?;
    add_curves(&mut report, view).await?;
    Ok(report)
}

/// The same of a run that closes nothing: its report is not in the books.
pub async fn complete(mut report: Report, run: &Run, view: &mut BooksView) -> anyhow::Result<Report> {
    report.pushes = view.push_days(run.period, &run.run_id).await?;
    add_curves(&mut report, view).await?;
    Ok(report)
}

/// Each window by the catalog that it was rated with; the current one has no say here.
async fn add_curves(report: &mut Report, view: &mut BooksView) -> anyhow::Result<()> {
    let nothing = Catalog::default();
    let catalogs = Catalogs::read(&nothing, "", hashes(&report.windows), view).await?;
    report.curves = curves(&report.windows, |window| catalogs.of(window));
    Ok(())
}
