//! The risk that an asset breaks a limit, computed with its own forecast and written beside its twin.
//!
//! Limits are those of alarm rules on outputs and those of the type: a rule that warns early says nothing
//! about whether the limit behind it is reached. Judged on the joint sample paths of the forecast, with the same luck each time, so
//! that a risk changes because the forecast does. What lies far beyond all quantiles is not drawn for.

mod store;

use chrono::{DateTime, Utc};

use self::store::RuleLimit;
use super::breach::{Breach, first_break};
use super::{ForecastError, Forecasts, Sampling, Situation, tidy};
use crate::asset::{Kind, Signal};
use crate::ids::{AssetId, PredictionId};
use crate::model::{LEVELS, NORMAL, Quantiles};
use crate::twin::LimitRisk;
use crate::twin::judged::{self, Assessed};

/// Sample paths that a risk is a share of.
const SAMPLES: usize = 400;
/// A limit beyond this normal score of every step is taken as kept: of a thousand paths of a hundred
/// steps hardly three would reach it.
const FAR: f64 = 4.5;

/// One limit of an output.
#[derive(Clone, Debug, PartialEq)]
struct Limit {
    /// Place among the situation's targets.
    target: usize,
    value: f64,
    above: bool,
    /// The rule that has it; none where it is the type's own, which counts as broken when it is reached.
    rule: Option<String>,
}

impl Limit {
    fn broken(&self, value: f64) -> bool {
        match (self.above, self.rule.is_some()) {
            (true, true) => value > self.value,
            (false, true) => value < self.value,
            // Forecasts are cut off there: it cannot be passed.
            (true, false) => value >= self.value,
            (false, false) => value <= self.value,
        }
    }

    /// Whether an answer comes near it at all.
    fn is_near(&self, answer: &Quantiles, steps: usize) -> bool {
        let last = LEVELS.len() - 1;
        let beyond = |row: &[f64; LEVELS.len()], outer: usize, inner: usize| {
            let slope = (row[outer] - row[inner]) / (NORMAL[outer] - NORMAL[inner]);
            row[outer] + slope * (FAR.copysign(NORMAL[outer]) - NORMAL[outer])
        };
        answer
            .iter()
            .take(steps)
            .any(|row| self.broken(if self.above { beyond(row, last, last - 1) } else { beyond(row, 0, 1) }))
    }
}

impl Forecasts {
    /// Computes and keeps the risk of an asset, from its own newest forecast.
    pub(super) async fn note_risk(
        &self,
        situation: Situation,
        answers: Vec<Quantiles>,
        prediction: PredictionId,
    ) -> Result<(), ForecastError> {
        let asset = situation.asset.id;
        match self.risk(situation, answers, prediction).await? {
            Some(assessed) => Ok(judged::store::set_risk(&self.db, asset, &assessed, self.clock.now()).await?),
            None => Ok(judged::store::forget_risk(&self.db, asset).await?),
        }
    }

    /// Computes the risk of a forecast; `None` where the outputs have no limits.
    pub(super) async fn risk(
        &self,
        situation: Situation,
        answers: Vec<Quantiles>,
        prediction: PredictionId,
    ) -> Result<Option<Assessed>, ForecastError> {
        let limits = self.limits(situation.asset.id, &situation).await?;
        if limits.is_empty() {
            return Ok(None);
        }
        let assessed = tokio::task::spawn_blocking(move || assess(&situation, &answers, &limits, prediction));
        Ok(Some(assessed.await.map_err(|_| ForecastError::Ending)?))
    }

    async fn limits(&self, asset: AssetId, situation: &Situation) -> Result<Vec<Limit>, ForecastError> {
        let rules = store::limits(&self.db, asset).await?;
        let mut limits: Vec<Limit> = Vec::new();
        for (target, index) in situation.layout.targets.iter().enumerate() {
            let signal = situation.signal(*index);
            for RuleLimit { name, above, value, .. } in rules.iter().filter(|rule| rule.signal == signal.name) {
                let same = |limit: &Limit| (limit.target, limit.above, limit.value) == (target, *above, *value);
                if !limits.iter().any(same) {
                    limits.push(Limit { target, value: *value, above: *above, rule: Some(name.clone()) });
                }
            }
            let newest = situation.grid.values[*index].last().copied().unwrap_or(f64::NAN);
            limits.extend(own(signal, target, newest));
        }
        Ok(limits)
    }
}

/// The limits of a signal's type. One that it stands at already is where it rests: an empty tank, a pump
/// that is off.
fn own(signal: &Signal, target: usize, newest: f64) -> Vec<Limit> {
    if signal.kind != Kind::Number {
        return Vec::new();
    }
    let limit = |value: f64, above: bool| Limit { target, value, above, rule: None };
    let both = [signal.min.map(|min| limit(min, false)), signal.max.map(|max| limit(max, true))];
    both.into_iter().flatten().filter(|limit| !limit.broken(newest)).collect()
}

fn assess(situation: &Situation, answers: &[Quantiles], limits: &[Limit], prediction: PredictionId) -> Assessed {
    let (steps, step_s) = (situation.horizon, situation.grid.step_s);
    let near: Vec<bool> = limits.iter().map(|limit| limit.is_near(&answers[limit.target], steps)).collect();
    let mut any = vec![false; SAMPLES];
    let mut found = vec![Breach::of(std::iter::empty(), steps, step_s); limits.len()];
    if near.contains(&true) {
        let lots = Sampling::usual(SAMPLES).lots(situation);
        for (target, answer) in answers.iter().enumerate() {
            let mine: Vec<usize> =
                (0..limits.len()).filter(|place| limits[*place].target == target && near[*place]).collect();
            if mine.is_empty() {
                continue;
            }
            let paths = lots.of_target(situation, target, answer);
            for place in mine {
                let first: Vec<Option<usize>> =
                    paths.iter().map(|path| first_break(&path[..steps], |value| limits[place].broken(value))).collect();
                for (any, first) in any.iter_mut().zip(&first) {
                    *any |= first.is_some();
                }
                found[place] = Breach::of(first.into_iter(), steps, step_s);
            }
        }
    }
    let mut limits: Vec<LimitRisk> = limits
        .iter()
        .zip(&found)
        .map(|(limit, breach)| {
            let time = breach.time_to_limit();
            LimitRisk {
                signal: situation.signal(situation.layout.targets[limit.target]).name.clone(),
                min: (!limit.above).then_some(limit.value),
                max: limit.above.then_some(limit.value),
                rule: limit.rule.clone(),
                probability: breach.probability(),
                p10_s: time.p10.map(tidy),
                p50_s: time.p50.map(tidy),
                p90_s: time.p90.map(tidy),
                median_s: breach.median_s().map(tidy),
            }
        })
        .collect();
    limits.sort_by(|one, other| other.probability.total_cmp(&one.probability));
    let until: DateTime<Utc> = situation.timestamps().last().copied().unwrap_or(situation.grid.end);
    Assessed {
        prediction,
        state_at: situation.grid.end,
        until,
        probability: any.iter().filter(|any| **any).count() as f64 / SAMPLES as f64,
        limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;

    fn limit(value: f64, above: bool, rule: Option<&str>) -> Limit {
        Limit { target: 0, value, above, rule: rule.map(str::to_owned) }
    }

    #[test]
    fn a_rule_is_broken_beyond_its_limit_and_a_types_own_limit_when_it_is_reached() {
        assert!(!limit(5.0, true, Some("full")).broken(5.0) && limit(5.0, true, Some("full")).broken(5.1));
        assert!(!limit(5.0, false, Some("low")).broken(5.0) && limit(5.0, false, Some("low")).broken(4.9));
        assert!(limit(5.0, true, None).broken(5.0) && !limit(5.0, true, None).broken(4.9));
        assert!(limit(5.0, false, None).broken(5.0) && !limit(5.0, false, None).broken(5.1));
    }

    #[test]
    fn a_limit_that_an_output_rests_at_is_none() {
        let mut signal = asset_type(1.0, &["level"]).document.signals[0].clone();
        (signal.min, signal.max) = (Some(0.0), Some(10.0));
        let sides = |newest| own(&signal, 0, newest).iter().map(|limit| limit.above).collect::<Vec<_>>();
        assert_eq!((sides(0.0), sides(4.0), sides(10.0)), (vec![true], vec![false, true], vec![false]));
        assert_eq!(sides(f64::NAN).len(), 2);
        signal.kind = Kind::Boolean;
        assert!(own(&signal, 0, 0.5).is_empty());
    }

    #[test]
    fn only_a_limit_within_reach_of_the_quantiles_is_drawn_for() {
        // A standard normal distribution at every step.
        let answer: Quantiles = vec![NORMAL; 3];
        for (value, near) in [(0.0, true), (3.0, true), (4.4, true), (4.6, false), (90.0, false)] {
            assert_eq!(limit(value, true, Some("r")).is_near(&answer, 3), near, "{value}");
            assert_eq!(limit(-value, false, Some("r")).is_near(&answer, 3), near, "-{value}");
        }
        assert!(!limit(0.0, true, Some("r")).is_near(&answer, 0), "no step, no breach");
    }
}
