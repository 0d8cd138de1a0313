//! Hands events on, and delivers them: a reconciler that takes no hint.
//!
//! What triggers noted becomes one delivery for each receiver that wants it ([`Webhooks::spread`]); a delivery
//! that is due is leased by database time, posted, and ended or put off ([`Webhooks::deliver`]). Whoever dies in
//! between loses nothing: what was noted is still there, and a lease runs out. Of each receiver only a few
//! deliveries are in work at a time and the others' do not wait for them.

pub(super) mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event::{TEST, body, with_instants_in_utc};
use super::form::Happened;
use super::post::{Answer, Message, PostError};
use super::schedule;
use super::{OutcomeLabel, Secret, WebhookError, Webhooks};
use crate::ids::{DeliveryId, LeaseToken, WebhookEventId, WebhookId};
use store::{Attempt, Claimed, Told};

/// What was noted that is handed on in one transaction.
const BATCH: i64 = 500;
/// Deliveries of one receiver in work at a time, on all servers together.
pub(super) const TOGETHER: i64 = 4;
/// How long a delivery is leased: longer than an attempt can take.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Between two looks when nothing was due.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two clearings of old events.
const CLEARING: Duration = Duration::from_hours(1);
/// Events forgotten in one statement.
const FORGOTTEN: i64 = 1_000;
/// How long attempts in work are waited for at the end.
const LEAVING: Duration = Duration::from_secs(3);
/// Characters of a reason that are kept.
const MAX_REASON: usize = 500;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = WebhookDeliveryStatus)]
pub enum Status {
    /// Is attempted when it is due.
    Pending,
    /// Was answered with 2xx.
    Delivered,
    /// Given up.
    Failed,
}

/// One event for one receiver.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event: `webhook-id` of the request, and `id` of what was posted.
    pub event: WebhookEventId,
    /// What kind of event; `webhook.test` for a test.
    pub r#type: String,
    /// Key of the asset; null for a test.
    pub asset: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// How often it was attempted.
    pub attempts: i32,
    /// When it is attempted again; null when it is not.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was last attempted.
    pub attempted_at: Option<DateTime<Utc>>,
    /// Milliseconds that the last attempt took.
    pub took_ms: Option<i32>,
    /// HTTP status of the last attempt's answer; null when there was none.
    pub http_status: Option<i16>,
    /// Why the last attempt failed; null when it did not.
    pub error: Option<String>,
    /// The beginning of the last answer's body, at most 1 KiB.
    pub answer: Option<String>,
    /// When the event was handed to it.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Webhooks {
    /// Hands on what was noted: how much of it.
    pub async fn spread(&self) -> Result<usize, WebhookError> {
        let now = self.clock.now();
        let mut transaction = self.db.begin().await?;
        let noted = store::noted(&mut *transaction, BATCH).await?;
        if noted.is_empty() {
            return Ok(0);
        }
        let receivers = store::receivers(&mut *transaction).await?;
        let (mut told, mut deliveries) = (Vec::new(), Vec::new());
        for one in &noted {
            let happened = Happened {
                kind: &one.kind,
                asset: &one.asset,
                asset_type: &one.asset_type,
                severity: one.severity.as_deref(),
            };
            let wanting = receivers.iter().filter(|(_, form)| form.wants(happened));
            let wanting: Vec<WebhookId> = wanting.map(|(id, _)| *id).collect();
            if wanting.is_empty() {
                continue;
            }
            let id = WebhookEventId::mint(&self.clock);
            let mut data = one.data.0.clone();
            with_instants_in_utc(&mut data);
            let body = body(id, &one.kind, one.at, Some(&one.asset), &data)?;
            told.push(Told { id, kind: one.kind.clone(), asset: Some(one.asset.clone()), body });
            deliveries.extend(wanting.into_iter().map(|webhook| (DeliveryId::mint(&self.clock), webhook, id)));
        }
        if !told.is_empty() {
            store::tell(&mut *transaction, &told, now).await?;
            store::hand_over(&mut *transaction, &deliveries, now).await?;
        }
        let seqs: Vec<i64> = noted.iter().map(|one| one.seq).collect();
        store::note_done(&mut *transaction, &seqs).await?;
        transaction.commit().await?;
        Ok(noted.len())
    }

    /// One round: attempts what is due, a few of each receiver at a time: how many.
    pub async fn deliver(&self) -> Result<usize, WebhookError> {
        let claimed = self.claim().await?;
        let count = claimed.len();
        for done in futures::future::join_all(claimed.into_iter().map(|one| self.attempt(one))).await {
            done?;
        }
        Ok(count)
    }

    async fn claim(&self) -> Result<Vec<Claimed>, WebhookError> {
        let token = LeaseToken::mint(&self.clock);
        Ok(store::claim(&self.db, token, self.clock.now(), LEASE, TOGETHER).await?)
    }

    /// Sends a test event at once and says what came of it. It is not repeated, and says nothing about whether
    /// the receiver works in the long run.
    pub async fn test(&self, id: WebhookId) -> Result<Delivery, WebhookError> {
        let webhook = self.find(id).await?;
        let (event, now) = (WebhookEventId::mint(&self.clock), self.clock.now());
        let data = json!({"webhook": {"id": webhook.id, "name": webhook.form.name}});
        let told = Told { id: event, kind: TEST.to_owned(), asset: None, body: body(event, TEST, now, None, &data)? };
        let (delivery, token) = (DeliveryId::mint(&self.clock), LeaseToken::mint(&self.clock));
        let claimed = store::begin_test(&self.db, id, delivery, &told, token, LEASE, now).await;
        let claimed = match claimed {
            // Somebody deleted it meanwhile.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => None,
            claimed => claimed?,
        };
        let hooks = self.clone();
        let claimed = claimed.ok_or(WebhookError::NotFound)?;
        // A task of its own, because a client that leaves must not leave a test in work.
        let attempted = tokio::spawn(async move { hooks.attempt(claimed).await });
        attempted.await.map_err(|_| WebhookError::Database(sqlx::Error::WorkerCrashed))??;
        store::one(&self.db, delivery).await?.ok_or(WebhookError::NotFound)
    }

    /// Posts one delivery and writes what came of it.
    async fn attempt(&self, claimed: Claimed) -> Result<(), WebhookError> {
        let begun = self.clock.now();
        let started = tokio::time::Instant::now();
        let secrets =
            [Some(&claimed.secret), claimed.previous_secret.as_ref().filter(|_| claimed.previous_until > Some(begun))];
        let (id, timestamp) = (claimed.event_id.to_string(), begun.timestamp());
        let sign = |secret: &String| Secret::kept(secret.clone()).sign(&id, timestamp, &claimed.body);
        let signatures = secrets.into_iter().flatten().map(sign).collect::<Vec<_>>().join(" ");
        let message = Message { id: id.clone(), timestamp, signatures, body: claimed.body.clone() };
        let answered = self.postman.post(&claimed.url, message).await;
        let took_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        let attempt = judged(&claimed, answered, begun, took_ms, self.clock.now());
        self.attempts.get_or_create(&OutcomeLabel { outcome: attempt.outcome() }).inc();
        let written = store::end(&self.db, &claimed, &attempt).await?;
        match (written, &attempt.error) {
            (None, _) => tracing::warn!(delivery.id = %claimed.id, "an attempt took longer than its lease"),
            (Some(true), _) => {
                let (webhook, reason) = (claimed.webhook_id, attempt.error.as_deref());
                tracing::warn!(webhook.id = %webhook, reason, "a webhook was switched off");
            }
            (Some(false), Some(reason)) => {
                let (webhook, attempts) = (claimed.webhook_id, claimed.attempts);
                tracing::info!(webhook.id = %webhook, delivery.id = %claimed.id, attempts, reason, "not delivered");
            }
            (Some(false), None) => {}
        }
        Ok(())
    }

    /// Forgets some events that are too old, with their deliveries: how many.
    pub async fn forget(&self) -> Result<u64, WebhookError> {
        Ok(store::forget(&self.db, self.clock.now() - self.keep, FORGOTTEN).await?)
    }

    /// Hands on and delivers until the end is asked for. An attempt that is in work delays no other.
    pub async fn keep_delivering(self, end: CancellationToken) {
        let mut work: JoinSet<()> = JoinSet::new();
        let mut cleared: Option<tokio::time::Instant> = None;
        while !end.is_cancelled() {
            let begun = match self.begin(&mut work).await {
                Ok(begun) => begun,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "webhooks wait");
                    0
                }
            };
            if cleared.is_none_or(|at| at.elapsed() > CLEARING) {
                match self.forget().await {
                    // The others come next.
                    Ok(count) if count == FORGOTTEN as u64 => {}
                    Ok(_) => cleared = Some(tokio::time::Instant::now()),
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "old events of webhooks were kept");
                        cleared = Some(tokio::time::Instant::now());
                    }
                }
            }
            while work.try_join_next().is_some() {}
            if begun == 0 {
                tokio::select! {
                    () = end.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
        let ended = async { while work.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVING, ended).await.is_err() {
            // Their leases run out, and they are attempted again.
            work.abort_all();
        }
    }

    /// Hands on what was noted and begins what is due: how much of both.
    async fn begin(&self, work: &mut JoinSet<()>) -> Result<usize, WebhookError> {
        let spread = self.spread().await?;
        let claimed = self.claim().await?;
        let begun = claimed.len();
        for one in claimed {
            let hooks = self.clone();
            work.spawn(async move {
                if let Err(error) = hooks.attempt(one).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "an attempt could not be written down");
                }
            });
        }
        Ok(spread + begun)
    }
}

/// What an answer, or the lack of one, means for a delivery and its receiver.
fn judged(
    claimed: &Claimed,
    answered: Result<Answer, PostError>,
    begun: DateTime<Utc>,
    took_ms: i32,
    now: DateTime<Utc>,
) -> Attempt {
    let is_test = claimed.kind == TEST;
    let (status, answer, asked_s, error) = match answered {
        Ok(Answer { status, text, retry_after_s }) => {
            let error = match status {
                200..300 => None,
                300..400 => Some(format!("answered {status}: redirects are not followed")),
                _ => Some(format!("answered {status}")),
            };
            (Some(status), Some(text), retry_after_s, error)
        }
        Err(error) => (None, None, None, Some(error.to_string())),
    };
    let error = error.map(|text| text.chars().take(MAX_REASON).collect::<String>());
    let again = match &error {
        Some(_) if !is_test => {
            schedule::wait(claimed.attempts, rand::rng().random_range(0.0..1.0), asked_s).map(|wait| now + wait)
        }
        _ => None,
    };
    let since = claimed.failing_since.unwrap_or(now);
    let hopeless = schedule::is_hopeless(claimed.failures + 1, since, now);
    let off = match (&error, status) {
        (Some(_), _) if is_test => None,
        (Some(_), Some(410)) => Some("the receiver answered 410: it is gone for good".to_owned()),
        (Some(error), _) if hopeless => {
            Some(format!("nothing worked for {} days; at last: {error}", schedule::PATIENCE_DAYS))
        }
        _ => None,
    };
    Attempt { begun, now, took_ms, status, answer, error, again, is_test, off }
}
