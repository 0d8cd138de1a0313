//! Coverage by lead time: a band may be honest on the whole and dishonest at every step.

use serde::{Deserialize, Serialize};

/// Steps of the horizon that are counted together, as bands are calibrated.
pub const STEPS: usize = 16;

/// How often bands held what was measured, over some steps of the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeadCoverage {
    /// First step ahead, from 1.
    pub from_step: usize,
    /// Last step ahead.
    pub to_step: usize,
    /// Truths that were compared.
    pub truths: u64,
    /// Share of them inside the central 80 % interval, 0..1.
    pub coverage_80: f64,
    /// Share of them inside the central 95 % interval, 0..1; null where it was not followed.
    #[serde(default)]
    pub coverage_95: Option<f64>,
}

/// Counts by lead time.
#[derive(Clone, Debug, Default)]
pub(super) struct Leads(Vec<Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    truths: u64,
    inside: u64,
    inside_95: u64,
}

impl LeadCoverage {
    /// Of block `place` of [`STEPS`] steps, `held` of `truths` by the 80 % band; `None` without truths.
    #[must_use]
    pub fn of(place: usize, truths: u64, held: u64, held_95: Option<u64>) -> Option<Self> {
        let share = |held: u64| held as f64 / truths as f64;
        (truths > 0).then(|| Self {
            from_step: place * STEPS + 1,
            to_step: (place + 1) * STEPS,
            truths,
            coverage_80: share(held),
            coverage_95: held_95.map(share),
        })
    }
}

impl Leads {
    /// Counts a truth at a step, the first being 0.
    pub(super) fn count(&mut self, step: usize, inside: bool, inside_95: bool) {
        let place = step / STEPS;
        if self.0.len() <= place {
            self.0.resize(place + 1, Counts::default());
        }
        let counts = &mut self.0[place];
        counts.truths += 1;
        counts.inside += u64::from(inside);
        counts.inside_95 += u64::from(inside_95);
    }

    /// What was counted, ascending.
    pub(super) fn coverage(&self) -> Vec<LeadCoverage> {
        let one = |(place, counts): (usize, &Counts)| {
            LeadCoverage::of(place, counts.truths, counts.inside, Some(counts.inside_95))
        };
        self.0.iter().enumerate().filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truths_are_counted_where_they_lie() {
        let mut leads = Leads::default();
        for step in [0, 15, 16, 40] {
            leads.count(step, step != 15, true);
        }
        let found = leads.coverage();
        let essence: Vec<_> = found.iter().map(|lead| (lead.from_step, lead.to_step, lead.truths)).collect();
        assert_eq!(essence, [(1, 16, 2), (17, 32, 1), (33, 48, 1)]);
        assert_eq!((found[0].coverage_80, found[0].coverage_95), (0.5, Some(1.0)));
        assert_eq!(LeadCoverage::of(0, 0, 0, None), None);
    }
}
