//! What happens after a promotion: the version that served before is kept as a shadow, and the server
//! rolls back by itself where the new one turns out worse. And before one: a version that was not promoted
//! forecasts in the shadow of what serves, and begins to serve where that shows it better for certain.
//!
//! As readings come, both are asked about the same instants since the promotion, half a horizon apart,
//! from what was known then, and scored by what was measured ([`Forecasts::duel`]). Asking afterwards
//! instead of with every forecast costs the hot path nothing, and is bounded: two answers a window, a set
//! number of windows a promotion, some windows a round. A reconciler: what is on probation is read from
//! the database, so a restart changes nothing, and a bout or a roll-back by two servers counts once. What
//! was rolled back to is not put on probation: two versions never replace each other for ever.

pub mod evidence;
mod judge;
mod shadow;
pub mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::judge::{Finding, Patience, judge};
pub use self::shadow::{Outlook, outlook};
use self::store::{Open, Step};
use super::{Training, TrainingError};
use crate::forecast::{self, Duel, Forecasts};

/// Assets looked at in one round.
const ROUND: i64 = 16;
/// Between two rounds when nothing was due.
const PAUSE: Duration = Duration::from_secs(2);

/// One comparison, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bout {
    /// The state that both started from.
    pub state_at: DateTime<Utc>,
    /// Instant of the last step.
    pub until: DateTime<Utc>,
    /// CRPS of the version, in deviations of the outputs; null where it gave no finite answer.
    pub crps: Option<f64>,
    /// CRPS of what served before or, in the shadow, serves.
    pub former_crps: Option<f64>,
    /// CRPS of the naive forecast.
    pub naive_crps: f64,
    /// Share of the truth that the version's 80 % band held.
    pub coverage_80: Option<f64>,
    /// Share that the band of what served before held.
    pub former_coverage_80: Option<f64>,
}

/// How a probation stands or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// Both are still compared.
    OnProbation,
    /// It was not worse over enough windows.
    Kept,
    /// It was worse, and what served before serves again.
    RolledBack,
    /// Something else was promoted, rolled back to or made before the end.
    Replaced,
    /// It does not serve, and is compared with what does.
    InShadow,
    /// It was better in the shadow for certain, and serves since.
    Promoted,
    /// In the shadow it was not better for certain, or a person must decide.
    NotPromoted,
}

/// A version's newest probation, or its time in the shadow, as people see it.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Probation {
    /// Number of the version.
    #[serde(skip)]
    pub version: i32,
    /// How it stands or ended.
    pub state: State,
    /// How it stands or ended, in words.
    pub reason: String,
    /// When it began: the promotion, or in the shadow its birth.
    pub began_at: DateTime<Utc>,
    /// When it ended; null before.
    pub ended_at: Option<DateTime<Utc>>,
    /// Number of the version that served before or, in the shadow, serves; 0 is the base model.
    pub former: i32,
    /// What was compared, in the order of time.
    #[schema(value_type = Vec<Bout>)]
    pub bouts: serde_json::Value,
}

/// Compares what is on probation with what served before it, a round at a time.
#[derive(Clone)]
pub struct Warden {
    training: Training,
    forecasts: Forecasts,
}

impl Warden {
    /// A warden of one server.
    #[must_use]
    pub fn new(training: Training, forecasts: Forecasts) -> Self {
        Self { training, forecasts }
    }

    /// Rounds until the end is asked for. Errors are logged and tried again.
    pub async fn run(self, end: CancellationToken) {
        while !end.is_cancelled() {
            match self.step().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "promoted versions were not compared");
                }
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// One round, a comparison of each asset: how many got further.
    pub async fn step(&self) -> Result<usize, TrainingError> {
        let Training { db, clock, config, .. } = &self.training;
        let windows = usize::try_from(config.training_probation_windows).unwrap_or(usize::MAX);
        if windows == 0 {
            return Ok(0);
        }
        store::reconcile(db, clock.now()).await?;
        let patience = Patience { windows, ..Patience::default() };
        let mut moved = 0;
        for open in store::open(db, ROUND).await? {
            match self.bout(&open, &patience).await {
                Ok(further) => moved += usize::from(further),
                // One asset's trouble is not that of the others.
                Err(error) => {
                    let version = open.version;
                    tracing::warn!(
                        asset.id = open.asset.0,
                        model.version = version,
                        error = &error as &dyn std::error::Error,
                        "a promoted version was not compared"
                    );
                }
            }
        }
        Ok(moved)
    }

    /// One comparison and what follows from it; whether it was this server's to make.
    async fn bout(&self, open: &Open, patience: &Patience) -> Result<bool, TrainingError> {
        let Training { db, clock, .. } = &self.training;
        let bout = match self.forecasts.duel(open.asset, open.next_at, [Some(open.model), open.former]).await? {
            Duel::NotYet(due_at) => {
                store::wait(db, open, (open.next_at, due_at)).await?;
                return Ok(false);
            }
            Duel::Nothing(next_at) => return Ok(store::wait(db, open, (next_at, next_at)).await?),
            Duel::Fought(bout) => *bout,
        };
        let (next_at, due_at) = (bout.next_at, bout.next_at + (bout.until - bout.state_at));
        let mut bouts = open.bouts.0.clone();
        bouts.push(Bout::from(&bout));
        let former = if open.former_version == 0 {
            "the base model".to_owned()
        } else {
            format!("version {}", open.former_version)
        };
        let (state, reason) = match open.state {
            State::InShadow => in_the_shadow(open, outlook(&bouts, &former, patience)),
            _ => on_probation(open, judge(&bouts, &former, patience)),
        };
        let step = Step { bouts: &bouts, next_at, due_at, state, reason: &reason };
        Ok(store::step(db, open, &step, clock).await?)
    }
}

/// What follows from a comparison on probation, and why.
fn on_probation(open: &Open, finding: Finding) -> (State, String) {
    match finding {
        Finding::Goes(reason) => (State::OnProbation, reason),
        Finding::Keep(reason) => (State::Kept, reason),
        Finding::RollBack(reason) => {
            tracing::warn!(asset.id = open.asset.0, model.version = open.version, reason, "rolling back");
            (State::RolledBack, reason)
        }
    }
}

/// What follows from a comparison in the shadow, and why.
fn in_the_shadow(open: &Open, outlook: Outlook) -> (State, String) {
    match outlook {
        Outlook::Goes(reason) => (State::InShadow, reason),
        Outlook::Promote(reason) if !open.decides => {
            (State::NotPromoted, format!("better, but it waits for a person: {reason}"))
        }
        Outlook::Promote(reason) => {
            tracing::info!(asset.id = open.asset.0, model.version = open.version, reason, "promoting from the shadow");
            (State::Promoted, reason)
        }
        Outlook::Leave(reason) => (State::NotPromoted, reason),
    }
}

impl Training {
    /// The newest probation of each of an asset's versions that had one.
    pub async fn probations(&self, asset: &str, versions: &[i32]) -> Result<Vec<Probation>, TrainingError> {
        let asset = self.assets.find(asset).await?;
        Ok(store::of_versions(&self.db, asset.id, versions).await?)
    }
}

impl From<&forecast::Bout> for Bout {
    fn from(bout: &forecast::Bout) -> Self {
        let [own, former] = bout.rivals;
        Self {
            state_at: bout.state_at,
            until: bout.until,
            crps: own.map(|said| said.crps),
            former_crps: former.map(|said| said.crps),
            naive_crps: bout.naive,
            coverage_80: own.map(|said| said.coverage_80),
            former_coverage_80: former.map(|said| said.coverage_80),
        }
    }
}
