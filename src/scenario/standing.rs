//! Which scenario comes first: by the constraints that it keeps, then by what its KPI is.
//!
//! What a scenario lacks adds up over the assets of a chain, so that a limit that breaks far below counts as much
//! as one at the asset that was asked.

/// How a scenario stands among the others; of several assets the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// Probability that it lacks to keep all constraints.
    pub(super) lacks: f64,
    /// What the KPI costs it: the less the better.
    pub(super) cost: f64,
}

impl Standing {
    /// In two assets together.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self { lacks: self.lacks + other.lacks, cost: self.cost + other.cost }
    }
}

/// The ranks of scenarios, 1 for the best; equal ones share a rank. First come those that keep all
/// constraints, or lack least probability of keeping them; among equals the KPI decides.
pub(super) fn ranks(standings: &[Standing]) -> Vec<usize> {
    let before = |a: &Standing, b: &Standing| a.lacks.total_cmp(&b.lacks).then(a.cost.total_cmp(&b.cost)).is_lt();
    standings.iter().map(|own| 1 + standings.iter().filter(|other| before(other, own)).count()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacked_in_another_asset_counts_as_much() {
        let of = |all: [f64; 3], cost: f64| all.map(|lacks| Standing { lacks, cost });
        let (here, below) = (of([0.0, 0.2, 0.0], 1.0), of([0.4, 0.0, 0.0], 0.0));
        assert_eq!(ranks(&here), [1, 3, 1]);
        let both: Vec<Standing> = here.iter().zip(below).map(|(here, below)| here.and(below)).collect();
        assert_eq!(ranks(&both), [3, 2, 1]);
    }
}
