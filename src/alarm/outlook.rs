//! What a served forecast says about a limit. Pure.
//!
//! Of each step only quantiles are kept, so the probability of a breach within a lead time is taken
//! from below: it is at least that of the worst single step. Between quantiles the distribution is
//! taken as linear; beyond the outermost ones nothing is known but that it lies there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// The quantiles of one output over the steps of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    timestamps: Vec<DateTime<Utc>>,
    /// Level and values by step, levels ascending.
    levels: Vec<(f64, Vec<f64>)>,
}

/// How probable a breach is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Of the worst step.
    pub probability: f64,
    /// The first step that is at least as probable as was asked for.
    pub first_at: Option<DateTime<Utc>>,
}

impl Outlook {
    /// From the bands of a prediction, whose keys are levels. `None` where there is nothing to look at.
    #[must_use]
    pub fn new(timestamps: Vec<DateTime<Utc>>, bands: BTreeMap<String, Vec<f64>>) -> Option<Self> {
        let level = |(key, values): (String, Vec<f64>)| Some((key.parse::<f64>().ok()?, values));
        let mut levels: Vec<(f64, Vec<f64>)> = bands.into_iter().filter_map(level).collect();
        levels.sort_by(|one, other| one.0.total_cmp(&other.0));
        let whole = levels.len() > 1 && levels.iter().all(|(_, values)| values.len() == timestamps.len());
        (whole && !timestamps.is_empty()).then_some(Self { timestamps, levels })
    }

    /// How probable it is that the output lies beyond a limit, above or below it, at a step no later
    /// than `until`.
    #[must_use]
    pub fn chance(&self, limit: f64, above: bool, until: DateTime<Utc>, asked: f64) -> Chance {
        let mut chance = Chance { probability: 0.0, first_at: None };
        for (step, at) in self.timestamps.iter().enumerate().take_while(|(_, at)| **at <= until) {
            let below = self.share_below(step, limit);
            let beyond = if above { 1.0 - below } else { below };
            chance.probability = chance.probability.max(beyond);
            if beyond >= asked && chance.first_at.is_none() {
                chance.first_at = Some(*at);
            }
        }
        chance
    }

    /// Probability that the output lies below a value at a step.
    fn share_below(&self, step: usize, value: f64) -> f64 {
        let known = |place: usize| (self.levels[place].0, self.levels[place].1[step]);
        let above = self.levels.partition_point(|(_, values)| values[step] < value);
        match above {
            0 => self.levels[0].0,
            last if last == self.levels.len() => self.levels[last - 1].0,
            _ => {
                let ((low, from), (high, to)) = (known(above - 1), known(above));
                low + (high - low) * (value - from) / (to - from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).expect("an instant")
    }

    /// Uniform between 0 and 1 at the first step, between 1 and 2 at the second.
    fn outlook() -> Outlook {
        let row = |level: f64| (level.to_string(), vec![level, 1.0 + level]);
        let bands = [0.025, 0.1, 0.5, 0.9, 0.975].map(row).into_iter().collect();
        Outlook::new(vec![at(1), at(2)], bands).expect("whole")
    }

    #[test]
    fn the_worst_step_within_the_lead_time_counts() {
        let near = |given: f64, expected: f64| assert!((given - expected).abs() < 1e-12, "{given} for {expected}");
        let outlook = outlook();
        near(outlook.chance(0.7, true, at(1), 0.2).probability, 0.3);
        near(outlook.chance(0.7, true, at(2), 0.2).probability, 0.975);
        near(outlook.chance(0.7, false, at(2), 0.2).probability, 0.7);
        near(outlook.chance(1.3, true, at(2), 0.2).probability, 0.7);
        near(outlook.chance(9.0, true, at(2), 0.2).probability, 0.025);
        near(outlook.chance(0.7, true, at(0), 0.2).probability, 0.0);
        assert_eq!(outlook.chance(0.7, true, at(2), 0.2).first_at, Some(at(1)));
        assert_eq!(outlook.chance(0.7, true, at(2), 0.5).first_at, Some(at(2)));
        assert_eq!(outlook.chance(9.0, true, at(2), 0.5).first_at, None);
    }

    #[test]
    fn a_limit_further_out_is_never_more_probable() {
        let outlook = outlook();
        let chances: Vec<f64> =
            (0..300).map(|n| outlook.chance(f64::from(n) * 0.01, true, at(2), 0.5).probability).collect();
        assert!(chances.is_sorted_by(|one, other| one >= other), "{chances:?}");
    }

    #[test]
    fn a_certain_future_is_certain() {
        let flat = [("0.1", 5.0), ("0.5", 5.0), ("0.9", 5.0)];
        let flat = flat.map(|(key, value)| (key.to_owned(), vec![value])).into_iter().collect();
        let outlook = Outlook::new(vec![at(1)], flat).expect("whole");
        assert!((outlook.chance(4.9, true, at(1), 0.5).probability - 0.9).abs() < 1e-12);
        assert!((outlook.chance(5.1, true, at(1), 0.5).probability - 0.1).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_whole_is_not_looked_at() {
        let one = [("0.5".to_owned(), vec![1.0])].into_iter().collect();
        assert_eq!(Outlook::new(vec![at(1)], one), None);
        let short = [("0.1".to_owned(), vec![1.0]), ("0.9".to_owned(), vec![1.0, 2.0])].into_iter().collect();
        assert_eq!(Outlook::new(vec![at(1), at(2)], short), None);
    }
}
