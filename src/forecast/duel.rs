//! Two versions asked about the same past instant, and scored by what has been measured since.
//!
//! Both answer from the readings up to that instant and from nothing later, for the inputs as they really
//! were afterwards, as on the holdout that decides about a promotion: so every window counts, whatever
//! people did to the inputs. Neither gets the bands that adapt while a version serves: the one that did
//! not serve has none. An answer that cannot be given counts as broken, not as the fallback's.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::Source;
use super::serving::Version;
use super::situation::Standing;
use super::{Aftermath, ForecastError, Forecasts, Situation, store};
use crate::asset::Asset;
use crate::ids::{AssetId, ModelId};
use crate::model::{LEVELS, Quantiles};
use crate::score::{ScoreCard, Scored, Scorer};
use crate::twin::Twin;

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Duel {
    /// The last step has not been measured; it will have been once readings reach this instant.
    NotYet(DateTime<Utc>),
    /// Nothing can be compared there; ask about this instant next.
    Nothing(DateTime<Utc>),
    /// Both were asked.
    Fought(Box<Bout>),
}

/// Answers from one instant, scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Bout {
    /// The state that they start from.
    pub state_at: DateTime<Utc>,
    /// Instant of the last step.
    pub until: DateTime<Utc>,
    /// The instant to ask about next: half a horizon later.
    pub next_at: DateTime<Utc>,
    /// What each said; `None` where it gave no finite answer.
    pub rivals: [Option<Said>; 2],
    /// CRPS of the naive forecast, in deviations of the outputs.
    pub naive: f64,
}

/// How one answer turned out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// CRPS, in deviations of the outputs.
    pub crps: f64,
    /// Share of the truth that the 80 % band held.
    pub coverage_80: f64,
}

impl Forecasts {
    /// Asks two versions (`None`: the base model) about the newest state at or before `at`, over the usual
    /// horizon. A version whose weights cannot be loaded is broken if it is the first, and is stood in for by
    /// the base model if it is the second: that is what would serve.
    pub async fn duel(
        &self,
        asset: AssetId,
        at: DateTime<Utc>,
        rivals: [Option<ModelId>; 2],
    ) -> Result<Duel, ForecastError> {
        let horizon = self.config.forecast_horizon;
        let asset = self.assets.by_id(asset).await?.ok_or(ForecastError::NoReadings)?;
        let past = match self.past(&asset.key, at).await {
            Ok(past) => past,
            // Nothing near by: go on where readings do.
            Err(ForecastError::Invalid(_)) => {
                let after = at + TimeDelta::microseconds(1);
                let next = self.readings.oldest_of(asset.id, after, DateTime::<Utc>::MAX_UTC, 1).await?;
                return Ok(next.first().map_or(Duel::NotYet(after), |frame| Duel::Nothing(frame.observed_at)));
            }
            Err(error) => return Err(error),
        };
        let span = |steps: usize| TimeDelta::microseconds((steps as f64 * past.step_s * 1e6).round() as i64);
        if past.passed < horizon {
            return Ok(Duel::NotYet(past.state_at + span(horizon)));
        }
        let next_at = past.state_at.max(at) + span(horizon.div_ceil(2));
        let (twin, _) = store::served(&self.db, asset.id).await?.ok_or(ForecastError::NoReadings)?;
        let mut versions = [None, None];
        for (version, id) in versions.iter_mut().zip(rivals) {
            *version = match id {
                Some(id) => self.versions.load(&self.db, id).await.ok().flatten(),
                None => None,
            };
        }
        let broken = rivals[0].is_some() && versions[0].is_none();
        let [own, other] = versions;
        let own = self.stood(&asset, &twin, own, past.state_at).await?;
        let aftermath = self.aftermath(&own).await?;
        let judge = Judge::new(&own, &aftermath);
        if own.is_too_short() {
            return Ok(Duel::Nothing(next_at));
        }
        let Some(naive) = judge.score(&own.naive(1)[0]) else { return Ok(Duel::Nothing(next_at)) };
        let own = if broken { None } else { self.said(&own, &aftermath, &judge).await? };
        let other = self.stood(&asset, &twin, other, past.state_at).await?;
        let other = self.said(&other, &aftermath, &judge).await?;
        let until = past.state_at + span(horizon);
        let bout = Bout { state_at: past.state_at, until, next_at, rivals: [own, other], naive: naive.crps };
        Ok(Duel::Fought(Box::new(bout)))
    }

    async fn stood(
        &self,
        asset: &Arc<Asset>,
        twin: &Twin,
        version: Option<Arc<Version>>,
        at: DateTime<Utc>,
    ) -> Result<Situation, ForecastError> {
        let standing = Standing { twin: twin.clone(), version, base_skill: None, online: None };
        self.prepared(Arc::clone(asset), standing, Some(at), self.config.forecast_horizon).await
    }

    async fn said(
        &self,
        situation: &Situation,
        aftermath: &Aftermath,
        judge: &Judge,
    ) -> Result<Option<Said>, ForecastError> {
        let mut said = self.answer(situation, &[aftermath.inputs(situation)]).await?;
        let answered = said.model.source != Source::Fallback;
        Ok(said.answers.pop().filter(|_| answered).and_then(|answers| judge.score(&answers)))
    }
}

/// Scores answers from one state by one rule.
struct Judge {
    /// Names and deviations of the outputs.
    targets: Vec<(String, f64)>,
    truths: Vec<Vec<f64>>,
}

impl Judge {
    fn new(situation: &Situation, aftermath: &Aftermath) -> Self {
        let deviation = |target: usize| {
            let known: Vec<f64> =
                situation.grid.values[target].iter().copied().filter(|value| value.is_finite()).collect();
            let count = known.len().max(1) as f64;
            let mean = known.iter().sum::<f64>() / count;
            (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
        };
        let of = |target: &usize| (situation.signal(*target).name.clone(), deviation(*target));
        Self {
            targets: situation.layout.targets.iter().map(of).collect(),
            truths: situation.layout.targets.iter().map(|target| aftermath.measured(*target)).collect(),
        }
    }

    /// `None` where nothing was measured, or the answer is not finite.
    fn score(&self, answers: &[Quantiles]) -> Option<Said> {
        let mut scorer = Scorer::new(&LEVELS, self.targets.clone());
        let rows: Vec<Vec<Vec<f64>>> =
            answers.iter().map(|answer| answer.iter().map(|row| row.to_vec()).collect()).collect();
        scorer.window(&rows, &self.truths);
        let Scored { card: ScoreCard { coverage_80, .. }, losses } = scorer.finish();
        losses.first().copied().filter(|crps| crps.is_finite()).map(|crps| Said { crps, coverage_80 })
    }
}
