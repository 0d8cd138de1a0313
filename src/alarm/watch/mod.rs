//! Evaluates rules on what came since they were last evaluated.
//!
//! A reconciler: takes no hint about what changed. Which rules are behind is read from the database, so
//! a lost wake-up, a crash or a second server changes nothing; a rule that another server evaluates at
//! the moment is left to it. However many rules are behind, a round is a handful of statements and one
//! transaction.

mod evaluate;
mod store;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{AlarmError, Alarms, FORGOTTEN};
use evaluate::{Outcome, evaluate};

/// Rules evaluated in one round.
const ROUND: i64 = 512;
/// Readings that one rule looks at in one round; those behind by more go on in the next.
const SAMPLES: i64 = 1_000;
/// Between two looks when nothing was behind.
const PAUSE: Duration = Duration::from_millis(250);
/// Looks between two counts for the metrics when nothing happens here: people and other servers clear
/// alarms too.
const COUNTED: usize = 20;
/// Between two clearings of old alarms.
const CLEARING: Duration = Duration::from_hours(1);

impl Alarms {
    /// One round: how many rules were evaluated.
    pub async fn watch(&self) -> Result<usize, AlarmError> {
        let now = self.clock.now();
        let mut transaction = self.db.begin().await?;
        let rules = store::claim(&mut *transaction, now, ROUND).await?;
        let samples = store::samples(&mut *transaction, &rules, SAMPLES).await?;
        let outlooks = store::outlooks(&mut *transaction, &rules).await?;
        let outcomes: Vec<Outcome> = rules
            .iter()
            .enumerate()
            .map(|(place, rule)| {
                let samples = samples.get(&place).map_or(&[][..], Vec::as_slice);
                evaluate(rule, samples, SAMPLES as usize, outlooks.get(&place), now, &self.clock)
            })
            .collect();
        if !rules.is_empty() {
            store::keep(&mut transaction, &rules, &outcomes, now).await?;
        }
        let unshelved = store::unshelve(&mut *transaction, now).await?;
        transaction.commit().await?;
        if unshelved > 0 || outcomes.iter().any(Outcome::is_heard) {
            tracing::info!(
                rules = rules.len(),
                raised = outcomes.iter().map(|outcome| outcome.raised.len()).sum::<usize>(),
                "alarms changed"
            );
        }
        if unshelved > 0 || !rules.is_empty() {
            self.count().await?;
        }
        Ok(rules.len())
    }

    /// Rounds until the end is asked for.
    pub async fn keep_watching(self, end: CancellationToken) {
        let mut cleared: Option<tokio::time::Instant> = None;
        for round in 0_usize.. {
            if end.is_cancelled() {
                return;
            }
            if cleared.is_none_or(|at| at.elapsed() > CLEARING) && !self.clear_away().await {
                cleared = Some(tokio::time::Instant::now());
            }
            let looked = match self.watch().await {
                Ok(0) if round.is_multiple_of(COUNTED) => self.count().await.map(|()| 0),
                looked => looked,
            };
            let behind = looked.unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "alarm rules wait");
                0
            }) > 0;
            if !behind {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Forgets some of what is too old. Whether there may be more.
    async fn clear_away(&self) -> bool {
        match self.forget().await {
            Ok(0) => false,
            Ok(count) => {
                tracing::info!(count, "old alarms forgotten");
                count == FORGOTTEN as u64
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old alarms kept");
                false
            }
        }
    }
}
