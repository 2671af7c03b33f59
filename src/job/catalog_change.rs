//! What an import of a catalog would change, and whether it may.
//!
//! In: a parsed catalog and a view of the books. Out: the difference from the current version, how many tenants it
//! touches, and why it is refused, if it is. Never writes.

use jiff::Timestamp;

use crate::domain::audit::sha256_hex;
use crate::domain::catalog::{Catalog, Meter, PlanId};
use crate::domain::catalog_diff::{CatalogDiff, other_aggregations};
use crate::domain::tenant::Tenant;
use crate::ingest::{IngestError, catalog};
use crate::job::Settings;
use crate::job::import::{Input, read_text};
use crate::store::books::{BooksView, StoredCatalog};
use crate::store::{Access, StoreError};

/// What an import would do.
#[derive(Debug)]
pub struct CatalogPreview {
    pub diff: CatalogDiff,
    /// The text is another one, if only in its comments.
    pub new_version: bool,
    /// By plan of `diff.touched_plans()`, in its order: tenants that are on it now or later.
    pub tenants: Vec<u64>,
    /// On any of those plans; one that moves from one to the other counts once.
    pub tenants_touched: u64,
    pub refused: Option<IngestError>,
}

/// Reads only and takes no lease; without a database everything is new.
pub async fn preview(settings: &Settings, input: Input, now: Timestamp) -> anyhow::Result<CatalogPreview> {
    let Input { name, reader } = input;
    let body = read_text(reader, &name)?;
    let new = catalog::read(&body, &name)?;
    let store = match settings.open(Access::ReadOnly).await {
        Ok(store) => store,
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::NoDatabase(_))) => {
            let diff = CatalogDiff::between(&Catalog::default(), &new);
            return Ok(CatalogPreview {
                diff,
                new_version: true,
                tenants: Vec::new(),
                tenants_touched: 0,
                refused: None,
            });
        }
        Err(error) => return Err(error),
    };
    let mut view = store.books().snapshot().await?;
    let stored = view.catalog().await?;
    let hash = sha256_hex(body.as_bytes());
    let new_version = stored.as_ref().is_none_or(|stored| stored.catalog_hash != hash);
    let current = stored.map(|stored| catalog::read(&stored.body, "the stored catalog")).transpose()?;
    let diff = CatalogDiff::between(&current.unwrap_or_default(), &new);
    let refused = refusal(&name, &new, &mut view).await?;
    let all = view.tenants().await?;
    drop(view);
    store.close().await;
    let on = |tenant: &Tenant, is_it: &dyn Fn(&PlanId) -> bool| {
        tenant.subscriptions().iter().any(|one| one.span().end > now && is_it(&one.plan))
    };
    let count =
        |is_it: &dyn Fn(&PlanId) -> bool| all.iter().filter(|tenant| on(tenant, is_it)).count() as u64;
    let touched = diff.touched_plans();
    let tenants = touched.iter().map(|plan| count(&|one| one == *plan)).collect();
    let tenants_touched = count(&|one| touched.contains(one));
    Ok(CatalogPreview { diff, new_version, tenants, tenants_touched, refused })
}

/// What was pushed as a delta and what is pushed as an absolute value would mix in one meter, and closed figures would be
/// compared with others: so a meter that the books know keeps its aggregation, also when a version was without it.
pub(in crate::job) async fn refusal(
    file: &str,
    new: &Catalog,
    view: &mut BooksView,
) -> Result<Option<IngestError>, StoreError> {
    let before = last_known(&view.catalogs().await?);
    for (old, meter) in other_aggregations(&before, new) {
        if view.holds_figures_of(&meter.key).await? {
            return Ok(Some(other_aggregation(file, old, meter)));
        }
    }
    Ok(None)
}

/// Each meter as the newest version that has it knows it; the newest version comes first. A version that cannot be read any
/// more must not stand in the way of the one that mends it.
fn last_known(versions: &[StoredCatalog]) -> Catalog {
    let mut known = Catalog::default();
    for version in versions.iter().rev() {
        if let Ok(version) = catalog::read(&version.body, "a stored catalog") {
            known.meters.extend(version.meters);
        }
    }
    known
}

fn other_aggregation(file: &str, old: &Meter, new: &Meter) -> IngestError {
    let (key, old, new) = (&new.key, old.aggregation.as_str(), new.aggregation.as_str());
    let problem = format!(
        "the meter `{key}` is \"{old}\" in the books and \"{new}\" here; usage of it was closed or pushed, and a total \
         made in two ways is none. Nothing was imported. Add a meter with a new key and its own event name, and let \
         the plans sell that one"
    );
    IngestError::Conflict { file: file.to_owned(), problem }
}
