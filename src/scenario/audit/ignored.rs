//! Which inputs the serving model ignores in the present state: a flat line is then no knowledge.
//!
//! One batch of probes, two for each control input; kept for the asset and the version until the
//! state moves on, so that the same question has the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::features::responses::{Medians, Point, Responses, held, probes};
use crate::forecast::{ForecastError, Forecasts, Future, Said, Situation};
use crate::ids::{AssetId, ModelId};
use crate::model::MEDIAN;
use crate::model::window::future_steps;

/// Assets whose answers are kept; one is about 0.1 kB.
const KEPT: usize = 10_000;
/// Size of a probe, in deviations of the input.
const SIZE: f64 = 1.0;

/// An input that the model ignores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Unresponsive {
    /// Its name.
    pub signal: String,
    /// The outputs that ignore it.
    pub outputs: Vec<String>,
}

/// What is known of the assets; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ignored(Arc<Mutex<HashMap<AssetId, Known>>>);

#[derive(Clone, Debug)]
struct Known {
    model: Option<ModelId>,
    /// The state that was probed, and the steps ahead.
    state: DateTime<Utc>,
    steps: usize,
    found: Arc<Vec<Unresponsive>>,
}

impl Ignored {
    /// The inputs that who answered (`said`) ignores, each with the outputs that ignore it.
    pub async fn of(
        &self,
        forecasts: &Forecasts,
        situation: &Situation,
        said: &Said,
    ) -> Result<Arc<Vec<Unresponsive>>, ForecastError> {
        let (asset, state, steps) = (situation.asset.id, situation.grid.end, future_steps(situation.horizon));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asset).cloned();
        let same = |known: &Known| (known.model, known.state, known.steps) == (said.version, state, steps);
        if let Some(known) = known.filter(same) {
            return Ok(known.found);
        }
        let found = Arc::new(probe(forecasts, situation).await?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(asset, Known { model: said.version, state, steps, found: Arc::clone(&found) });
        Ok(found)
    }
}

async fn probe(forecasts: &Forecasts, situation: &Situation) -> Result<Vec<Unresponsive>, ForecastError> {
    let Situation { asset, grid, layout, .. } = situation;
    let (origin, steps) = (grid.len(), future_steps(situation.horizon));
    let (held, probes) = (held(grid, layout, origin, steps), probes(&asset.asset_type, grid, layout, origin, &[SIZE]));
    let sources = situation.baseline(&std::collections::BTreeMap::new())?.sources;
    let moved = probes.iter().map(|probe| {
        let mut rows = held.clone();
        rows[probe.input].iter_mut().for_each(|value| *value += probe.size);
        Future { rows, sources: sources.clone() }
    });
    let futures: Vec<Future> =
        std::iter::once(Future { rows: held.clone(), sources: sources.clone() }).chain(moved).collect();
    let said = forecasts.answer(situation, &futures).await?;
    let medians: Medians = (0..layout.targets.len())
        .map(|place| said.answers.iter().map(|answer| answer[place].iter().map(|row| row[MEDIAN]).collect()).collect())
        .collect();
    let point = Point { origin, probes, futures: Vec::new() };
    let responses = Responses::read(&asset.asset_type, grid, layout, &[point], &[medians]);
    Ok(responses.ignored().into_iter().map(|(signal, outputs)| Unresponsive { signal, outputs }).collect())
}

/// Those of the ignored inputs that a future moves away from the baseline.
#[must_use]
pub fn moved(ignored: &[Unresponsive], situation: &Situation, baseline: &Future, future: &Future) -> Vec<Unresponsive> {
    let steps = situation.horizon;
    let differs = |name: &str| {
        let place = situation.layout.inputs.iter().position(|input| situation.signal(*input).name == name);
        place.is_some_and(|place| future.rows[place][..steps] != baseline.rows[place][..steps])
    };
    ignored.iter().filter(|input| differs(&input.signal)).cloned().collect()
}
