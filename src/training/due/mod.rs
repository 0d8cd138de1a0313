//! Makes jobs for assets that should learn again: because enough is new, because what comes is no longer
//! what was learned from, because forecasts got worse, or because it is time.
//!
//! A reconciler: takes no hint about what changed. What is due is read from the database, so a
//! lost wake-up, a crash or a second server changes nothing; the partial unique index lets only
//! one of two servers make the job. Jobs that can wait, for fresh readings or by the clock, begin only
//! off-peak where there is such a time; drift and errors do not wait, nor does what a person asks for.

mod look;
mod off_peak;
pub mod store;

pub use off_peak::OffPeak;

use chrono::TimeDelta;

use self::store::{Checked, Suspect};
use super::job::{Cause, Promotion};
use super::store::NewJob;
use super::trail::store as trail;
use super::{Training, TrainingError, spread};
use crate::forecast::ForecastError;
use crate::ids::{AssetId, JobId};
use crate::model::Recipe;

/// Assets looked at in one go.
const BATCH: i64 = 100;
/// Assets whose newest frames are looked at in one go.
const CHECKS: i64 = 16;
/// A job that is not for fresh readings wants this share of their number to be new all the same.
const SHARE: i64 = 4;

/// Makes the jobs that are due and says which.
pub async fn reconcile(training: &Training) -> Result<Vec<JobId>, TrainingError> {
    let Training { db, clock, config, .. } = training;
    let mut made = Vec::new();
    if config.training_fresh_frames == 0 {
        return Ok(made);
    }
    let now = clock.now();
    let (first, fresh) = (i64::from(config.training_first_frames), i64::from(config.training_fresh_frames));
    for due in store::to_check(db, (fresh / SHARE, fresh), CHECKS).await? {
        made.extend(check(training, &due).await?);
    }
    if !config.training_off_peak.is_empty() && !config.training_off_peak.iter().any(|stretch| stretch.holds(now)) {
        return Ok(made);
    }
    for asset in super::store::due(db, first, fresh, BATCH).await? {
        made.extend(make(training, asset, Cause::FreshReadings, None).await?);
    }
    if let Ok(hours @ 1..) = i64::try_from(config.training_every_h) {
        let before = now - TimeDelta::hours(hours);
        for asset in store::overdue(db, before, (fresh / SHARE).max(1), BATCH).await? {
            let why = format!("{hours} h since the newest job, and at least {} new frames", (fresh / SHARE).max(1));
            made.extend(make(training, asset, Cause::Schedule, Some(why)).await?);
        }
    }
    Ok(made)
}

/// Makes a job, unless the asset has one or was deleted.
async fn make(
    training: &Training,
    asset: AssetId,
    cause: Cause,
    why: Option<String>,
) -> Result<Option<JobId>, TrainingError> {
    let Training { db, clock, .. } = training;
    let recipe = serde_json::to_value(Recipe::default()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let id = JobId::mint(clock);
    let job = NewJob { id, asset, cause, why, recipe, promotion: Promotion::Managed };
    let mut tx = db.begin().await?;
    match super::store::insert(&mut *tx, &job, clock.now()).await {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        // The asset was deleted in between.
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    trail::of_job(&mut *tx, clock, id).await?;
    tx.commit().await?;
    Ok(Some(id))
}

/// Looks at the newest frames and outcomes of one asset. What was suspect at the look before, on other
/// frames, and still is makes a job.
async fn check(training: &Training, due: &store::ToCheck) -> Result<Option<JobId>, TrainingError> {
    let Training { db, clock, assets, readings, .. } = training;
    let Some(asset) = assets.by_id(due.asset).await? else { return Ok(None) };
    let newest = readings.newest(asset.id, usize::try_from(due.stretch).unwrap_or_default()).await?;
    let spreads = due.spreads.0.clone();
    let asset_type = asset.asset_type.clone();
    // Milliseconds of arithmetic.
    let shifts = tokio::task::spawn_blocking(move || {
        let found = spread::compare(&asset_type, &spreads, newest);
        look::shifts(&asset_type, &spreads, &found)
    });
    let shifts = shifts.await.map_err(|_| ForecastError::Ending)?;
    let sums = store::sums(db, asset.id, due.version).await?;
    let before = due.checked.as_ref().map(|checked| &checked.0);
    let (worse, first) = look::worse(&asset.asset_type, &due.scores.0, before, &sums);
    let found = Suspect { shifts, worse };
    let reason = before.and_then(|before| look::reason(&before.suspect, &found, due.version));
    let checked = Checked { suspect: found, sums, first };
    // Whoever keeps what was found makes the job: a second server saw the same frames.
    if !store::keep(db, due, &checked, clock.now()).await? {
        return Ok(None);
    }
    let Some((cause, why)) = reason else { return Ok(None) };
    tracing::info!(asset.key = asset.key, model.version = due.version, why, "learning again");
    make(training, asset.id, cause, Some(why)).await
}
