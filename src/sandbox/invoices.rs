//! Invoices: which there are, when each leaves draft, and the requests that list and show them.
//!
//! In: subscriptions and the present. Out: one invoice at the start, one at each window's end, one at a cancellation or a
//! pause; an unpaid subscription's stay drafts, and a paused or incomplete one has none. None is stored: an invoice is what
//! the facts that had come in one hour after its window say, so it can never change later.

use serde_json::Value;

use super::error::ApiError;
use super::ids;
use super::invoice_object;
use super::lists::{self, Instants};
use super::preview;
use super::records::{Status, Subscription, Window};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::status_on;
use super::windows::Ended;
use super::world::World;

/// Nobody finalizes invoices by hand here.
const NEVER: i64 = i64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first one, of the subscription's start.
    Create,
    /// At a window's end.
    Cycle,
    /// At the subscription's end.
    Last,
}

impl Kind {
    const LETTERS: [(Self, char); 3] = [(Self::Create, 'a'), (Self::Cycle, 'c'), (Self::Last, 'z')];

    fn letter(self) -> char {
        Self::LETTERS.iter().find(|(kind, _)| *kind == self).map_or('c', |(_, letter)| *letter)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Invoice<'a> {
    pub subscription: &'a Subscription,
    pub kind: Kind,
    pub window: Window,
    pub created: i64,
    /// From then on nothing changes it.
    pub finalizes_at: i64,
}

impl Invoice<'_> {
    pub fn id(&self) -> String {
        format!("in_{}{}{:x}", ids::tag(&self.subscription.id), self.kind.letter(), self.created)
    }

    pub fn is_draft(&self, now: i64) -> bool {
        now < self.finalizes_at
    }

    /// The subscription is unpaid: Stripe leaves it to a person to finalize what it makes.
    pub fn stays_draft(&self) -> bool {
        self.finalizes_at == NEVER
    }
}

/// All invoices of a subscription, oldest first.
pub fn of_subscription<'a>(world: &World, one: &'a Subscription) -> Vec<Invoice<'a>> {
    let (now, draft) = (world.now, i64::from(world.manners.drafts.seconds));
    if one.start > now {
        return Vec::new();
    }
    let first_window = one.live_window_at(one.start).window;
    let created = one.start.max(one.invoiced_from);
    let mut invoices = vec![Invoice {
        subscription: one,
        kind: Kind::Create,
        window: first_window,
        created,
        finalizes_at: created,
    }];
    let ended = one.ended_windows(now).into_iter().filter(|ended| ended.window.end > one.invoiced_from);
    let renewals = ended.filter_map(|ended| renewal(one, ended, draft));
    invoices.extend(renewals.chain(pauses(one, now, draft)));
    invoices.sort_by_key(|invoice| invoice.created);
    invoices
}

/// What a window's end brings, by the status that the subscription had then.
fn renewal(one: &Subscription, ended: Ended, draft: i64) -> Option<Invoice<'_>> {
    let created = ended.window.end;
    if ended.is_last && one.ends_unbilled {
        return None;
    }
    let finalizes_at = match status_on(one, created) {
        Status::Paused | Status::Incomplete | Status::IncompleteExpired => return None,
        Status::Unpaid => NEVER,
        Status::Active | Status::Trialing | Status::PastDue | Status::Canceled => created + draft,
    };
    let kind = if ended.is_last { Kind::Last } else { Kind::Cycle };
    Some(Invoice { subscription: one, kind, window: ended.window, created, finalizes_at })
}

/// A pause inside of a window bills what was used until then. One that follows a trial has nothing to bill.
fn pauses(one: &Subscription, now: i64, draft: i64) -> impl Iterator<Item = Invoice<'_>> {
    let paused = one.past_statuses.iter().filter_map(move |past| {
        let (created, window) = (past.until, one.live_window_at(past.until).window);
        let is_pause = status_on(one, created) == Status::Paused && past.status != Status::Paused;
        let is_inside = window.start < created && created <= now && !one.is_trial(window);
        (is_pause && is_inside).then_some((created, window))
    });
    paused.map(move |(created, window)| Invoice {
        subscription: one,
        kind: Kind::Last,
        window: Window { end: created, ..window },
        created,
        finalizes_at: created + draft,
    })
}

/// Whose invoice it is, if there is one of that id.
pub fn subscription_of<'a>(world: &'a World, id: &str) -> Option<&'a Subscription> {
    // The tag is hexadecimal, so it has a fixed length and no other letter.
    world.subscription_by_tag(id.strip_prefix("in_")?.get(..16)?)
}

pub fn by_id<'a>(world: &'a World, id: &str) -> Option<Invoice<'a>> {
    let subscription = subscription_of(world, id)?;
    of_subscription(world, subscription).into_iter().find(|invoice| invoice.id() == id)
}

const FILTERS: [&str; 6] = ["customer", "subscription", "status", "created", "collection_method", "due_date"];

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&FILTERS[..], &lists::PAGE].concat())?;
    let (customer, subscription) = (params.text("customer")?, params.text("subscription")?);
    let created = Instants::of(params, "created")?;
    let status = params.choice("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    let method = params.text("collection_method")?;
    let subscriptions: Vec<&Subscription> = match (subscription, customer) {
        (Some(id), _) => {
            let one = world.subscriptions.get(id);
            vec![one.ok_or_else(|| ApiError::missing("subscription", id, "subscription"))?]
        }
        (None, Some(id)) => world.subscriptions_of(id).collect(),
        (None, None) => world.subscriptions.newest_first().collect(),
    };
    let wanted = |one: &Invoice<'_>| {
        created.hold(one.created)
            && status.is_none_or(|status| status == if one.is_draft(world.now) { "draft" } else { "paid" })
    };
    let mut invoices: Vec<Invoice<'_>> = subscriptions
        .into_iter()
        .filter(|one| customer.is_none_or(|customer| one.customer == customer))
        .filter(|one| method.is_none_or(|method| one.collection_method == method))
        .flat_map(|one| of_subscription(world, one).into_iter().rev())
        .filter(wanted)
        .collect();
    invoices.sort_by_key(|one| std::cmp::Reverse(one.created));
    let render = |one: &Invoice<'_>| invoice_object::invoice(world, one);
    let page = lists::page(world, params, "/v1/invoices", "invoice", &invoices, Invoice::id, render)?;
    Ok(Reply::new(page))
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    invoice_object::by_id(world, id).map(Reply::new).ok_or_else(|| ApiError::not_found("invoice", id))
}

/// All lines of an invoice, or of a preview as it would be now.
pub fn lines(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&lists::PAGE)?;
    if world.manners.lists.previews_unpaged && preview::subscription_of(world, id).is_some() {
        return Err(ApiError::not_found("invoice", id));
    }
    let lines = invoice_object::all_lines(world, id).ok_or_else(|| ApiError::not_found("invoice", id))?;
    let url = format!("/v1/invoices/{id}/lines");
    let id_of = |line: &Value| line["id"].as_str().unwrap_or_default().to_owned();
    Ok(Reply::new(lists::page(world, params, &url, "line item", &lines, id_of, Value::clone)?))
}
