//! The support of all futures of one what-if, computed off the runtime's threads.

use std::sync::Arc;

use super::policy::{OutOfSupport, refusals};
use super::{Judge, Support};
use crate::forecast::{ForecastError, Future, Situation};
use crate::model::{MEDIAN, Quantiles};

/// What was seen of an asset; `None` while there is too little history to compare with.
pub async fn judge(situation: &Arc<Situation>) -> Result<Option<Judge>, ForecastError> {
    let situation = Arc::clone(situation);
    tokio::task::spawn_blocking(move || Judge::new(&situation)).await.map_err(|_| ForecastError::Ending)
}

/// The support of each future over `steps`, by the medians of its answers.
pub async fn supports(
    judge: Option<&Judge>,
    futures: &[Future],
    answers: &[Vec<Quantiles>],
    steps: usize,
) -> Result<Vec<Option<Support>>, ForecastError> {
    let Some(judge) = judge.cloned() else { return Ok(vec![None; futures.len()]) };
    let median = |answer: &Quantiles| answer[..steps].iter().map(|row| row[MEDIAN]).collect::<Vec<f64>>();
    let rows: Vec<(Vec<Vec<f64>>, Vec<Vec<f64>>)> = futures
        .iter()
        .zip(answers)
        .map(|(future, answers)| {
            let inputs = future.rows.iter().map(|row| row[..steps].to_vec()).collect();
            (inputs, answers.iter().map(median).collect())
        })
        .collect();
    let judged = tokio::task::spawn_blocking(move || {
        rows.iter()
            .map(|(inputs, outputs)| {
                let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
                let outputs: Vec<&[f64]> = outputs.iter().map(Vec::as_slice).collect();
                Some(judge.judge_rows(&inputs, &outputs))
            })
            .collect()
    });
    judged.await.map_err(|_| ForecastError::Ending)
}

/// Refuses scenarios that leave what was seen, where the request wants that. The first support is
/// that of the baseline.
pub fn check(policy: OutOfSupport, supports: &[Option<Support>]) -> Result<(), ForecastError> {
    if policy != OutOfSupport::Refuse {
        return Ok(());
    }
    let Some((baseline, scenarios)) = supports.split_first() else { return Ok(()) };
    let wrong: Vec<(String, String)> = scenarios
        .iter()
        .enumerate()
        .flat_map(|(index, support)| match (support, baseline) {
            (Some(support), Some(baseline)) => refusals(support, baseline, &format!("/scenarios/{index}")),
            _ => vec![("/out_of_support".into(), "there is too little history to tell what the model has seen".into())],
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(ForecastError::Invalid(wrong)) }
}
