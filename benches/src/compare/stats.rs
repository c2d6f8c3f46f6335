//! Medians and percentiles, of rounds and of single operations. Knows nothing of peers and
//! workloads.

/// The middle of `samples`, or the mean of the two in the middle; `None` if there are none.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The smallest of `samples` that 99 % of them do not exceed; `None` if there are none.
pub fn percentile_99(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * 99).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::{median, percentile_99};

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[7.0]), Some(7.0));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        assert_eq!(median(&[10.0, 11.0, 10_000.0, 9.0, 10.0]), Some(10.0));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(median(&[]), None);
        assert_eq!(percentile_99(&[]), None);
    }

    #[test]
    fn one_in_a_hundred_may_exceed_the_99th_percentile() {
        let numbers: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile_99(&numbers), Some(198.0));
        assert_eq!(percentile_99(&numbers[100..]), Some(99.0));
        assert_eq!(percentile_99(&[900.0, 1.0, 5.0]), Some(900.0));
        assert_eq!(percentile_99(&[7.0]), Some(7.0));
    }
}
