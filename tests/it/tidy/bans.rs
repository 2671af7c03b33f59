//! What must not stand in `src`: binary floats, unordered maps, clock and environment reads, silent lint waivers; and
//! in `Cargo.lock`: a second TLS stack.
//!
//! In: a file's path and text. Out: one line per banned name. Exceptions are the tables below, each for a named file.
//! `#[cfg(test)]` modules may use floats, unordered maps and clocks; nothing may use the rest. It never sees types, only
//! names: a float that comes out of an inferred call is left to clippy's `float_arithmetic`.

use super::imports::room_of;
use super::mentions::{Kind, Mention, judge};

/// (path, reason) of files that may use binary floats; none of them may price or sum money.
const MAY_USE_FLOATS: &[(&str, &str)] =
    &[("src/render/xlsx/number.rs", "a workbook knows no other numbers; nothing is computed with them")];

/// Rooms whose iteration order can reach a file, a request, an answer or a message.
const ORDERED_ROOMS: &[&str] =
    &["domain", "job", "render", "ingest", "store", "analytics", "stripe", "sandbox", "notify"];
const UNORDERED: &[&str] = &["HashMap", "HashSet"];

const CLOCKS: &[&str] = &["SystemTime", "Timestamp", "Zoned", "Utc", "Local", "Instant"];
/// `now` is read once per wake, here, and is an argument everywhere else.
const MAY_READ_CLOCKS: &[(&str, &[&str])] = &[
    ("src/main.rs", CLOCKS),
    ("src/commands/serve.rs", CLOCKS),
    // The monotonic deadline until which a lease may be trusted.
    ("src/job/lease.rs", &["Instant"]),
    // `billrecon sandbox` keeps its own clock; embedded in the job it is told the time.
    ("src/sandbox/clock.rs", &["Timestamp"]),
    // Only how long a request has to wait; tokio's clock, which tests pause.
    ("src/stripe/lane.rs", &["Instant"]),
    // They show elapsed time, and decide nothing.
    ("src/commands/progress.rs", &["Instant"]),
    ("src/commands/stages.rs", &["Instant"]),
    ("src/commands/watched.rs", &["Instant"]),
];

const MAY_READ_ENVIRONMENT: &[&str] = &["src/config/environment.rs"];

/// rustls over ring is the one stack; a dependency's default feature can bring another unseen.
const OTHER_TLS_STACKS: &[&str] =
    &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys"];

/// No `f32`, `f64` or float literal on the way of money.
pub(super) fn binary_floats(path: &str, source: &str) -> Vec<String> {
    if MAY_USE_FLOATS.iter().any(|(file, _)| *file == path) {
        return Vec::new();
    }
    judge(path, source, |mention| {
        let last = &mention.path[mention.path.len() - 1];
        let is_float = match mention.kind {
            Kind::Float => true,
            Kind::Method => last.ends_with("_f32") || last.ends_with("_f64"),
            _ => mention.path.iter().any(|name| name == "f32" || name == "f64"),
        };
        (is_float && !mention.in_test).then(|| {
            let name = mention.path.join("::");
            format!("`{name}` is a binary float; use Quantity, UnitAmount, MinorAmount or an integer ratio")
        })
    })
}

/// No map whose order changes from run to run where the order could reach a file.
pub(super) fn unordered_maps(path: &str, source: &str) -> Vec<String> {
    if !ORDERED_ROOMS.contains(&room_of(path).as_str()) {
        return Vec::new();
    }
    judge(path, source, |mention| {
        let found = mention.path.iter().find(|name| UNORDERED.contains(&name.as_str()))?;
        (!mention.in_test).then(|| {
            format!("`{found}` iterates in random order; use a BTreeMap, a BTreeSet or a sorted Vec")
        })
    })
}

/// `now` is an argument, also where a clock is called by another name.
pub(super) fn clock_reads(path: &str, source: &str) -> Vec<String> {
    judge(path, source, |mention| {
        let clock = clock_read_by(mention)?;
        let allowed = MAY_READ_CLOCKS.iter().any(|(file, clocks)| *file == path && clocks.contains(&clock));
        (!allowed && !mention.in_test).then(|| {
            format!("`{clock}::now` reads a clock; take `now` as an argument (main and serve read it)")
        })
    })
}

fn clock_read_by(mention: &Mention) -> Option<&str> {
    match mention.path.as_slice() {
        [.., clock, last] if last == "now" && CLOCKS.contains(&clock.as_str()) => Some(clock),
        _ => None,
    }
}

/// One file knows the environment, so one file documents it.
pub(super) fn environment_reads(path: &str, source: &str) -> Vec<String> {
    if MAY_READ_ENVIRONMENT.contains(&path) {
        return Vec::new();
    }
    judge(path, source, |mention| {
        let reads = mention.is_reference()
            && mention.path.windows(2).any(|pair| match (pair[0].as_str(), pair[1].as_str()) {
                ("env", name) => name.starts_with("var") || name == "*",
                pair => pair == ("providers", "Env"),
            });
        reads.then(|| {
            format!(
                "`{}` reads the environment; only src/config/environment.rs does, take the setting",
                mention.path.join("::")
            )
        })
    })
}

/// A waiver says why, and goes when it is no longer needed.
pub(super) fn silent_waivers(path: &str, source: &str) -> Vec<String> {
    judge(path, source, |mention| {
        let waives = mention.kind == Kind::Attribute && mention.path == ["allow"];
        waives.then(|| "`allow` hides a lint for good; use #[expect(.., reason = \"..\")]".to_owned())
    })
}

/// Takes Cargo.lock's text: exactly one TLS stack is linked.
pub(super) fn second_tls_stacks(path: &str, lock: &str) -> Vec<String> {
    let named = |line: &str| {
        let name = line.strip_prefix("name = \"")?.split('"').next()?;
        OTHER_TLS_STACKS.iter().find(|stack| **stack == name).copied()
    };
    let violation = |(index, line)| {
        let stack = named(line)?;
        let what = "is a second TLS stack; find who brings it with `cargo tree -i` and turn that feature off";
        Some(format!("{path}:{}: `{stack}` {what}", index + 1))
    };
    lock.lines().enumerate().filter_map(violation).collect()
}
