//! `GET /v1/stream`: states, forecasts, jobs, backtests, what serves, and alarms as they change.
//!
//! One look-out reads what changed from the database and tells all clients; what it reads is the
//! truth, so changes made by other servers appear too. A client that resumes gets the latest of
//! everything that changed since the last event it saw, not every step in between.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Access, Caller};
use crate::alarm::{AlarmError, Alarms};
use crate::asset::{AssetError, Assets};
use crate::backtest::{BacktestError, Backtests};
use crate::clock::Clock;
use crate::forecast;
use crate::ids::PredictionId;
use crate::training::{Training, TrainingError};
use crate::twin::{Change, Health, Judged, Risk, TwinError, Twins};
use crate::web::extract::Query;
use crate::web::problem::{Document, Problem};
use crate::web::sse::{Event, LastEventId, answer};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Commits may become visible out of the order of their instants by this much.
const OVERLAP: TimeDelta = TimeDelta::seconds(2);
/// Changes read in one look, of each kind.
const MANY: usize = 1_000;
/// Events that a slow client may be behind; beyond it misses some and gets the next.
const BEHIND: usize = 4_096;

/// The doors of the stream.
pub(super) fn router(feed: Feed, access: Access, end: CancellationToken) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(stream)).with_state((feed, access, end))
}

/// What changed, for everybody who listens.
#[derive(Clone)]
pub struct Feed {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    twins: Twins,
    training: Training,
    backtests: Backtests,
    alarms: Alarms,
    news: broadcast::Sender<Arc<Item>>,
}

/// An event and the asset that it is about.
struct Item {
    asset: String,
    /// What tells it from others of the same asset and instant: the id of an alarm, when a state was judged.
    of: String,
    at: DateTime<Utc>,
    event: Event,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Asset(#[from] AssetError),
    #[error(transparent)]
    Twin(#[from] TwinError),
    #[error(transparent)]
    Training(#[from] TrainingError),
    #[error(transparent)]
    Backtest(#[from] BacktestError),
    #[error(transparent)]
    Alarm(#[from] AlarmError),
    #[error("the database said no")]
    Database(#[from] sqlx::Error),
    #[error("an event could not be written")]
    Write(#[from] serde_json::Error),
}

/// A live state, as the stream tells it.
#[derive(Debug, Serialize)]
struct StateEvent<'a> {
    asset: &'a str,
    seq: i64,
    observed_at: Option<DateTime<Utc>>,
    reported: BTreeMap<&'a str, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anomaly_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions: Option<BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
}

/// A forecast that was refreshed.
#[derive(Debug, Serialize)]
struct PredictionEvent<'a> {
    asset: &'a str,
    id: PredictionId,
    created_at: DateTime<Utc>,
}

/// What to listen to.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    /// Only events of this asset.
    asset: Option<String>,
}

/// Listen to states, forecasts, jobs, backtests, what serves, and alarms as they change
///
/// Server-sent events: `state` with the newest values and with anomaly score, health and risk, whenever any
/// of them is another, `prediction` when a twin's own forecast was
/// refreshed, `job` with the whole job, `backtest` with the backtest, `model` when another version serves,
/// promoted or rolled back, with the reason, `alarm` with the whole alarm. A client that sends
/// `Last-Event-ID` first gets the latest of everything that changed meanwhile. Ends when the key that it
/// was begun with is revoked or expires.
#[utoipa::path(
    get, path = "/v1/stream", tag = "stream", params(StreamQuery),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/event-stream"),
        (status = 422, description = "Unknown parameter", body = Document, content_type = "application/problem+json"),
    )
)]
async fn stream(
    State((feed, access, end)): State<(Feed, Access, CancellationToken)>,
    caller: Caller,
    Query(query): Query<StreamQuery>,
    LastEventId(last): LastEventId,
) -> Result<Response, Problem> {
    if let Some(asset) = &query.asset {
        feed.assets.find(asset).await?;
    }
    let refused = async move { access.refused(&caller).await };
    Ok(answer(feed.listen(query.asset, last).take_until(Box::pin(refused)), end))
}

impl Feed {
    pub(super) fn new(
        (db, clock): (PgPool, Clock),
        assets: Assets,
        twins: Twins,
        training: Training,
        backtests: Backtests,
        alarms: Alarms,
    ) -> Self {
        Self { db, clock, assets, twins, training, backtests, alarms, news: broadcast::channel(BEHIND).0 }
    }

    /// What a client hears: what it missed, then what happens.
    fn listen(&self, asset: Option<String>, last: Option<i64>) -> impl Stream<Item = Event> + Send + 'static {
        // Listening begins before the past is read, so that nothing falls between.
        let live = BroadcastStream::new(self.news.subscribe()).filter_map(async |item| item.ok());
        let feed = self.clone();
        let missed = futures::stream::once(async move {
            let since = last.and_then(DateTime::from_timestamp_micros);
            match since {
                Some(since) => feed.changes(since).await.unwrap_or_else(|error| {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a stream could not be resumed");
                    Vec::new()
                }),
                None => Vec::new(),
            }
        })
        .flat_map(|items| futures::stream::iter(items.into_iter().map(Arc::new)));
        missed
            .chain(live)
            .filter(move |item| futures::future::ready(asset.as_ref().is_none_or(|asset| *asset == item.asset)))
            .map(|item| item.event.clone())
    }

    /// Looks for changes until the end, and tells each once.
    pub async fn run(self, end: CancellationToken) {
        let mut since = self.clock.now();
        let mut told: HashSet<(&'static str, String, String, DateTime<Utc>)> = HashSet::new();
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.news.receiver_count() == 0 {
                since = self.clock.now();
                told.clear();
                continue;
            }
            match self.changes(since - OVERLAP).await {
                Ok(items) => {
                    for item in items {
                        since = since.max(item.at);
                        let key = (item.event.name, item.asset.clone(), item.of.clone(), item.at);
                        if told.insert(key) {
                            let _ = self.news.send(Arc::new(item));
                        }
                    }
                    let horizon = since - OVERLAP - OVERLAP;
                    told.retain(|(_, _, _, at)| *at > horizon);
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the stream waits"),
            }
        }
    }

    /// Everything that changed after an instant, in the order of the changes.
    async fn changes(&self, since: DateTime<Utc>) -> Result<Vec<Item>, FeedError> {
        let mut items = Vec::new();
        for change in self.twins.changed_since(since, MANY).await? {
            items.extend(self.state(change).await?);
        }
        for (at, asset, id) in forecast::store::refreshed_since(&self.db, since, MANY as i64).await? {
            let told = PredictionEvent { asset: &asset, id, created_at: at };
            let event = Event::new("prediction", at.timestamp_micros(), &told)?;
            items.push(Item { event, asset, of: String::new(), at });
        }
        for job in self.training.changed_since(since, None, MANY as i64).await? {
            let at = job.updated_at;
            let event = Event::new("job", at.timestamp_micros(), &job)?;
            items.push(Item { event, asset: job.asset, of: String::new(), at });
        }
        for backtest in self.backtests.changed_since(since, MANY as i64).await? {
            let at = backtest.updated_at;
            let event = Event::new("backtest", at.timestamp_micros(), &backtest)?;
            items.push(Item { event, asset: backtest.asset, of: backtest.id.to_string(), at });
        }
        for served in self.training.served_since(since, MANY as i64).await? {
            let at = served.changed_at;
            let event = Event::new("model", at.timestamp_micros(), &served)?;
            items.push(Item { event, asset: served.asset, of: String::new(), at });
        }
        for alarm in self.alarms.changed_since(since, MANY as i64).await? {
            let at = alarm.updated_at;
            let event = Event::new("alarm", at.timestamp_micros(), &alarm)?;
            items.push(Item { event, asset: alarm.asset, of: alarm.id.to_string(), at });
        }
        items.sort_by_key(|item| item.at);
        Ok(items)
    }

    async fn state(&self, change: Change) -> Result<Option<Item>, FeedError> {
        let asset = match self.assets.find(&change.key).await {
            Ok(asset) => asset,
            Err(AssetError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Change { changed_at, judged_at, key, twin, judged, .. } = change;
        // A judgement may become visible after a newer frame did.
        let of = judged_at.map(|at| at.timestamp_micros().to_string()).unwrap_or_default();
        let Judged { anomaly, health, risk } = judged;
        let (anomaly_score, contributions) = anomaly.map(|found| (found.score, found.contributions)).unzip();
        let names = asset.asset_type.document.signals.iter().map(|signal| signal.name.as_str());
        let told = StateEvent {
            asset: &key,
            seq: twin.seq,
            observed_at: twin.observed_at,
            reported: names.zip(twin.reported.iter().copied()).filter(|(_, value)| value.is_finite()).collect(),
            anomaly_score,
            contributions,
            health,
            risk,
        };
        let event = Event::new("state", changed_at.timestamp_micros(), &told)?;
        Ok(Some(Item { event, asset: key, of, at: changed_at }))
    }
}
