//! How far a window mean of residuals may lie from what is expected, the longer ahead the farther.

/// Lags at which the history is compared with itself.
const LAGS: usize = 12;
/// The longest of them, as a share of the history: beyond it too few pairs are left.
const LONGEST: f64 = 0.66;

/// Variance of a window mean at a lead: `noise + walk x lead`, the local level model of Harvey (1989).
///
/// In variances of the residuals; the unit of the lead is the length of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Of a mean about a level that stands still.
    pub noise: f64,
    /// By which the level wanders over one length of the history.
    pub walk: f64,
}

impl Spread {
    /// Fits both to the variogram of window means (the mean square of their change over a lag) by least
    /// squares of relative errors, neither being negative. A level that does not `wander` has the
    /// variance of its means alone.
    #[must_use]
    pub fn fit(means: &[f64], wanders: bool, window: usize) -> Self {
        // Means of independent residuals vary at least as much.
        let least = 1.0 / window as f64;
        if !wanders {
            let squares = means.iter().filter(|mean| mean.is_finite()).map(|mean| mean * mean);
            let count = means.iter().filter(|mean| mean.is_finite()).count().max(1);
            return Self { noise: (squares.sum::<f64>() / count as f64).max(1e-9), walk: 0.0 };
        }
        let steps = (means.len() + window - 1) as f64;
        let longest = means.len().saturating_sub(1) as f64 * LONGEST;
        let mut lags: Vec<usize> = (0..LAGS)
            .map(|place| {
                let share = place as f64 / (LAGS - 1) as f64;
                (window as f64 + (longest - window as f64) * share) as usize
            })
            .collect();
        lags.dedup();
        let points: Vec<(f64, f64)> = lags
            .iter()
            .filter_map(|lag| Some((*lag as f64 / steps, variogram(means, *lag)?)))
            .filter(|(_, height)| *height > 0.0)
            .collect();
        let Self { noise, walk } = line(&points);
        Self { noise: noise.max(least), walk }
    }

    /// The variance at a lead.
    #[must_use]
    pub fn at(&self, lead: f64) -> f64 {
        self.noise + self.walk * lead
    }
}

/// Mean square of the change over `lag` steps.
fn variogram(means: &[f64], lag: usize) -> Option<f64> {
    let changes = means.get(lag..)?.iter().zip(means).map(|(late, early)| late - early);
    let (mut sum, mut count) = (0.0, 0_usize);
    for change in changes.filter(|change| change.is_finite()) {
        (sum, count) = (sum + change * change, count + 1);
    }
    (count > 0).then(|| sum / count as f64)
}

/// The line through points (lag, height) with the least relative errors and nothing negative.
fn line(points: &[(f64, f64)]) -> Spread {
    // Rows (1, lag) / height against 1.
    let (mut aa, mut ab, mut bb, mut a, mut b) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (lag, height) in points {
        let (x, y) = (1.0 / height, lag / height);
        (aa, ab, bb) = (aa + x * x, ab + x * y, bb + y * y);
        (a, b) = (a + x, b + y);
    }
    let error = |noise: f64, walk: f64| {
        noise * (noise * aa + 2.0 * walk * ab - 2.0 * a) + walk * (walk * bb - 2.0 * b) + points.len() as f64
    };
    let determinant = aa * bb - ab * ab;
    let both = ((a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant);
    let candidates = [both, (a / aa, 0.0), (0.0, b / bb)];
    let allowed = candidates
        .iter()
        .filter(|(noise, walk)| noise.is_finite() && walk.is_finite() && *noise >= 0.0 && *walk >= 0.0);
    let best = allowed.min_by(|one, other| error(one.0, one.1).total_cmp(&error(other.0, other.1)));
    best.map_or(Spread::default(), |(noise, walk)| Spread { noise: *noise, walk: *walk })
}
