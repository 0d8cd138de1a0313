//! The health of an asset: its class now and ahead, named by the classifier that travels with the version
//! that serves, and the time that remains until it fails.
//!
//! Looked at when a twin is refreshed, and written beside it, where the state reads it; and when somebody asks
//! for a prediction, from the state that it starts from. Without a classifier there is no class; nothing is
//! made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{ForecastError, Forecasts, Situation, store, timestamps};
use crate::asset::{Asset, AssetType};
use crate::features::{Grid, HealthModel, LOOK, Outlook, Sketch};
use crate::ids::ModelId;
use crate::model::health::Said;
use crate::model::store::WeightsError;
use crate::reading::instant;
use crate::score::class::named;
use crate::twin::{self, ClassAhead, Health, HealthOutlook, Looked, ReachedBy, TimeToClass};

/// Newest frames that are laid on a grid: more than a look, since the step is found from them.
const FRAMES: usize = 4 * LOOK;

/// A step of an asset, ready to be looked at.
struct Glance {
    at: DateTime<Utc>,
    step_s: f64,
    sketch: Sketch,
}

/// What was seen at a step: the likeliest class with the probabilities of all, and what will become of it.
struct Named {
    at: DateTime<Utc>,
    class: (String, BTreeMap<String, f64>),
    outlook: Option<HealthOutlook>,
}

impl Glance {
    /// The newest step of a grid; `None` where it cannot be seen.
    fn of(asset_type: &AssetType, grid: &Grid, model: &HealthModel) -> Option<Self> {
        let last = grid.len().checked_sub(1)?;
        let sketch = model.eye.upon(asset_type, grid)?.sketch(last)?;
        Some(Self { at: grid.instants[last], step_s: grid.step_s, sketch })
    }
}

impl Forecasts {
    /// Looks at the newest step of an asset.
    pub(super) async fn note_health(&self, asset: &Arc<Asset>) -> Result<(), ForecastError> {
        let Some((twin, Some(id))) = store::served(&self.db, asset.id).await? else { return Ok(()) };
        let version = match self.versions.load(&self.db, id).await {
            Ok(version) => version,
            // It does not serve either.
            Err(WeightsError::Damaged(_)) => None,
            Err(WeightsError::Database(error)) => return Err(error.into()),
        };
        let Some(version) = version.filter(|version| version.health.is_some() || version.remaining.is_some()) else {
            return Ok(());
        };
        let named = match &version.health {
            Some(model) => self.class(asset, twin.seq, (&version.base, model)).await?,
            None => None,
        };
        let remaining = match &version.remaining {
            Some(model) => self.remaining(asset, twin.seq, id, model).await?,
            None => None,
        };
        if named.is_none() && version.remaining.is_none() {
            return Ok(());
        }
        let seen = named.as_ref().map(|named| named.at).max(remaining.as_ref().map(|(at, _)| *at));
        // Of an asset that is down nothing remains, whatever was said before.
        let Some(at) = seen.or(twin.observed_at) else { return Ok(()) };
        let looked = looked(version.head.id, at, named, remaining.map(|(_, remaining)| remaining));
        Ok(twin::store::set_health(&self.db, asset.id, &looked, self.clock.now()).await?)
    }

    /// The health of an asset in a situation, as the version that answers sees it; `None` where it sees
    /// nothing. Of a state in the past the time that remains is not told.
    pub(super) async fn health_of(&self, situation: &Situation) -> Result<Option<Health>, ForecastError> {
        let Some(version) = situation.version() else { return Ok(None) };
        let named = match &version.health {
            Some(model) => match Glance::of(&situation.asset.asset_type, &situation.grid, model) {
                Some(glance) => self.named(glance, (&version.base, model)).await?,
                None => None,
            },
            None => None,
        };
        let remaining = match version.remaining.as_ref().filter(|_| !situation.is_past()) {
            Some(model) => self.remaining(&situation.asset, situation.twin.seq, version.head.id, model).await?,
            None => None,
        };
        let seen = named.as_ref().map(|named| named.at).max(remaining.as_ref().map(|(at, _)| *at));
        let remaining = remaining.map(|(_, remaining)| remaining);
        Ok(seen.map(|at| Health::of(looked(version.head.id, at, named, remaining))))
    }

    /// Names the class of the newest step by a model on its version's base model; `None` where it cannot be
    /// seen.
    async fn class(
        &self,
        asset: &Arc<Asset>,
        seq: i64,
        (base, model): (&str, &Arc<HealthModel>),
    ) -> Result<Option<Named>, ForecastError> {
        let recent = self.readings.recent(asset.id, seq, FRAMES).await?;
        let (of, with) = (Arc::clone(asset), Arc::clone(model));
        let seen = tokio::task::spawn_blocking(move || {
            Glance::of(&of.asset_type, &Grid::new(&of.asset_type, &recent)?, &with)
        });
        match seen.await.map_err(|_| ForecastError::Ending)? {
            Some(glance) => self.named(glance, (base, model)).await,
            None => Ok(None),
        }
    }

    async fn named(&self, glance: Glance, (base, model): (&str, &HealthModel)) -> Result<Option<Named>, ForecastError> {
        let Some(base) = self.bases.of(base).await? else { return Ok(None) };
        let Glance { at, step_s, sketch } = glance;
        let said = self.engine.name(&base, model.heads(), sketch.statistics, sketch.windows).await?;
        let outlook = model.ahead.as_ref().map(|ahead| outlook(&model.classes, ahead, &said, at, step_s));
        let (class, probabilities) = (likeliest(&model.classes, &said.now), by_class(&model.classes, &said.now));
        Ok(Some(Named { at, class: (class, probabilities), outlook }))
    }
}

fn looked(model: ModelId, at: DateTime<Utc>, named: Option<Named>, remaining: Option<twin::Remaining>) -> Looked {
    let (class, outlook) = named.map(|named| (named.class, named.outlook)).unzip();
    Looked { model, at, class, outlook: outlook.flatten(), remaining }
}

/// What will become of the class, from what was said of it at an instant.
fn outlook(classes: &[String], ahead: &Outlook, said: &Said, at: DateTime<Utc>, step_s: f64) -> HealthOutlook {
    let instants = timestamps(at, step_s, ahead.leads.last().copied().unwrap_or_default());
    let at = |step: usize| step.checked_sub(1).and_then(|place| instants.get(place)).copied().map(instant::text);
    let (now, own) = (said.now.as_slice(), said.ahead.as_slice());
    let lead = |(place, step): (usize, &usize)| {
        let (by, row) = ahead.class_at(place, now, own)?;
        let (class, probabilities) = (likeliest(classes, &row), by_class(classes, &row));
        Some(ClassAhead { step: *step, at: at(*step)?, class, probabilities, by })
    };
    let time = |(place, class): (usize, &String)| {
        let (by, row) = ahead.time_to(place, now, own).filter(|_| place != named(now))?;
        let (mut sum, mut reached) = (0.0, 0.0_f64);
        let mut within = Vec::with_capacity(ahead.leads.len());
        for (lead, (step, mass)) in ahead.leads.iter().zip(&row).enumerate() {
            sum += mass;
            // Who is in the class then has been in it by then.
            let there = ahead.class_at(lead, now, own).filter(|(who, _)| *who == by).map_or(0.0, |(_, row)| row[place]);
            reached = reached.max(sum).max(there).min(1.0);
            within.push(ReachedBy { step: *step, at: at(*step)?, probability: reached });
        }
        Some((class.clone(), TimeToClass { within, beyond: 1.0 - reached, by }))
    };
    HealthOutlook {
        ahead: ahead.leads.iter().enumerate().filter_map(lead).collect(),
        time_to_class: classes.iter().enumerate().filter_map(time).collect(),
    }
}

fn likeliest(classes: &[String], row: &[f64]) -> String {
    classes.get(named(row)).cloned().unwrap_or_default()
}

fn by_class(classes: &[String], row: &[f64]) -> BTreeMap<String, f64> {
    classes.iter().cloned().zip(row.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Question;
    use crate::twin::AheadBy;

    #[test]
    fn instants_and_the_time_to_a_class_follow_from_what_was_said() {
        let question = |by: Option<AheadBy>, outcomes: usize| Question { by, ..Question::of(2, outcomes, &[]) };
        let mut ahead = Outlook {
            leads: vec![16, 32],
            classes: vec![question(Some(AheadBy::Learned), 2), question(Some(AheadBy::Held), 2)],
            times: vec![question(Some(AheadBy::Learned), 3), question(Some(AheadBy::Learned), 3)],
            foresight: None,
        };
        let said = Said {
            now: vec![0.9, 0.1],
            ahead: vec![vec![0.6, 0.4], vec![0.3, 0.7], vec![0.2, 0.2, 0.6], vec![0.25, 0.15, 0.6]],
        };
        let start = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let classes = ["sound".to_owned(), "leaking".to_owned()];
        let told = outlook(&classes, &ahead, &said, start, 0.5);
        let leads: Vec<_> = told.ahead.iter().map(|one| (one.step, one.class.as_str(), one.by)).collect();
        assert_eq!(leads, [(16, "sound", AheadBy::Learned), (32, "sound", AheadBy::Held)]);
        assert_eq!(told.ahead[0].probabilities["leaking"], 0.4);
        assert_eq!(told.ahead[0].at, instant::text(DateTime::from_timestamp(1_790_000_008, 0).unwrap()));
        assert_eq!(told.time_to_class.len(), 1, "it is sound already");
        let time = &told.time_to_class["leaking"];
        // It is in the class in 16 steps with 0.4, so it has been by then.
        let within: Vec<(usize, f64)> = time.within.iter().map(|one| (one.step, one.probability)).collect();
        assert_eq!((within[0], within[1].0, time.by), ((16, 0.4), 32, AheadBy::Learned));
        assert!((within[1].1 - 0.4).abs() < 1e-9 && (time.beyond - 0.6).abs() < 1e-9, "{time:?}");
        // Nobody tells of one lead, nor of the time.
        ahead.classes[0].by = None;
        ahead.times[1].by = None;
        let told = outlook(&classes, &ahead, &said, start, 0.5);
        assert_eq!((told.ahead.len(), told.ahead[0].step, told.time_to_class.len()), (1, 32, 0));
    }
}
