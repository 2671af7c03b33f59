//! Catalog versions: the current one for what is open, and for each closed window the one that it was closed with.
//!
//! In: the current catalog, the windows that are stored, the books. Out: the catalog of any window, or nothing where it cannot
//! be read. A closed period keeps the prices that it was closed with, whatever is imported later: never those of another.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, Meter};
use crate::domain::figures::WindowFigures;
use crate::ingest::catalog;
use crate::store::books::BooksView;

#[derive(Debug)]
pub struct Catalogs<'a> {
    pub current: &'a Catalog,
    current_hash: String,
    older: BTreeMap<String, Catalog>,
}

impl<'a> Catalogs<'a> {
    /// Where no closed window is looked at.
    pub fn only(current: &'a Catalog) -> Self {
        Self { current, current_hash: String::new(), older: BTreeMap::new() }
    }

    /// Reads the versions that are named besides the current one.
    pub async fn read(
        current: &'a Catalog,
        current_hash: &str,
        named: impl IntoIterator<Item = &str>,
        view: &mut BooksView,
    ) -> anyhow::Result<Self> {
        let named: BTreeSet<&str> = named.into_iter().collect();
        let mut older = BTreeMap::new();
        for hash in named.into_iter().filter(|hash| !hash.is_empty() && *hash != current_hash) {
            // What was closed stands; only what is asked of it anew cannot be told.
            let stands =
                "windows that closed with it keep their figures, and nothing new of them has a value";
            let Some(stored) = view.catalog_version(hash).await? else {
                tracing::warn!("catalog version {hash} is no longer there: {stands}");
                continue;
            };
            match catalog::read(&stored.body, "an older catalog") {
                Ok(catalog) => drop(older.insert(hash.to_owned(), catalog)),
                Err(error) => {
                    tracing::warn!("catalog version {hash} can no longer be read: {error}; {stands}");
                }
            }
        }
        Ok(Self { current, current_hash: current_hash.to_owned(), older })
    }

    /// The version that a window closed with, where its meters count otherwise than the current ones.
    pub fn other_meters(&self, window: &WindowFigures) -> Option<&str> {
        let (hash, older) = self.older.get_key_value(&window.catalog_hash)?;
        (older.meters != self.current.meters).then_some(hash)
    }

    /// The meters of such a version; of none, the current ones.
    pub fn meters(&self, version: Option<&str>) -> &BTreeMap<String, Meter> {
        let older = version.and_then(|hash| self.older.get(hash));
        &older.unwrap_or(self.current).meters
    }

    /// `None`: the version that the window closed with cannot be read. What has none is rated by the current one.
    pub fn of(&self, window: &WindowFigures) -> Option<&Catalog> {
        self.version(&window.catalog_hash)
    }

    /// The same of any window that closed with it.
    pub fn version(&self, hash: &str) -> Option<&Catalog> {
        let is_current = hash.is_empty() || *hash == self.current_hash;
        if is_current { Some(self.current) } else { self.older.get(hash) }
    }
}

/// The versions that windows were closed with.
pub fn hashes(windows: &[WindowFigures]) -> impl Iterator<Item = &str> {
    windows.iter().map(|window| window.catalog_hash.as_str())
}
