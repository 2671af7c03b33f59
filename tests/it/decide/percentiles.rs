//! Percentiles against three other witnesses: PostgreSQL, Python's standard library, and the words of a spreadsheet's manual.
//!
//! In: 1,000 samples by seed. Out: p90 and p95 in both definitions, compared as exact fractions.

use std::io::Write;
use std::process::{Command, Stdio};

use billrecon::domain::number::Quantity;
use billrecon::domain::percentile::{linear, nearest_rank};
use billrecon::domain::ratio::Ratio;

use crate::support::postgres;
use crate::support::postgres::TestDatabase;

const SAMPLES: usize = 1_000;
const PERCENTS: [u8; 2] = [90, 95];

/// Values in ten-thousandths, up to 100 of them; many are equal, and some 0.
fn samples() -> Vec<Vec<i64>> {
    let mut dice = fastrand::Rng::with_seed(7);
    let one = |dice: &mut fastrand::Rng| match dice.u8(0..4) {
        0 => 10_000 * dice.i64(0..5),
        1 => dice.i64(0..2_000_000),
        _ => dice.i64(0..10_000_000_000),
    };
    (0..SAMPLES).map(|_| (0..dice.usize(1..=100)).map(|_| one(&mut dice)).collect()).collect()
}

fn quantity(ten_thousandths: i64) -> Quantity {
    Quantity::parse(&format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)).unwrap()
}

/// In millionths: a hundredth of a ten-thousandth is all that a percentile in whole percent can add.
fn millionths(millionths: i128) -> Ratio {
    Ratio::new(millionths, 1_000_000).unwrap()
}

/// Ours of each sample, linear and nearest rank.
fn ours(sample: &[i64], percent: u8) -> (Ratio, Ratio) {
    let mut ascending: Vec<Quantity> = sample.iter().map(|value| quantity(*value)).collect();
    ascending.sort_unstable();
    let rank = nearest_rank(&ascending, percent).unwrap();
    (linear(&ascending, percent).unwrap(), Ratio::from(rank))
}

/// `percentile_cont` computes in binary floats: far below 10⁻⁶ it is off, so it is rounded there, where the exact value ends.
#[test]
fn both_percentiles_are_those_of_postgresql_on_a_thousand_samples() {
    let database = TestDatabase::empty();
    let samples = samples();
    let rows: Vec<String> = samples
        .iter()
        .enumerate()
        .flat_map(|(number, sample)| sample.iter().map(move |value| format!("({number}, {value})")))
        .collect();
    for percent in PERCENTS {
        let statement = format!(
            "SELECT (round((percentile_cont({percent}::float8 / 100) WITHIN GROUP (ORDER BY value / 10000.0))::numeric, 6)
                     * 1000000)::bigint::text,
                    (percentile_disc({percent}::float8 / 100) WITHIN GROUP (ORDER BY value))::text
             FROM (VALUES {}) AS all_samples (sample, value) GROUP BY sample ORDER BY sample",
            rows.join(", ")
        );
        let theirs = postgres::rows(&database.url(), &statement);
        assert_eq!(theirs.len(), SAMPLES);
        for (sample, theirs) in samples.iter().zip(theirs) {
            let cont = millionths(theirs[0].parse().unwrap());
            let disc = millionths(theirs[1].parse::<i128>().unwrap() * 100);
            assert_eq!(ours(sample, percent), (cont, disc), "{percent} of {sample:?}");
        }
    }
}

/// The manual of PERCENTILE.INC: with k from 0 to 1, position k (n - 1) + 1 of the sorted values, between two in proportion.
#[test]
fn the_linear_percentile_is_what_a_spreadsheet_computes() {
    for sample in samples() {
        for percent in PERCENTS {
            let mut sorted = sample.clone();
            sorted.sort_unstable();
            // In hundredths, so that nothing is rounded.
            let position = (sorted.len() - 1) * usize::from(percent) + 100;
            let (whole, part) = (position / 100, position % 100);
            let at = |position: usize| i128::from(sorted[position - 1]);
            let above = if part == 0 { at(whole) } else { at(whole + 1) };
            let value = at(whole) * 100 + (above - at(whole)) * i128::try_from(part).unwrap();
            assert_eq!(ours(&sample, percent).0, millionths(value), "{percent} of {sample:?}");
        }
    }
}

/// `statistics.quantiles(method="inclusive")` on fractions is PERCENTILE.INC without any float.
#[test]
fn the_linear_percentile_is_what_python_computes_in_fractions() {
    let samples: Vec<Vec<i64>> = samples().into_iter().filter(|sample| sample.len() > 1).collect();
    let script = "import json, sys\nfrom fractions import Fraction\nfrom statistics import quantiles\n\
                  for line in sys.stdin:\n    values = [Fraction(v, 10000) for v in json.loads(line)]\n    \
                  cuts = quantiles(values, n=100, method='inclusive')\n    \
                  print(*[str(cuts[p - 1] * 1000000) for p in (90, 95)])\n";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests need python3");
    let mut stdin = python.stdin.take().unwrap();
    let lines: String =
        samples.iter().map(|sample| format!("{}\n", serde_json::to_string(sample).unwrap())).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), samples.len());
    for (sample, line) in samples.iter().zip(text.lines()) {
        for (percent, theirs) in PERCENTS.into_iter().zip(line.split(' ')) {
            assert_eq!(
                ours(sample, percent).0,
                millionths(theirs.parse().unwrap()),
                "{percent} of {sample:?}"
            );
        }
    }
}
