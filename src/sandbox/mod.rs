//! The sandbox: a subset of Stripe's billing API on a loopback port. It is the other witness: it prices with its own
//! arithmetic, so that an error of ours cannot hide in both.
//!
//! In: a state (a journal file, or a copy of one in memory), a clock, a seed. Out: an HTTP server that answers as Stripe
//! does. Never listens beyond the machine, never talks to anybody, never holds a random number; embedded in the job it
//! never reads the wall clock. The way of a request: `server → routes → request → its own file → world → objects`.

mod auth;
mod clock;
mod customers;
mod decimal;
mod error;
mod events;
mod expand;
mod ids;
mod invoice_object;
mod invoices;
mod journal;
mod lines;
mod lists;
mod meters;
mod objects;
mod preview;
mod prices;
mod products;
mod records;
mod request;
mod routes;
mod seed;
mod server;
mod subscription_object;
mod subscriptions;
mod summaries;
mod test_clocks;
mod usage;
mod windows;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use error::SandboxError;
use journal::Journal;
use records::Entry;
pub use seed::{
    Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedScheme, SeedSubscription, SeedTier,
};
use server::{App, Shared};
use world::World;

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
}

/// A running sandbox. It stops when it is dropped; [`Sandbox::stop`] also waits until its file is free again.
pub struct Sandbox {
    address: SocketAddr,
    app: Shared,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Serves on a free port of 127.0.0.1.
    pub async fn start(state: State, clock: Clock, seed: &Seed) -> Result<Self, SandboxError> {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), state, clock, seed).await
    }

    pub async fn listen(
        address: SocketAddr,
        state: State,
        clock: Clock,
        seed: &Seed,
    ) -> Result<Self, SandboxError> {
        let app = Arc::new(Mutex::new(open(&state, clock, seed)?));
        let failed = |cause| SandboxError::Listen { address: address.to_string(), cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = server::router(app.clone());
        let task = tokio::spawn(async move {
            // A sender that was dropped means the same as one that was used.
            let end = async { stopped.await.unwrap_or_default() };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
                tracing::error!("the sandbox has stopped: {error}");
            }
        });
        Ok(Self { address, app, stop: Some(stop), task })
    }

    /// `http://127.0.0.1:PORT/`, with the slash that async-stripe wants.
    pub fn base_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens only if the server has ended already.
            let _ended = stop.send(());
        }
        let _slow_client = tokio::time::timeout(PATIENCE, &mut self.task).await;
        self.close();
    }

    /// Gives the file back, whoever still holds a connection.
    fn close(&self) {
        let mut app = self.app.lock().unwrap_or_else(PoisonError::into_inner);
        app.journal = None;
        app.broken = true;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads the history, lets the clock go on, and plants the seed: one write for all that is new.
fn open(state: &State, clock: Clock, seed: &Seed) -> Result<App, SandboxError> {
    let mut world = World::default();
    let take = |entry| world.replay(entry);
    let mut journal = match state {
        State::File(path) => Some(Journal::open(path, take)?),
        State::MemoryFrom(path) => {
            journal::read(path, take)?;
            None
        }
    };
    world.forget_old_answers();
    world.on_wall_clock = matches!(clock, Clock::Wall);
    let before = world.now;
    test_clocks::read(&mut world, clock);
    seed::plant(&mut world, seed)?;
    let at = world.now;
    let mut entries: Vec<Entry> =
        world.take_pending().into_iter().map(|fact| Entry { at, facts: vec![fact], answer: None }).collect();
    // A time that somebody was told must not be earlier after the next start.
    if entries.is_empty() && at > before && matches!(clock, Clock::At(_)) {
        entries.push(Entry { at, facts: Vec::new(), answer: None });
    }
    if let Some(journal) = journal.as_mut().filter(|_| !entries.is_empty()) {
        journal.append(&entries)?;
    }
    Ok(App { world, journal, clock, broken: false, requests: 0 })
}
