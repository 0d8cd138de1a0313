//! From overrides to the futures that they make, conditions included.
//!
//! A condition looks at what its own scenario simulates, which in turn follows from where the
//! condition is true. Causality unties this: an answer at a step depends on nothing later, and a
//! condition looks one step back, so where the futures are right up to a step, the conditions are
//! right up to the step after it. All futures are answered, the conditions looked at again, and so on
//! until nothing changes: every pass settles at least one more change.

use super::ask::WhatIf;
use super::plan::{self, Clamped, Limits, Wrong};
use super::support::Judge;
use super::support::policy::{OutOfSupport, bring_inside};
use super::when::{self, InForce, Masks};
use crate::forecast::{ForecastError, Forecasts, Future, Said, Situation};

/// Passes until conditions have to be settled.
const MAX_PASSES: usize = 64;

/// Futures that follow from overrides, and their answers.
#[derive(Debug)]
pub(super) struct Settled {
    /// The baseline, then one for each scenario.
    pub(super) futures: Vec<Future>,
    /// In the order of the futures.
    pub(super) said: Said,
    /// For each scenario.
    pub(super) planned: Vec<Planned>,
}

/// What became of a scenario's overrides.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) clamped: Vec<Clamped>,
    pub(super) in_force: Vec<InForce>,
}

/// Plans and answers all scenarios of a request over a baseline.
pub(super) async fn settle(
    forecasts: &Forecasts,
    situation: &Situation,
    baseline: &Future,
    ask: &WhatIf,
    judge: Option<&Judge>,
) -> Result<Settled, ForecastError> {
    let judge = judge.filter(|_| ask.out_of_support == OutOfSupport::Clamp);
    let conditional = ask.scenarios.iter().flat_map(|scenario| &scenario.overrides).any(|change| change.when.is_some());
    let mut masks: Vec<Masks> =
        ask.scenarios.iter().map(|scenario| when::none_in_force(&scenario.overrides, situation.horizon)).collect();
    // What a condition does is judged once it is settled: until then values are brought within limits.
    let limits = if conditional { Limits::Clamp } else { ask.limits };
    let mut last = None;
    for _ in 0..MAX_PASSES {
        let (futures, clamped) = plan_all(situation, baseline, ask, &masks, limits, judge)?;
        let said = answer_in_order(forecasts, situation, &futures).await?;
        let found: Vec<Masks> = ask
            .scenarios
            .iter()
            .zip(futures[1..].iter().zip(&said.answers[1..]))
            .map(|(scenario, (future, answers))| when::masks(situation, &scenario.overrides, future, answers))
            .collect();
        if found == masks {
            if conditional && ask.limits == Limits::Refuse {
                plan_all(situation, baseline, ask, &masks, Limits::Refuse, judge)?;
            }
            let in_force = masks.iter().map(|masks| when::in_force(masks));
            let planned = clamped.into_iter().zip(in_force).map(|(clamped, in_force)| Planned { clamped, in_force });
            return Ok(Settled { futures, said, planned: planned.collect() });
        }
        last = unsettled(&masks, &found);
        masks = found;
    }
    Err(ForecastError::Invalid(last.into_iter().collect()))
}

/// Where conditions are not settled, in words.
fn unsettled(masks: &[Masks], found: &[Masks]) -> Option<Wrong> {
    let differences = masks.iter().zip(found).enumerate();
    let (scenario, (index, step)) = differences
        .filter_map(|(scenario, (one, other))| Some((scenario, when::first_difference(one, other)?)))
        .min_by_key(|(_, (_, step))| *step)?;
    let detail = format!(
        "the condition switches so often that it had not settled after {MAX_PASSES} passes, at step {step}; latch it, \
         or leave room between the values at which overrides begin and end"
    );
    Some((format!("/scenarios/{scenario}/overrides/{index}/when"), detail))
}

/// The baseline, then the future of each scenario; and what was clamped in each.
fn plan_all(
    situation: &Situation,
    baseline: &Future,
    ask: &WhatIf,
    masks: &[Masks],
    limits: Limits,
    judge: Option<&Judge>,
) -> Result<(Vec<Future>, Vec<Vec<Clamped>>), ForecastError> {
    let (mut futures, mut clamps, mut wrong) = (vec![baseline.clone()], Vec::new(), Vec::new());
    for (index, (scenario, masks)) in ask.scenarios.iter().zip(masks).enumerate() {
        let pointer = format!("/scenarios/{index}");
        match plan::apply_where(situation, baseline, &scenario.overrides, masks, limits, &pointer) {
            Ok((mut future, mut clamped)) => {
                if let Some(judge) = judge {
                    clamped.extend(bring_inside(judge, baseline, &mut future, situation.horizon));
                }
                futures.push(future);
                clamps.push(clamped);
            }
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() { Ok((futures, clamps)) } else { Err(ForecastError::Invalid(wrong)) }
}

/// Answers futures in an order that does not depend on how they were given: arithmetic in another
/// row of a batch may differ in its last bit, and the order of scenarios must not matter.
pub(super) async fn answer_in_order(
    forecasts: &Forecasts,
    situation: &Situation,
    futures: &[Future],
) -> Result<Said, ForecastError> {
    let values = |future: &Future| future.rows.iter().flatten().map(|value| value.to_bits()).collect::<Vec<u64>>();
    let keys: Vec<Vec<u64>> = futures.iter().map(values).collect();
    let mut order: Vec<usize> = (0..futures.len()).collect();
    // The baseline stays first: what begins as it does is answered as it is.
    order[1..].sort_by(|a, b| keys[*a].cmp(&keys[*b]));
    let sorted: Vec<Future> = order.iter().map(|place| futures[*place].clone()).collect();
    let mut said = forecasts.answer(situation, &sorted).await?;
    let mut answers = vec![Vec::new(); futures.len()];
    for (place, answer) in order.into_iter().zip(said.answers) {
        answers[place] = answer;
    }
    said.answers = answers;
    Ok(said)
}
