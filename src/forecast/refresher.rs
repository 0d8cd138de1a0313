//! Keeps every twin's own forecast current, and looks back at those that have come true.
//!
//! Takes no hint about what changed: twins whose readings are ahead of their forecast are read
//! from the database, so a lost wake-up, a crash or a second server changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{Ask, Cause, ForecastError, Forecasts, TWIN_QUANTILES, store};
use crate::ids::AssetId;
use crate::twin;

/// Twins looked at in one round.
const ROUND: i64 = 256;
/// Twins forecast at the same time; the engine joins them into batches.
const TOGETHER: usize = 16;
/// Between two looks when nothing was stale.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at forecasts that have come true.
const LOOKING_BACK: Duration = Duration::from_secs(5);
/// Rounds of scoring in a row.
const SETTLING: usize = 8;
/// Between two clearings of old vintages.
const CLEARING: Duration = Duration::from_hours(1);

/// Refreshes stale forecasts, a round at a time.
#[derive(Debug)]
pub struct Refresher {
    forecasts: Forecasts,
    done: HashMap<AssetId, DateTime<Utc>>,
}

impl Refresher {
    /// A refresher that has done nothing yet.
    #[must_use]
    pub fn new(forecasts: Forecasts) -> Self {
        Self { forecasts, done: HashMap::new() }
    }

    /// One round: how many twins got a new forecast.
    pub async fn step(&mut self) -> Result<usize, ForecastError> {
        let now = self.forecasts.clock.now();
        let every = TimeDelta::milliseconds((self.forecasts.config.forecast_every_s * 1e3) as i64);
        self.done.retain(|_, at| now - *at < every);
        let resting: Vec<i64> = self.done.keys().map(|asset| asset.0).collect();
        let stale = twin::store::stale(&self.forecasts.db, &resting, ROUND).await?;
        let forecasts = &self.forecasts;
        let finished: Vec<AssetId> = futures::stream::iter(stale)
            .map(|(asset, seq)| async move {
                match refresh(forecasts, asset, seq).await {
                    Ok(()) => Some(asset),
                    Err(error) => {
                        tracing::warn!(
                            asset.id = asset.0,
                            error = &error as &dyn std::error::Error,
                            "twin not forecast"
                        );
                        Some(asset)
                    }
                }
            })
            .buffer_unordered(TOGETHER)
            .filter_map(|asset| async move { asset })
            .collect()
            .await;
        self.done.extend(finished.iter().map(|asset| (*asset, now)));
        Ok(finished.len())
    }

    /// Rounds until the end is asked for.
    pub async fn run(mut self, end: CancellationToken) {
        let (mut cleared, mut looked_back): (Option<tokio::time::Instant>, Option<tokio::time::Instant>) = (None, None);
        while !end.is_cancelled() {
            let busy = match self.step().await {
                Ok(count) => count > 0,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "refresher waits");
                    false
                }
            };
            if looked_back.is_none_or(|at| at.elapsed() > LOOKING_BACK) {
                if let Err(error) = self.forecasts.look_back().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "served forecasts were not compared");
                }
                self.settle().await;
                looked_back = Some(tokio::time::Instant::now());
            }
            if cleared.is_none_or(|at| at.elapsed() > CLEARING) {
                let keep = TimeDelta::days(i64::from(self.forecasts.config.forecast_keep_days));
                match store::forget_before(&self.forecasts.db, self.forecasts.clock.now() - keep).await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "old vintages forgotten"),
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old vintages kept"),
                }
                if let Err(error) = self.forecasts.forget_outcomes().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old outcomes kept");
                }
                cleared = Some(tokio::time::Instant::now());
            }
            if !busy {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

impl Refresher {
    /// Scores what has come true, but never so long that forecasts would wait.
    async fn settle(&self) {
        for _ in 0..SETTLING {
            match self.forecasts.settle().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "served predictions were not scored");
                    return;
                }
            }
        }
    }
}

/// One twin's forecast. A twin that has nothing to predict counts as refreshed.
async fn refresh(forecasts: &Forecasts, asset: AssetId, seq: i64) -> Result<(), ForecastError> {
    if let Some(asset) = forecasts.assets.by_id(asset).await? {
        let ask = Ask { quantiles: Some(TWIN_QUANTILES.to_vec()), ..Ask::default() };
        match forecasts.predict(&asset.key, &ask, Cause::Refresh).await {
            Ok(_) | Err(ForecastError::NoOutputs | ForecastError::NoReadings) => {}
            Err(error) => return Err(error),
        }
        // A forecast without a score or a class is better than none.
        if let Err(error) = forecasts.note_anomaly(&asset).await {
            tracing::warn!(asset.key = asset.key, error = &error as &dyn std::error::Error, "twin not judged");
        }
        if let Err(error) = forecasts.note_health(&asset).await {
            tracing::warn!(asset.key = asset.key, error = &error as &dyn std::error::Error, "health not named");
        }
    }
    twin::store::mark_forecast(&forecasts.db, asset, seq).await?;
    Ok(())
}
