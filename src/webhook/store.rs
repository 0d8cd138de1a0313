//! The SQL of webhooks. That of telling them is in `deliver/store.rs`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::event::EventType;
use super::{Webhook, WebhookForm};
use crate::db::touched_one;
use crate::ids::WebhookId;

/// A row of `webhook`, without its secrets.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: WebhookId,
    name: String,
    url: String,
    events: Vec<String>,
    assets: Option<Vec<String>>,
    asset_types: Option<Vec<String>>,
    severities: Option<Vec<String>>,
    enabled: bool,
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    previous_until: Option<DateTime<Utc>>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            form: WebhookForm {
                name: row.name,
                url: row.url,
                events: row.events.iter().filter_map(|name| EventType::named(name)).collect(),
                assets: row.assets,
                asset_types: row.asset_types,
                severities: row.severities,
                enabled: row.enabled,
            },
            failures: row.failures,
            failing_since: row.failing_since,
            disabled_reason: row.disabled_reason,
            previous_until: row.previous_until,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn names(events: &[EventType]) -> Vec<&'static str> {
    events.iter().map(|kind| kind.name()).collect()
}

/// Writes a webhook, unless there are `most`. Whether it did.
pub(super) async fn insert(db: impl PgExecutor<'_>, webhook: &Webhook, secret: &str, most: i64) -> sqlx::Result<bool> {
    let form = &webhook.form;
    let done = sqlx::query(
        "insert into webhook (id, name, url, events, assets, asset_types, severities, enabled, secret, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10 where (select count(*) from webhook) < $11",
    )
    .bind(webhook.id)
    .bind(&form.name)
    .bind(&form.url)
    .bind(names(&form.events))
    .bind(&form.assets)
    .bind(&form.asset_types)
    .bind(&form.severities)
    .bind(form.enabled)
    .bind(secret)
    .bind(webhook.created_at)
    .bind(most)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Webhooks, the newest first.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    before: Option<WebhookId>,
    now: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<Webhook>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, name, url, events, assets, asset_types, severities, enabled, failures, failing_since, disabled_reason,
             case when previous_until > $2 then previous_until end as previous_until, revision, created_at, updated_at
         from webhook where ($1::uuid is null or id < $1) order by id desc limit $3",
    )
    .bind(before)
    .bind(now)
    .bind(rows)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Webhook::from).collect())
}

/// One webhook.
pub(super) async fn find(db: impl PgExecutor<'_>, id: WebhookId, now: DateTime<Utc>) -> sqlx::Result<Option<Webhook>> {
    let row: Option<Row> = sqlx::query_as(
        "select id, name, url, events, assets, asset_types, severities, enabled, failures, failing_since, disabled_reason,
             case when previous_until > $2 then previous_until end as previous_until, revision, created_at, updated_at
         from webhook where id = $1",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(db)
    .await?;
    Ok(row.map(Webhook::from))
}

/// Changes what a webhook says, unless it is no longer the one that was read. `anew` forgets what failed.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    present: &Webhook,
    form: &WebhookForm,
    anew: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update webhook set name = $3, url = $4, events = $5, assets = $6, asset_types = $7, severities = $8, enabled = $9,
             failures = case when $10 then 0 else failures end,
             failing_since = case when not $10 then failing_since end,
             disabled_reason = case when not $10 and not $9 then disabled_reason end,
             revision = revision + 1, updated_at = $11
         where id = $1 and revision = $2",
    )
    .bind(present.id)
    .bind(present.revision)
    .bind(&form.name)
    .bind(&form.url)
    .bind(names(&form.events))
    .bind(&form.assets)
    .bind(&form.asset_types)
    .bind(&form.severities)
    .bind(form.enabled)
    .bind(anew)
    .bind(now)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Deletes a webhook of a revision. Whether there was one.
pub(super) async fn delete(db: impl PgExecutor<'_>, id: WebhookId, revision: i64) -> sqlx::Result<bool> {
    let done =
        sqlx::query("delete from webhook where id = $1 and revision = $2").bind(id).bind(revision).execute(db).await?;
    Ok(touched_one(&done))
}

/// Puts another secret in the place of the present one, which signs beside it until an instant.
pub(super) async fn rotate(
    db: impl PgExecutor<'_>,
    id: WebhookId,
    secret: &str,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update webhook set previous_secret = secret, previous_until = $3, secret = $2, updated_at = $4 where id = $1",
    )
    .bind(id)
    .bind(secret)
    .bind(until)
    .bind(now)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Places of the keys that are none, counted from 0: of assets, and of types.
pub(super) async fn unknown(
    db: impl PgExecutor<'_>,
    assets: Option<&[String]>,
    types: Option<&[String]>,
) -> sqlx::Result<(Vec<i64>, Vec<i64>)> {
    sqlx::query_as(
        "select
             array(select n - 1 from unnest($1::text[]) with ordinality as g (key, n)
                 where not exists (select from asset a where a.key = g.key) order by n),
             array(select n - 1 from unnest($2::text[]) with ordinality as g (key, n)
                 where not exists (select from asset_type y where y.key = g.key) order by n)",
    )
    .bind(assets)
    .bind(types)
    .fetch_one(db)
    .await
}
