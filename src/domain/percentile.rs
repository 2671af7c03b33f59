//! Percentiles by the two definitions that people check by hand.
//!
//! In: quantities in ascending order. Out: the linear percentile (`percentile_cont` in SQL, `PERCENTILE.INC` in
//! sheets, type 7 of Hyndman and Fan) and the nearest rank (`percentile_disc`). Never an answer for nobody: of an
//! empty slice both are `None`.

use crate::domain::number::{ONE, Quantity};
use crate::domain::ratio::Ratio;

/// Between the two neighbours of position `(n - 1) · percent / 100`, counted from 0, in proportion to the rest.
pub fn linear(ascending: &[Quantity], percent: u8) -> Option<Ratio> {
    let last = ascending.len().checked_sub(1)?;
    let position = last.checked_mul(usize::from(percent))?;
    let (below, rest) = (position / 100, position % 100);
    let lower = ascending.get(below)?.scaled();
    let upper = ascending.get(below + usize::from(rest > 0))?.scaled();
    // Both are below 10³⁰, so a hundredfold is far from the end of 128 bits; `rest` is below 100.
    let rest = i128::try_from(rest).ok()?;
    Ratio::new(lower * (100 - rest) + upper * rest, 100 * ONE.unsigned_abs())
}

/// The first value at or below which at least `percent` of all values lie: a tenant that exists.
pub fn nearest_rank(ascending: &[Quantity], percent: u8) -> Option<Quantity> {
    let rank = ascending.len().checked_mul(usize::from(percent))?.div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(units: impl IntoIterator<Item = u64>) -> Vec<Quantity> {
        units.into_iter().map(|unit| Quantity::whole(unit).unwrap()).collect()
    }

    #[test]
    fn the_published_vectors_hold_in_both_definitions() {
        let ten = whole([5, 12, 20, 33, 41, 58, 77, 95, 101, 140]);
        let lone = whole([0, 0, 0, 0, 0, 0, 0, 0, 0, 100]);
        for (values, cont, disc) in [
            (ten, "122.45", "140"),
            (lone, "55", "100"),
            (whole(1..=100), "95.05", "95"),
            (whole([80; 7]), "80", "80"),
            (whole([3]), "3", "3"),
        ] {
            assert_eq!(linear(&values, 95).unwrap().to_string(), cont);
            assert_eq!(nearest_rank(&values, 95).unwrap().to_string(), disc);
        }
    }

    #[test]
    fn the_median_of_an_even_number_of_tenants_lies_between_two() {
        assert_eq!(linear(&whole([1, 2, 4, 9]), 50).unwrap().to_string(), "3");
        assert_eq!(linear(&whole([1, 2, 4]), 50).unwrap().to_string(), "2");
    }

    #[test]
    fn nobody_has_no_percentile() {
        assert_eq!((linear(&[], 95), nearest_rank(&[], 95)), (None, None));
    }

    #[test]
    fn the_ends_are_the_smallest_and_the_largest() {
        let values = whole([2, 3, 7]);
        for (percent, end) in [(0, "2"), (100, "7")] {
            assert_eq!(linear(&values, percent).unwrap().to_string(), end);
            assert_eq!(nearest_rank(&values, percent).unwrap().to_string(), end);
        }
    }

    /// The slow witness: each value repeated a hundred times less one step makes every position a whole one.
    fn stretched(values: &[Quantity], percent: u8) -> Ratio {
        let scaled: Vec<i128> = values.iter().map(|value| value.scaled()).collect();
        let mut line: Vec<Ratio> = vec![Ratio::new(scaled[0], ONE.unsigned_abs()).unwrap()];
        for pair in scaled.windows(2) {
            for step in 1..=100 {
                let hundredths = pair[0] * 100 + (pair[1] - pair[0]) * step;
                line.push(Ratio::new(hundredths, 100 * ONE.unsigned_abs()).unwrap());
            }
        }
        line[(values.len() - 1) * usize::from(percent)]
    }

    proptest! {
        #[test]
        fn the_linear_percentile_is_what_a_slow_exact_witness_finds(
            mut scaled in prop::collection::vec(-5_000_000_000_000i64..5_000_000_000_000_000, 1..60), percent in 0u8..=100,
        ) {
            scaled.sort_unstable();
            let of = |one: &i64| Quantity::from_floor_and_fraction(one.div_euclid(1_000_000_000_000), one.rem_euclid(1_000_000_000_000));
            let values: Vec<Quantity> = scaled.iter().map(|one| of(one).unwrap()).collect();
            prop_assert_eq!(linear(&values, percent).unwrap(), stretched(&values, percent));
        }

        #[test]
        fn the_nearest_rank_is_the_first_value_that_covers_the_share(mut units in prop::collection::vec(0u64..50, 1..60), percent in 1u8..=100) {
            units.sort_unstable();
            let covers = |value: u64| {
                let at_or_below = units.iter().filter(|unit| **unit <= value).count();
                at_or_below * 100 >= units.len() * usize::from(percent)
            };
            let first = *units.iter().find(|unit| covers(**unit)).unwrap();
            prop_assert_eq!(nearest_rank(&whole(units), percent).unwrap(), Quantity::whole(first).unwrap());
        }
    }
}
