//! Makes jobs for assets of which enough is new.
//!
//! A reconciler: takes no hint about what changed. What is due is read from the database, so a
//! lost wake-up, a crash or a second server changes nothing; the partial unique index lets only
//! one of two servers make the job.

use sqlx::PgPool;

use super::Config;
use super::job::{Cause, Promotion};
use super::store::{self, NewJob};
use crate::clock::Clock;
use crate::ids::JobId;
use crate::model::Recipe;

/// Assets looked at in one go.
const BATCH: i64 = 100;

/// Makes the jobs that are due and says which.
pub async fn reconcile(db: &PgPool, clock: &Clock, config: &Config) -> sqlx::Result<Vec<JobId>> {
    let mut made = Vec::new();
    if config.training_fresh_frames == 0 {
        return Ok(made);
    }
    let (first, fresh) = (i64::from(config.training_first_frames), i64::from(config.training_fresh_frames));
    for asset in store::due(db, first, fresh, BATCH).await? {
        let recipe = serde_json::to_value(Recipe::default()).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let id = JobId::mint(clock);
        let job = NewJob { id, asset, cause: Cause::FreshReadings, recipe, promotion: Promotion::Managed };
        match store::insert(db, &job, clock.now()).await {
            Ok(true) => made.push(id),
            Ok(false) => {}
            // The asset was deleted in between.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}
