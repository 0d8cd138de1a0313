//! The SQL of telling webhooks what happened.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;

use super::{Delivery, Status};
use crate::ids::{DeliveryId, LeaseToken, WebhookEventId, WebhookId};
use crate::webhook::WebhookForm;
use crate::webhook::event::EventType;

/// What a trigger noted.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Noted {
    pub(super) seq: i64,
    #[sqlx(rename = "type")]
    pub(super) kind: String,
    pub(super) at: DateTime<Utc>,
    pub(super) asset: String,
    pub(super) asset_type: String,
    pub(super) severity: Option<String>,
    pub(super) data: Json<Value>,
}

/// An event that somebody is told of.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: WebhookEventId,
    pub(super) kind: String,
    pub(super) asset: Option<String>,
    pub(super) body: String,
}

/// A delivery of which this server may be the one to attempt it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Claimed {
    pub(super) id: DeliveryId,
    pub(super) webhook_id: WebhookId,
    pub(super) event_id: WebhookEventId,
    pub(super) attempts: i32,
    #[sqlx(rename = "lease_token")]
    token: LeaseToken,
    #[sqlx(rename = "type")]
    pub(super) kind: String,
    pub(super) body: String,
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) previous_secret: Option<String>,
    pub(super) previous_until: Option<DateTime<Utc>>,
    pub(super) failures: i32,
    pub(super) failing_since: Option<DateTime<Utc>>,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) begun: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
    pub(super) took_ms: i32,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<String>,
    pub(super) error: Option<String>,
    /// When to try again; none when it is over.
    pub(super) again: Option<DateTime<Utc>>,
    /// Says nothing about the receiver in the long run.
    pub(super) is_test: bool,
    /// Why the receiver is switched off.
    pub(super) off: Option<String>,
}

impl Attempt {
    pub(super) fn outcome(&self) -> &'static str {
        match (&self.error, self.again) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "again",
            (Some(_), None) => "failed",
        }
    }
}

/// The oldest of what was noted, locked until the transaction ends. What another server holds is left out.
pub(super) async fn noted(db: impl PgExecutor<'_>, rows: i64) -> sqlx::Result<Vec<Noted>> {
    sqlx::query_as(
        "select seq, type, at, asset, asset_type, severity, data from webhook_outbox
         order by seq limit $1 for update skip locked",
    )
    .bind(rows)
    .fetch_all(db)
    .await
}

/// Forgets what was handed on.
pub(super) async fn note_done(db: impl PgExecutor<'_>, seqs: &[i64]) -> sqlx::Result<()> {
    sqlx::query("delete from webhook_outbox where seq = any($1)").bind(seqs).execute(db).await.map(drop)
}

/// Those who are told anything; they stay until the transaction ends.
pub(super) async fn receivers(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(WebhookId, WebhookForm)>> {
    type Row = (WebhookId, Vec<String>, Option<Vec<String>>, Option<Vec<String>>, Option<Vec<String>>);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, events, assets, asset_types, severities from webhook where enabled order by id for key share",
    )
    .fetch_all(db)
    .await?;
    let form = |(id, events, assets, asset_types, severities): Row| {
        let events = events.iter().filter_map(|name| EventType::named(name)).collect();
        let (name, url) = (String::new(), String::new());
        (id, WebhookForm { name, url, events, assets, asset_types, severities, enabled: true })
    };
    Ok(rows.into_iter().map(form).collect())
}

/// Writes events.
pub(super) async fn tell(db: impl PgExecutor<'_>, told: &[Told], now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<WebhookEventId> = told.iter().map(|one| one.id).collect();
    let kinds: Vec<&str> = told.iter().map(|one| one.kind.as_str()).collect();
    let assets: Vec<Option<&str>> = told.iter().map(|one| one.asset.as_deref()).collect();
    let bodies: Vec<&str> = told.iter().map(|one| one.body.as_str()).collect();
    sqlx::query(
        "insert into webhook_event (id, type, asset, body, created_at)
         select g.id, g.type, g.asset, g.body, $5
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as g (id, type, asset, body)",
    )
    .bind(ids)
    .bind(kinds)
    .bind(assets)
    .bind(bodies)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Writes deliveries, which are due at once.
pub(super) async fn hand_over(
    db: impl PgExecutor<'_>,
    deliveries: &[(DeliveryId, WebhookId, WebhookEventId)],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<DeliveryId> = deliveries.iter().map(|(id, _, _)| *id).collect();
    let webhooks: Vec<WebhookId> = deliveries.iter().map(|(_, webhook, _)| *webhook).collect();
    let events: Vec<WebhookEventId> = deliveries.iter().map(|(_, _, event)| *event).collect();
    sqlx::query(
        "insert into webhook_delivery (id, webhook_id, event_id, status, due_at, created_at)
         select g.id, g.webhook_id, g.event_id, 'pending', $4, $4
         from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as g (id, webhook_id, event_id)",
    )
    .bind(ids)
    .bind(webhooks)
    .bind(events)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Takes what is due, the oldest of each receiver first, so many of each at a time on all servers together, or
/// hardly more.
pub(super) async fn claim(
    db: impl PgExecutor<'_>,
    token: LeaseToken,
    now: DateTime<Utc>,
    term: Duration,
    together: i64,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as(
        // Materialized, because what is chosen again while it is being taken would be more than was asked for.
        "with chosen as materialized (
             select p.id, w.url, w.secret, w.previous_secret, w.previous_until, w.failures, w.failing_since
             from webhook w
             cross join lateral (
                 select count(*) as busy from webhook_delivery b
                 where b.webhook_id = w.id and b.status = 'pending' and b.lease_expires_at > now()
             ) b
             cross join lateral (
                 select p.id from webhook_delivery p
                 where p.webhook_id = w.id and p.status = 'pending' and p.due_at <= $2
                     and (p.lease_expires_at is null or p.lease_expires_at <= now())
                 order by p.due_at, p.id limit greatest($4 - b.busy, 0) for update skip locked
             ) p
             where w.enabled
         )
         update webhook_delivery d set lease_token = $1, lease_expires_at = now() + make_interval(secs => $3),
             attempts = d.attempts + 1
         from chosen c, webhook_event e
         where d.id = c.id and e.id = d.event_id
         returning d.id, d.webhook_id, d.event_id, d.attempts, d.lease_token, e.type, e.body, c.url, c.secret,
             c.previous_secret, c.previous_until, c.failures, c.failing_since",
    )
    .bind(token)
    .bind(now)
    .bind(term.as_secs_f64())
    .bind(together)
    .fetch_all(db)
    .await
}

/// Writes a test event and its delivery, which is taken at once. None when there is no such webhook.
pub(super) async fn begin_test(
    db: impl PgExecutor<'_>,
    webhook: WebhookId,
    delivery: DeliveryId,
    told: &Told,
    token: LeaseToken,
    term: Duration,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as(
        "with told as (
             insert into webhook_event (id, type, asset, body, created_at) values ($3, $4, null, $5, $8)
             returning id, type, body
         ), made as (
             insert into webhook_delivery
                 (id, webhook_id, event_id, status, attempts, due_at, lease_token, lease_expires_at, created_at)
             select $2, w.id, t.id, 'pending', 1, $8, $6, now() + make_interval(secs => $7), $8
             from webhook w cross join told t where w.id = $1
             returning id, webhook_id, event_id, attempts, lease_token
         )
         select m.id, m.webhook_id, m.event_id, m.attempts, m.lease_token, t.type, t.body, w.url, w.secret,
             w.previous_secret, w.previous_until, w.failures, w.failing_since
         from made m join told t on t.id = m.event_id join webhook w on w.id = m.webhook_id",
    )
    .bind(webhook)
    .bind(delivery)
    .bind(told.id)
    .bind(&told.kind)
    .bind(&told.body)
    .bind(token)
    .bind(term.as_secs_f64())
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Ends a delivery, or puts it off, and notes at its receiver whether it works. Whether that was switched off;
/// none when the lease had run out and somebody else took it: then nothing is written.
pub(super) async fn end(db: impl PgExecutor<'_>, claimed: &Claimed, attempt: &Attempt) -> sqlx::Result<Option<bool>> {
    let status = match (&attempt.error, attempt.again) {
        (None, _) => Status::Delivered,
        (Some(_), Some(_)) => Status::Pending,
        (Some(_), None) => Status::Failed,
    };
    sqlx::query_scalar(
        "with done as (
             update webhook_delivery set status = $3, due_at = coalesce($4, due_at), lease_token = null,
                 lease_expires_at = null, attempted_at = $5, took_ms = $6, http_status = $7, error = $8, answer = $9,
                 finished_at = case when $3 <> 'pending' then $10::timestamptz end
             where id = $1 and lease_token = $2 and status = 'pending'
             returning webhook_id
         ), noted as (
             update webhook w set
                 failures = case when $8::text is null then 0 else w.failures + 1 end,
                 failing_since = case when $8::text is not null then coalesce(w.failing_since, $10) end,
                 enabled = w.enabled and $11::text is null,
                 disabled_reason = case when w.enabled then $11::text else w.disabled_reason end,
                 revision = w.revision + case when w.enabled and $11::text is not null then 1 else 0 end,
                 updated_at = case when w.enabled and $11::text is not null then $10 else w.updated_at end
             from done where w.id = done.webhook_id and not $12 and ($8::text is not null or w.failures > 0)
             returning w.enabled
         )
         select $11::text is not null and exists (select from noted where not enabled) from done",
    )
    .bind(claimed.id)
    .bind(claimed.token)
    .bind(status)
    .bind(attempt.again)
    .bind(attempt.begun)
    .bind(attempt.took_ms)
    .bind(attempt.status.map(u16::cast_signed))
    .bind(&attempt.error)
    .bind(&attempt.answer)
    .bind(attempt.now)
    .bind(&attempt.off)
    .bind(attempt.is_test)
    .fetch_optional(db)
    .await
}

/// A webhook's deliveries, the newest first.
pub(in crate::webhook) async fn list(
    db: impl PgExecutor<'_>,
    webhook: WebhookId,
    status: Option<Status>,
    before: Option<DeliveryId>,
    rows: i64,
) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as(
        "select d.id, d.event_id as event, e.type, e.asset, d.status, d.attempts,
             case when d.status = 'pending' then d.due_at end as due_at, d.attempted_at, d.took_ms, d.http_status, d.error,
             d.answer, d.created_at, d.finished_at
         from webhook_delivery d join webhook_event e on e.id = d.event_id
         where d.webhook_id = $1 and ($2::text is null or d.status = $2) and ($3::uuid is null or d.id < $3)
         order by d.id desc limit $4",
    )
    .bind(webhook)
    .bind(status)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// One delivery.
pub(super) async fn one(db: impl PgExecutor<'_>, id: DeliveryId) -> sqlx::Result<Option<Delivery>> {
    sqlx::query_as(
        "select d.id, d.event_id as event, e.type, e.asset, d.status, d.attempts,
             case when d.status = 'pending' then d.due_at end as due_at, d.attempted_at, d.took_ms, d.http_status, d.error,
             d.answer, d.created_at, d.finished_at
         from webhook_delivery d join webhook_event e on e.id = d.event_id where d.id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Forgets some events from before an instant, with their deliveries: how many.
pub(super) async fn forget(db: impl PgExecutor<'_>, before: DateTime<Utc>, rows: i64) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "delete from webhook_event where id in
             (select id from webhook_event where created_at < $1 order by created_at limit $2 for update skip locked)",
    )
    .bind(before)
    .bind(rows)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
