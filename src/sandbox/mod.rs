//! The sandbox: a subset of Stripe's billing API on a loopback port. It is the other witness: it prices with its own
//! arithmetic, so that an error of ours cannot hide in both.
//!
//! In: a state (a journal file, or a copy of one in memory), a clock, a seed. Out: an HTTP server that answers as Stripe
//! does, or the same account without a socket ([`Local`]). Never listens beyond the machine, never talks to anybody, never
//! holds a random number; embedded in the job it never reads the wall clock and has no bad manners. The way of a request:
//! `server → local → account → routes → request → its own file → world → objects`.

mod account;
mod auth;
mod cancellations;
mod clock;
mod customers;
mod decimal;
mod dress;
mod endpoint;
mod error;
mod events;
mod expand;
mod extras;
mod faults;
mod ids;
mod invoice_object;
mod invoices;
mod journal;
mod lines;
mod lists;
mod local;
pub mod manners;
mod meters;
mod objects;
mod preview;
mod prices;
mod products;
mod records;
mod reports;
mod request;
mod routes;
mod seed;
mod server;
mod settling;
mod subscription_lists;
mod subscription_object;
mod subscriptions;
mod summaries;
mod terms;
mod test_clocks;
mod throttle;
mod usage;
mod windows;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use error::SandboxError;
pub use local::Local;
pub use manners::Manners;
pub use seed::{
    Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedScheme, SeedSubscription, SeedTier,
};

/// How long a client that has not finished its request can delay the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this witness charges for a quantity at a price, both as Stripe's API takes them: the quantity and the minor units
/// of each line. `None` where it refuses one of the two.
pub fn price_lines(price: &str, quantity: &str) -> Option<Vec<(String, i64)>> {
    let scheme = prices::scheme(&request::Params::parse(price).ok()?).ok()?;
    let lines = lines::price(&scheme, &decimal::parse(quantity)?);
    Some(lines.iter().map(|line| (decimal::text(&line.quantity), line.amount)).collect())
}

/// Where the account's history is.
#[derive(Clone, Debug)]
pub enum State {
    /// This file, for this sandbox alone.
    File(PathBuf),
    /// What this file says, if it is there; changes stay in memory.
    MemoryFrom(PathBuf),
    /// Nowhere: an account that begins empty and is forgotten.
    Memory,
}

/// A running sandbox. It stops when it is dropped; [`Sandbox::stop`] also waits until its file is free again.
pub struct Sandbox {
    address: SocketAddr,
    local: Local,
    /// What changes here, or is dropped, ends the server.
    end: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Serves on a free port of 127.0.0.1, with good manners.
    pub async fn start(state: State, clock: Clock, seed: &Seed) -> Result<Self, SandboxError> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        Self::listen(address, Local::open(state, clock, seed, Manners::default())?).await
    }

    pub async fn listen(address: SocketAddr, local: Local) -> Result<Self, SandboxError> {
        let failed = |cause| SandboxError::Listen { address: address.to_string(), cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (end, ends) = watch::channel(());
        let task = tokio::spawn(server::serve(listener, local.clone(), ends));
        Ok(Self { address, local, end, task })
    }

    /// `http://127.0.0.1:PORT/`, with the slash that async-stripe wants.
    pub fn base_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub async fn stop(mut self) {
        // Nobody listens only if the server has ended already.
        let _ended = self.end.send(());
        if tokio::time::timeout(PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.local.close();
    }
}
