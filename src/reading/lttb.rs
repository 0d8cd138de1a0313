//! Largest triangle three buckets (Steinarsson 2013): which points of a long line to draw so that it
//! still looks the same.

/// Rows to keep, `wanted` of them, ascending; all rows if there are no more. `x` ascends. A missing
/// value counts as the one before it, so that gaps neither attract nor repel points.
pub(super) fn pick(x: &[f64], y: &[f64], wanted: usize) -> Vec<usize> {
    let rows = x.len();
    if rows <= wanted || wanted < 3 {
        return (0..rows).collect();
    }
    let mut last = y.iter().copied().find(|value| !value.is_nan()).unwrap_or_default();
    let line: Vec<f64> = y
        .iter()
        .map(|&value| {
            if !value.is_nan() {
                last = value;
            }
            last
        })
        .collect();

    // The first and the last point stay; each bucket between gives the point that makes the largest
    // triangle with the point before it and the middle of the bucket after it.
    let width = (rows - 2) as f64 / (wanted - 2) as f64;
    let start = |bucket: usize| 1 + (bucket as f64 * width) as usize;
    let mut picked = Vec::with_capacity(wanted);
    picked.push(0);
    let mut before = 0;
    for bucket in 0..wanted - 2 {
        let after = start(bucket + 1)..start(bucket + 2).min(rows).max(start(bucket + 1) + 1).min(rows);
        let count = after.len().max(1) as f64;
        let middle_x = x[after.clone()].iter().sum::<f64>() / count;
        let middle_y = line[after].iter().sum::<f64>() / count;
        let area = |row: usize| {
            ((x[before] - middle_x) * (line[row] - line[before]) - (x[before] - x[row]) * (middle_y - line[before]))
                .abs()
        };
        let best = (start(bucket)..start(bucket + 1)).max_by(|&a, &b| area(a).total_cmp(&area(b))).unwrap_or(before);
        picked.push(best);
        before = best;
    }
    picked.push(rows - 1);
    picked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_peak_survives() {
        let x: Vec<f64> = (0..10_000).map(f64::from).collect();
        let mut y = vec![1.0; 10_000];
        y[7_321] = 50.0;
        assert!(pick(&x, &y, 100).contains(&7_321));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        assert_eq!(pick(&[0.0, 1.0], &[0.0, 1.0], 3), [0, 1]);
        assert!(pick(&[], &[], 10).is_empty());
    }

    proptest! {
        #[test]
        fn rows_ascend_and_both_ends_stay(
            y in proptest::collection::vec(prop_oneof![9 => -1e6..1e6, 1 => Just(f64::NAN)], 3..500),
            wanted in 3_usize..80,
        ) {
            let x: Vec<f64> = (0..y.len()).map(|i| i as f64).collect();
            let picked = pick(&x, &y, wanted);
            prop_assert_eq!(picked.len(), wanted.min(y.len()));
            prop_assert!(picked.is_sorted_by(|a, b| a < b));
            prop_assert_eq!((picked[0], *picked.last().unwrap()), (0, y.len() - 1));
        }
    }
}
