//! The SQL of rules.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{Condition, Rule, RuleForm, Severity, Source, interval};
use crate::asset::Interval;
use crate::ids::{AlarmRuleId, AssetId};

/// A row of `alarm_rule`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RuleRow {
    id: AlarmRuleId,
    name: String,
    description: Option<String>,
    source: Source,
    condition: Condition,
    signal: Option<String>,
    class: Option<String>,
    unit: Option<String>,
    limit_value: Option<f64>,
    deadband: f64,
    hold_us: i64,
    within_us: Option<i64>,
    probability: Option<f64>,
    severity: Severity,
    enabled: bool,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl RuleRow {
    pub(super) fn complete(self, asset: &str) -> Rule {
        Rule {
            id: self.id,
            asset: asset.to_owned(),
            form: RuleForm {
                name: self.name,
                description: self.description,
                source: self.source,
                condition: self.condition,
                signal: self.signal,
                class: self.class,
                limit: self.limit_value,
                deadband: (self.deadband != 0.0).then_some(self.deadband),
                r#for: interval(self.hold_us),
                within: self.within_us.and_then(interval),
                probability: self.probability,
                severity: self.severity,
                enabled: self.enabled,
            },
            unit: self.unit,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// Writes a rule with an empty memory, unless the asset has `most` of them. Whether it did.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    rule: &Rule,
    position: Option<i32>,
    most: i64,
) -> sqlx::Result<bool> {
    let form = &rule.form;
    let done = sqlx::query(
        "with made as (
             insert into alarm_rule (id, asset_id, name, description, source, condition, signal, position, unit, limit_value,
                 deadband, hold_us, within_us, probability, severity, enabled, created_at, updated_at, class)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $19
             where (select count(*) from alarm_rule where asset_id = $2) < $18
             returning id
         )
         insert into alarm_state (rule_id, evaluated_at) select id, $17 from made",
    )
    .bind(rule.id)
    .bind(asset)
    .bind(&form.name)
    .bind(&form.description)
    .bind(form.source)
    .bind(form.condition)
    .bind(&form.signal)
    .bind(position)
    .bind(&rule.unit)
    .bind(form.limit)
    .bind(form.deadband.unwrap_or_default())
    .bind(form.r#for.map_or(0, Interval::micros))
    .bind(form.within.map(Interval::micros))
    .bind(form.within.map(|_| form.least_probability()))
    .bind(form.severity)
    .bind(form.enabled)
    .bind(rule.created_at)
    .bind(most)
    .bind(&form.class)
    .execute(db)
    .await?;
    Ok(crate::db::touched_one(&done))
}

/// `None` when the rule is no longer in the revision that was read.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    read: &Rule,
    form: &RuleForm,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<RuleRow>> {
    sqlx::query_as(
        "update alarm_rule set name = $3, description = $4, limit_value = $5, deadband = $6, hold_us = $7, within_us = $8,
             probability = $9, severity = $10, enabled = $11, revision = revision + 1, updated_at = $12
         where id = $1 and revision = $2
         returning id, name, description, source, condition, signal, class, unit, limit_value, deadband, hold_us, within_us,
             probability, severity, enabled, revision, created_at, updated_at",
    )
    .bind(read.id)
    .bind(read.revision)
    .bind(&form.name)
    .bind(&form.description)
    .bind(form.limit)
    .bind(form.deadband.unwrap_or_default())
    .bind(form.r#for.map_or(0, Interval::micros))
    .bind(form.within.map(Interval::micros))
    .bind(form.within.map(|_| form.least_probability()))
    .bind(form.severity)
    .bind(form.enabled)
    .bind(now)
    .fetch_optional(db)
    .await
}

pub(super) async fn find(db: impl PgExecutor<'_>, asset: AssetId, id: AlarmRuleId) -> sqlx::Result<Option<RuleRow>> {
    sqlx::query_as(
        "select id, name, description, source, condition, signal, class, unit, limit_value, deadband, hold_us, within_us,
             probability, severity, enabled, revision, created_at, updated_at
         from alarm_rule where asset_id = $1 and id = $2",
    )
    .bind(asset)
    .bind(id)
    .fetch_optional(db)
    .await
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    before: Option<AlarmRuleId>,
    rows: i64,
) -> sqlx::Result<Vec<RuleRow>> {
    sqlx::query_as(
        "select id, name, description, source, condition, signal, class, unit, limit_value, deadband, hold_us, within_us,
             probability, severity, enabled, revision, created_at, updated_at
         from alarm_rule where asset_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
    )
    .bind(asset)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// Deletes a rule after its active alarm has cleared; `false` when it is no longer in the revision that
/// was read. Locks rule and state before the alarm, as whoever evaluates the rule does.
pub(super) async fn delete(
    transaction: &mut PgConnection,
    id: AlarmRuleId,
    revision: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let locked: Option<i64> = sqlx::query_scalar(
        "select r.revision from alarm_rule r join alarm_state s on s.rule_id = r.id
         where r.id = $1 and r.revision = $2 for update of r, s",
    )
    .bind(id)
    .bind(revision)
    .fetch_optional(&mut *transaction)
    .await?;
    if locked.is_none() {
        return Ok(false);
    }
    sqlx::query(
        "with cleared as (
             update alarm set cleared_at = greatest($2, raised_at), updated_at = greatest($2, updated_at + interval '1 microsecond')
             where rule_id = $1 and cleared_at is null returning id
         )
         insert into alarm_log (alarm_id, at, action, comment) select id, $2, 'cleared', 'the rule was deleted' from cleared",
    )
    .bind(id)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    let done = sqlx::query("delete from alarm_rule where id = $1").bind(id).execute(&mut *transaction).await?;
    Ok(crate::db::touched_one(&done))
}
