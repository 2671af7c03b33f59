//! Test clocks: the present instant in the client's hand.
//!
//! In: a frozen time. Out: a clock. Unlike at Stripe one clock moves the whole account: making or advancing any of them
//! sets the sandbox's time, and with it every subscription. Time goes back only where nothing has happened yet.

use super::clock::Clock;
use super::error::ApiError;
use super::lists;
use super::objects;
use super::records::{Fact, TestClock};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["frozen_time", "name"])?;
    let frozen_time = params.required_instant("frozen_time")?;
    if frozen_time < world.now && !world.may_go_back() {
        return Err(backwards(world.now));
    }
    let clock = TestClock {
        id: world.new_id("clock", &params.canonical()),
        created: frozen_time,
        frozen_time,
        name: params.owned("name")?,
    };
    let shown = objects::test_clock(&clock);
    world.record(Fact::Clock(clock));
    Ok(Reply::new(shown))
}

pub fn advance(world: &mut World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["frozen_time"])?;
    let frozen_time = params.required_instant("frozen_time")?;
    let clock = world.clocks.get(id).ok_or_else(|| ApiError::not_found("test clock", id))?;
    if frozen_time <= world.now {
        return Err(backwards(world.now));
    }
    let clock = TestClock { frozen_time, ..clock.clone() };
    let shown = objects::test_clock(&clock);
    world.record(Fact::Clock(clock));
    Ok(Reply::new(shown))
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let clock = world.clocks.get(id).ok_or_else(|| ApiError::not_found("test clock", id))?;
    Ok(Reply::new(objects::test_clock(clock)))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&lists::PAGE)?;
    let clocks: Vec<&TestClock> = world.clocks.newest_first().collect();
    let url = "/v1/test_helpers/test_clocks";
    let render = |one: &&TestClock| objects::test_clock(one);
    Ok(Reply::new(lists::page(world, params, url, "test clock", &clocks, |one| one.id.clone(), render)?))
}

/// What a sandbox reads at each request.
pub fn read(world: &mut World, clock: Clock) {
    match clock {
        Clock::Wall if world.is_frozen() => {}
        clock => world.reach(clock.seconds()),
    }
}

fn backwards(now: i64) -> ApiError {
    let message = format!("Invalid frozen_time: the sandbox's time is {now} and goes on only.");
    ApiError::about("frozen_time", message)
}
