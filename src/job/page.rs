//! Page: what only the page of a report shows, and neither the plan of a run nor the books hold ready.
//!
//! In: a report, its run, the books. Out: the same report with its price curves and what was pushed day by day. The same for
//! the run itself and for whoever makes its files again: both read what the run left in the database.

use crate::domain::catalog::Catalog;
use crate::domain::period::Period;
use crate::domain::pricing::curve::curves;
use crate::domain::report::Report;
use crate::domain::report::page::PageData;
use crate::job::catalogs::{Catalogs, hashes};
use crate::store::books::BooksView;

/// The whole report of a committed run, as its files show it.
pub async fn report(period: Period, run_id: &str, view: &mut BooksView) -> anyhow::Result<Report> {
    let report = view.report(period, run_id).await?;
    complete(report, run_id, view).await
}

/// The same of a run that closes nothing: its report is not in the books.
pub async fn complete(report: Report, run_id: &str, view: &mut BooksView) -> anyhow::Result<Report> {
    let pushes = view.push_days(report.period, run_id).await?;
    // Each window by the catalog that it was rated with; the current one has no say here.
    let nothing = Catalog::default();
    let catalogs = Catalogs::read(&nothing, "", hashes(&report.windows), view).await?;
    let curves = curves(&report.windows, |window| catalogs.of(window));
    Ok(Report { page: PageData { pushes, curves }, ..report })
}
