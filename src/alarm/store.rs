//! The SQL of alarms and their log. That of evaluating rules is in `watch/store.rs`.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{Alarm, Filter, LogEntry, Said, Severity};
use crate::ids::{AlarmId, AlarmRuleId, AssetId};

/// Alarms, the newest first.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    asset: Option<AssetId>,
    before: Option<AlarmId>,
    now: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<Alarm>> {
    sqlx::query_as(
        "select l.id, a.key as asset, l.rule_id as rule, l.name, l.source, l.condition, l.signal, l.severity, l.limit_value,
             l.value, l.text, l.expected_at, l.cleared_at is null as active, l.acknowledged_at is not null as acknowledged,
             coalesce(l.cleared_at is null and l.shelved_until > $7, false) as shelved, l.raised_at, l.cleared_at,
             l.acknowledged_at, l.acknowledged_by, l.shelved_until, l.created_at, l.updated_at
         from alarm l join asset a on a.id = l.asset_id
         where ($1::int8 is null or l.asset_id = $1)
             and ($2::text is null or case $2
                 when 'active' then l.cleared_at is null
                 when 'cleared' then l.cleared_at is not null
                 when 'acknowledged' then l.acknowledged_at is not null
                 when 'unacknowledged' then l.acknowledged_at is null
                 else l.cleared_at is null and l.shelved_until > $7 end)
             and ($3::text is null or l.severity = $3) and ($4::text is null or l.source = $4)
             and ($5::uuid is null or l.rule_id = $5) and ($6::uuid is null or l.id < $6)
         order by l.id desc limit $8",
    )
    .bind(asset)
    .bind(filter.state)
    .bind(filter.severity)
    .bind(filter.source)
    .bind(filter.rule)
    .bind(before)
    .bind(now)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// One alarm.
pub(super) async fn find(db: impl PgExecutor<'_>, id: AlarmId, now: DateTime<Utc>) -> sqlx::Result<Option<Alarm>> {
    sqlx::query_as(
        "select l.id, a.key as asset, l.rule_id as rule, l.name, l.source, l.condition, l.signal, l.severity, l.limit_value,
             l.value, l.text, l.expected_at, l.cleared_at is null as active, l.acknowledged_at is not null as acknowledged,
             coalesce(l.cleared_at is null and l.shelved_until > $2, false) as shelved, l.raised_at, l.cleared_at,
             l.acknowledged_at, l.acknowledged_by, l.shelved_until, l.created_at, l.updated_at
         from alarm l join asset a on a.id = l.asset_id where l.id = $1",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Alarms that changed after an instant, in the order of their changes.
pub(super) async fn changed_since(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<Alarm>> {
    sqlx::query_as(
        "select l.id, a.key as asset, l.rule_id as rule, l.name, l.source, l.condition, l.signal, l.severity, l.limit_value,
             l.value, l.text, l.expected_at, l.cleared_at is null as active, l.acknowledged_at is not null as acknowledged,
             coalesce(l.cleared_at is null and l.shelved_until > $2, false) as shelved, l.raised_at, l.cleared_at,
             l.acknowledged_at, l.acknowledged_by, l.shelved_until, l.created_at, l.updated_at
         from alarm l join asset a on a.id = l.asset_id
         where l.updated_at > $1 order by l.updated_at, l.id limit $3",
    )
    .bind(at)
    .bind(now)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// An alarm's log, in its order.
pub(super) async fn log(db: impl PgExecutor<'_>, id: AlarmId) -> sqlx::Result<Vec<LogEntry>> {
    sqlx::query_as("select at, observed_at, action, who, value, comment from alarm_log where alarm_id = $1 order by id")
        .bind(id)
        .fetch_all(db)
        .await
}

/// Notes that a person took notice, if nobody did before.
pub(super) async fn acknowledge(
    db: impl PgExecutor<'_>,
    id: AlarmId,
    said: &Said,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "with changed as (
             update alarm set acknowledged_at = $2, acknowledged_by = $3,
                 updated_at = greatest($2, updated_at + interval '1 microsecond')
             where id = $1 and acknowledged_at is null returning id
         )
         insert into alarm_log (alarm_id, at, action, who, comment) select id, $2, 'acknowledged', $3, $4 from changed",
    )
    .bind(id)
    .bind(now)
    .bind(&said.who)
    .bind(&said.comment)
    .execute(db)
    .await
    .map(drop)
}

/// Locks the state of an alarm's rule, as whoever evaluates the rule does before it touches the alarm.
async fn lock(db: impl PgExecutor<'_>, id: AlarmId) -> sqlx::Result<Option<AlarmRuleId>> {
    sqlx::query_scalar(
        "select s.rule_id from alarm l join alarm_state s on s.rule_id = l.rule_id where l.id = $1 for update of s",
    )
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Clears an active alarm; its rule begins anew.
pub(super) async fn clear(
    transaction: &mut PgConnection,
    id: AlarmId,
    said: &Said,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    lock(&mut *transaction, id).await?;
    sqlx::query(
        "with changed as (
             update alarm set cleared_at = greatest($2, raised_at),
                 updated_at = greatest($2, updated_at + interval '1 microsecond')
             where id = $1 and cleared_at is null returning id, rule_id
         ), begun as (
             update alarm_state s set phase = 'inactive', since = null from changed c where s.rule_id = c.rule_id
         )
         insert into alarm_log (alarm_id, at, action, who, comment) select id, $2, 'cleared', $3, $4 from changed",
    )
    .bind(id)
    .bind(now)
    .bind(&said.who)
    .bind(&said.comment)
    .execute(transaction)
    .await
    .map(drop)
}

/// Shelves an active alarm and its rule until an instant, or takes them off the shelf. Whether it is
/// active.
pub(super) async fn shelve(
    transaction: &mut PgConnection,
    id: AlarmId,
    until: Option<DateTime<Utc>>,
    said: &Said,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    lock(&mut *transaction, id).await?;
    let done = sqlx::query(
        "with changed as (
             update alarm set shelved_until = $3, updated_at = greatest($2, updated_at + interval '1 microsecond')
             where id = $1 and cleared_at is null returning id, rule_id
         ), ruled as (
             update alarm_state s set shelved_until = $3 from changed c where s.rule_id = c.rule_id
         )
         insert into alarm_log (alarm_id, at, action, who, comment)
         select id, $2, case when $3::timestamptz is null then 'unshelved' else 'shelved' end, $4,
             nullif(concat_ws(': ', 'until ' || to_char($3 at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), $5::text), '')
         from changed",
    )
    .bind(id)
    .bind(now)
    .bind(until)
    .bind(&said.who)
    .bind(&said.comment)
    .execute(transaction)
    .await?;
    Ok(crate::db::touched_one(&done))
}

/// Adds a comment, unless the log has `most` entries. Whether it did.
pub(super) async fn comment(
    db: impl PgExecutor<'_>,
    id: AlarmId,
    said: &Said,
    now: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "with changed as (
             update alarm set updated_at = greatest($2, updated_at + interval '1 microsecond')
             where id = $1 and (select count(*) from alarm_log where alarm_id = $1) < $5 returning id
         )
         insert into alarm_log (alarm_id, at, action, who, comment) select id, $2, 'commented', $3, $4 from changed",
    )
    .bind(id)
    .bind(now)
    .bind(&said.who)
    .bind(&said.comment)
    .bind(most)
    .execute(db)
    .await?;
    Ok(crate::db::touched_one(&done))
}

/// How many alarms are active, by severity.
pub(super) async fn count_active(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(Severity, i64)>> {
    sqlx::query_as("select severity, count(*) from alarm where cleared_at is null group by severity")
        .fetch_all(db)
        .await
}

/// Forgets some alarms that have cleared and did not change since an instant, with their log. That of the last
/// change decides, because evidence may have come long after its event time.
pub(super) async fn forget(db: impl PgExecutor<'_>, before: DateTime<Utc>, rows: i64) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "delete from alarm where id in (
             select id from alarm where updated_at < $1 and cleared_at is not null
             order by updated_at limit $2 for update skip locked
         )",
    )
    .bind(before)
    .bind(rows)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
