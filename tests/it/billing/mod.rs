//! What the job is for, from the outside: months that are pushed, compared, closed, judged and told, against the sandbox.
//!
//! In: the real binary, real databases, the sandbox in the job or in another process, and networks that misbehave. Out:
//! exit codes, files, rows, and what Stripe shows. No test looks into the program.

pub mod server;
pub mod world;

mod ages;
mod causes;
mod edge_minutes;
mod gauges;
mod kill;
mod month;
mod observe;
mod reads;
mod taken_back;
mod tolerances;
mod unread;
mod verdicts;
mod whole_invoice;
