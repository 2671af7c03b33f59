//! The pure core, in reading order = the way of the data: number → money → period → tenant → parking → price → rule → catalog (and what a new one changes) →
//! usage → aggregation → rating → quote → figures → late → accrual → controls → intent → bounds → invoice → reconcile → ratio → percentile → metrics → policy → reason → decide → pricing (bill, simulate, even, check, suggest) →
//! limit → history → forecast → text → report → audit → telling → vital.
//!
//! In: values. Out: values. Never a database, network, file, environment variable or clock: `now` is an argument.

pub mod accrual;
pub mod aggregation;
pub mod audit;
pub mod bounds;
pub mod catalog;
pub mod catalog_diff;
pub mod company;
pub mod controls;
pub mod decide;
pub mod facts;
pub mod figures;
pub mod forecast;
pub mod history;
pub mod intent;
pub mod invoice;
pub mod late;
pub mod limit;
pub mod metric;
pub mod metrics;
pub mod money;
pub mod number;
pub mod parking;
pub mod percentile;
pub mod period;
pub mod policy;
pub mod population;
pub mod price;
pub mod pricing;
pub mod proof;
pub mod quote;
pub mod rating;
pub mod ratio;
pub mod reason;
pub mod reconcile;
pub mod report;
pub mod rule;
pub mod telling;
pub mod tenant;
pub mod text;
pub mod trend;
pub mod usage;
pub mod vital;
