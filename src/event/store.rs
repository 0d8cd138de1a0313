//! The table `event`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Event, Filter, Label, Severity, Turn};
use crate::ids::AssetId;

/// Writes events, no id twice, over those of the same id: how many are new, and how many said
/// something else before. Labels are replaced only by those who `may_label`.
pub(super) async fn upsert(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    events: &[Event],
    may_label: bool,
) -> sqlx::Result<(u64, u64)> {
    let column = |of: fn(&Event) -> Option<&str>| events.iter().map(of).collect::<Vec<_>>();
    let starts: Vec<DateTime<Utc>> = events.iter().map(|event| event.start).collect();
    let ends: Vec<Option<DateTime<Utc>>> = events.iter().map(|event| event.end).collect();
    let received: Vec<DateTime<Utc>> = events.iter().map(|event| event.received_at).collect();
    // In the order of ids, so that two writers of the same events never wait for each other in a circle.
    let (new, changed): (i64, i64) = sqlx::query_as(
        "with written as (
             insert into event as e (asset_id, id, kind, starts_at, ends_at, severity, code, text, class, received_at)
             select $1, g.* from unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[],
                 $8::text[], $9::text[], $10::timestamptz[])
                 as g (id, kind, starts_at, ends_at, severity, code, text, class, received_at)
             order by g.id
             on conflict on constraint event_key do update
             set kind = excluded.kind, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
                 severity = excluded.severity, code = excluded.code, text = excluded.text, class = excluded.class,
                 received_at = excluded.received_at
             where (e.kind, e.starts_at, e.ends_at, e.severity, e.code, e.text, e.class) is distinct from
                 (excluded.kind, excluded.starts_at, excluded.ends_at, excluded.severity, excluded.code, excluded.text,
                  excluded.class)
                 and ($11 or e.kind <> 'label')
             returning xmax = 0 as is_new
         )
         select count(*) filter (where is_new), count(*) filter (where not is_new) from written",
    )
    .bind(asset)
    .bind(column(|event| Some(&event.id)))
    .bind(column(|event| Some(event.kind.name())))
    .bind(starts)
    .bind(ends)
    .bind(column(|event| event.severity.map(Severity::name)))
    .bind(column(|event| event.code.as_deref()))
    .bind(column(|event| event.text.as_deref()))
    .bind(column(|event| event.class.as_deref()))
    .bind(received)
    .bind(may_label)
    .fetch_one(db)
    .await?;
    Ok((new.cast_unsigned(), changed.cast_unsigned()))
}

/// Those of these events of an asset that are labels.
pub(super) async fn labels_among(db: impl PgExecutor<'_>, asset: AssetId, ids: &[&str]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("select id from event where asset_id = $1 and id = any($2) and kind = 'label'")
        .bind(asset)
        .bind(ids)
        .fetch_all(db)
        .await
}

/// Labels of an asset that name a class and reach beyond an instant, in the order of their beginnings.
pub async fn labels(db: impl PgExecutor<'_>, asset: AssetId, after: DateTime<Utc>) -> sqlx::Result<Vec<Label>> {
    sqlx::query_as(
        "select starts_at, ends_at, class from event
         where asset_id = $1 and kind = 'label' and class is not null and coalesce(ends_at, 'infinity') > $2
         order by starts_at, id",
    )
    .bind(asset)
    .bind(after)
    .fetch_all(db)
    .await
}

/// The newest label of one of these classes that began by an instant, as [`super::lives`] sees it.
pub async fn newest_turn(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    classes: &[&str],
    by: DateTime<Utc>,
) -> sqlx::Result<Option<Turn>> {
    sqlx::query_as(
        "select t.starts_at, coalesce(t.ends_at, (
             select min(n.starts_at) from event n
             where n.asset_id = t.asset_id and n.kind = 'label' and n.class is not null and n.starts_at > t.starts_at
         )) as ends_at
         from event t
         where t.asset_id = $1 and t.kind = 'label' and t.class = any($2) and t.starts_at <= $3
         order by t.starts_at desc, t.id desc limit 1",
    )
    .bind(asset)
    .bind(classes)
    .bind(by)
    .fetch_optional(db)
    .await
}

/// Events of an asset, those that began last first, that began before a position.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    filter: &Filter,
    before: Option<(DateTime<Utc>, String)>,
    rows: i64,
) -> sqlx::Result<Vec<Event>> {
    let (at, id) = before.unzip();
    sqlx::query_as(
        "select id, kind, starts_at, ends_at, severity, code, text, class, received_at
         from event
         where asset_id = $1 and ($2::text is null or kind = $2)
             and ($3::timestamptz is null or coalesce(ends_at, starts_at) >= $3)
             and ($4::timestamptz is null or starts_at < $4)
             and ($5::text is null or code = $5) and ($6::text is null or severity = $6)
             and ($7::text is null or class = $7)
             and ($8::timestamptz is null or (starts_at, id) < ($8, $9::text))
         order by starts_at desc, id desc limit $10",
    )
    .bind(asset)
    .bind(filter.kind)
    .bind(filter.from)
    .bind(filter.to)
    .bind(&filter.code)
    .bind(filter.severity)
    .bind(&filter.class)
    .bind(at)
    .bind(id)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// One event.
pub(super) async fn find(db: impl PgExecutor<'_>, asset: AssetId, id: &str) -> sqlx::Result<Option<Event>> {
    sqlx::query_as(
        "select id, kind, starts_at, ends_at, severity, code, text, class, received_at
         from event where asset_id = $1 and id = $2",
    )
    .bind(asset)
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Whether it was there.
pub(super) async fn delete(db: impl PgExecutor<'_>, asset: AssetId, id: &str) -> sqlx::Result<bool> {
    let done =
        sqlx::query("delete from event where asset_id = $1 and id = $2").bind(asset).bind(id).execute(db).await?;
    Ok(crate::db::touched_one(&done))
}
