//! The SQL of evaluating rules: who is behind, on what evidence, and what came of it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};

use super::evaluate::{Cleared, Forecast, Outcome, Raised};
use crate::alarm::machine::Phase;
use crate::alarm::outlook::Outlook;
use crate::alarm::rule::{Condition, Severity, Source};
use crate::ids::{AlarmId, AlarmRuleId, AssetId, PredictionId};
use crate::reading::QUALITY_BAD;

/// A rule that is behind, with its memory.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Behind {
    pub(super) id: AlarmRuleId,
    pub(super) asset_id: AssetId,
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) condition: Condition,
    pub(super) signal: Option<String>,
    pub(super) class: Option<String>,
    pub(super) position: Option<i32>,
    pub(super) unit: Option<String>,
    pub(super) limit_value: Option<f64>,
    pub(super) deadband: f64,
    pub(super) hold_us: i64,
    pub(super) within_us: Option<i64>,
    pub(super) probability: Option<f64>,
    pub(super) severity: Severity,
    pub(super) enabled: bool,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) seen_revision: i64,
    pub(super) phase: String,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) seen_at: Option<DateTime<Utc>>,
    pub(super) last_at: Option<DateTime<Utc>>,
    pub(super) last_value: Option<f64>,
    pub(super) prediction_id: Option<PredictionId>,
    pub(super) shelved_until: Option<DateTime<Utc>>,
    /// Its active alarm.
    pub(super) alarm_id: Option<AlarmId>,
    /// Event time of the newest reading that it watches.
    pub(super) newest_at: Option<DateTime<Utc>>,
    /// Event time of the asset's newest frame.
    pub(super) asset_at: Option<DateTime<Utc>>,
    /// Of an anomaly score or a health class: what was last judged, at `newest_at`.
    pub(super) judged: Option<f64>,
    /// The twin's own newest forecast, for predicted rules.
    pub(super) newest_prediction: Option<PredictionId>,
}

/// A reading of the watched signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) at: DateTime<Utc>,
    pub(super) value: f64,
    pub(super) good: bool,
}

/// Rules whose evidence has moved on, those that waited longest first; locked until the transaction
/// ends. Those that somebody else holds are left out. Asset and rule are locked as their foreign keys
/// would lock them later, so that a deletion waits for us instead of each for the other.
pub(super) async fn claim(db: impl PgExecutor<'_>, now: DateTime<Utc>, rows: i64) -> sqlx::Result<Vec<Behind>> {
    sqlx::query_as(
        "select r.id, r.asset_id, r.name, r.source, r.condition, r.signal, r.class, r.position, r.unit, r.limit_value, r.deadband,
             r.hold_us, r.within_us, r.probability, r.severity, r.enabled, r.revision, r.created_at, r.updated_at,
             s.revision as seen_revision, s.phase, s.since, s.seen_at, s.last_at, s.last_value, s.prediction_id,
             s.shelved_until, l.id as alarm_id, n.newest_at, n.judged, t.observed_at as asset_at, p.id as newest_prediction
         from alarm_rule r
         join alarm_state s on s.rule_id = r.id
         join asset a on a.id = r.asset_id
         left join twin t on t.asset_id = r.asset_id
         left join alarm l on l.rule_id = r.id and l.cleared_at is null
         left join anomaly o on r.source = 'anomaly' and o.asset_id = r.asset_id
         left join health h on r.source = 'health' and h.asset_id = r.asset_id
         cross join lateral (
             select case
                     when r.source = 'anomaly' then o.observed_at
                     when r.source = 'health' then h.observed_at
                     when r.position is null then t.observed_at
                     else t.reported_at[r.position]
                 end as newest_at,
                 coalesce(o.score, (h.probabilities ->> r.class)::float8) as judged
         ) n
         left join lateral (
             select p.id from prediction p
             where r.enabled and r.source = 'predicted' and p.asset_id = r.asset_id and p.cause = 'refresh'
             order by p.id desc limit 1
         ) p on true
         where case
             when not r.enabled then s.phase <> 'inactive'
             when r.revision <> s.revision then true
             when r.source = 'predicted' then p.id is distinct from s.prediction_id and p.id is not null
             when r.condition = 'missing' and s.phase = 'active' then n.newest_at > s.last_at
             when r.condition = 'missing' then
                 $1 - coalesce(n.newest_at, r.created_at) > r.hold_us * interval '1 microsecond'
                 and coalesce(n.newest_at, r.created_at) is distinct from s.last_at
             else n.newest_at > coalesce(s.seen_at, '-infinity')
                 or s.phase = 'pending' and r.condition in ('above', 'below')
                     and t.observed_at > s.since + r.hold_us * interval '1 microsecond'
             end
         order by s.evaluated_at limit $2
         for update of s skip locked for key share of r, a skip locked",
    )
    .bind(now)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// Readings that rules have not seen, by the rule's place and in the order of time, at most so many of
/// each.
pub(super) async fn samples(
    db: impl PgExecutor<'_>,
    rules: &[Behind],
    each: i64,
) -> sqlx::Result<HashMap<usize, Vec<Sample>>> {
    let (mut places, mut assets, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut after, mut until) = (Vec::new(), Vec::new());
    for (place, rule) in rules.iter().enumerate() {
        let values = rule.enabled && rule.source == Source::Measured && rule.condition != Condition::Missing;
        let (true, Some(position), Some(newest)) = (values, rule.position, rule.newest_at) else { continue };
        places.push(place as i64);
        assets.push(rule.asset_id.0);
        positions.push(position);
        after.push(after_which(rule, newest));
        until.push(newest);
    }
    let mut found: HashMap<usize, Vec<Sample>> = HashMap::new();
    if places.is_empty() {
        return Ok(found);
    }
    let rows: Vec<(i64, DateTime<Utc>, f64, i16)> = sqlx::query_as(
        "select w.place, f.observed_at, f.value, f.quality
         from unnest($1::int8[], $2::int8[], $3::int4[], $4::timestamptz[], $5::timestamptz[])
             as w (place, asset_id, position, after, until)
         cross join lateral (
             select f.observed_at, f.values[w.position] as value, coalesce(f.quality[w.position], 0::int2) as quality
             from frame f
             where f.asset_id = w.asset_id and f.observed_at > w.after and f.observed_at <= w.until
                 and f.values[w.position] is not null
             order by f.observed_at limit $6
         ) f
         order by w.place, f.observed_at",
    )
    .bind(places)
    .bind(assets)
    .bind(positions)
    .bind(after)
    .bind(until)
    .bind(each)
    .fetch_all(db)
    .await?;
    for (place, at, value, quality) in rows {
        let sample = Sample { at, value, good: quality != QUALITY_BAD };
        found.entry(place as usize).or_default().push(sample);
    }
    Ok(found)
}

/// The instant after which readings are new to a rule. One that was just made or changed looks at what
/// came since, and at the newest one in any case.
fn after_which(rule: &Behind, newest: DateTime<Utc>) -> DateTime<Utc> {
    let least = TimeDelta::microseconds(1);
    match rule.seen_at {
        Some(seen) if !rule.is_new() => seen,
        seen => (newest - least).min(seen.map_or(rule.updated_at - least, |seen| seen.max(rule.updated_at - least))),
    }
}

/// The newest forecasts, by the place of the rule that looks at them.
pub(super) async fn outlooks(db: impl PgExecutor<'_>, rules: &[Behind]) -> sqlx::Result<HashMap<usize, Forecast>> {
    type Row = (i64, PredictionId, DateTime<Utc>, Json<Vec<DateTime<Utc>>>, Option<Json<BTreeMap<String, Vec<f64>>>>);
    let wanted = rules.iter().enumerate().filter_map(|(place, rule)| {
        Some((place as i64, rule.asset_id.0, rule.newest_prediction?, rule.signal.as_deref()?))
    });
    let (mut places, mut assets, mut ids, mut signals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, asset, id, signal) in wanted {
        places.push(place);
        assets.push(asset);
        ids.push(id);
        signals.push(signal);
    }
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select w.place, p.id, p.state_at, p.answer -> 'timestamps', p.answer -> 'signals' -> w.signal
         from unnest($1::int8[], $2::int8[], $3::uuid[], $4::text[]) as w (place, asset_id, id, signal)
         join prediction p on p.asset_id = w.asset_id and p.id = w.id",
    )
    .bind(places)
    .bind(assets)
    .bind(ids)
    .bind(signals)
    .fetch_all(db)
    .await?;
    let forecast = |(place, id, state_at, Json(timestamps), bands): Row| {
        let outlook = bands.and_then(|Json(bands)| Outlook::new(timestamps, bands));
        (place as usize, Forecast { id, state_at, outlook })
    };
    Ok(rows.into_iter().map(forecast).collect())
}

/// Writes what came of a round: memories, ends of alarms, new alarms, and the log of both.
pub(super) async fn keep(
    transaction: &mut PgConnection,
    rules: &[Behind],
    outcomes: &[Outcome],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    remember(&mut *transaction, rules, outcomes, now).await?;
    let ends: Vec<(AlarmId, Cleared)> =
        rules.iter().zip(outcomes).filter_map(|(rule, outcome)| rule.alarm_id.zip(outcome.cleared)).collect();
    if !ends.is_empty() {
        end(&mut *transaction, &ends, now).await?;
    }
    let raised: Vec<(&Behind, &Raised)> = rules
        .iter()
        .zip(outcomes)
        .flat_map(|(rule, outcome)| outcome.raised.iter().map(move |raised| (rule, raised)))
        .collect();
    if !raised.is_empty() {
        raise(&mut *transaction, &raised, now).await?;
    }
    Ok(())
}

async fn remember(
    db: impl PgExecutor<'_>,
    rules: &[Behind],
    outcomes: &[Outcome],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<AlarmRuleId> = rules.iter().map(|rule| rule.id).collect();
    let revisions: Vec<i64> = rules.iter().map(|rule| rule.revision).collect();
    let phase = |outcome: &Outcome| match outcome.memory.phase {
        Phase::Inactive => ("inactive", None),
        Phase::Pending(since) => ("pending", Some(since)),
        Phase::Active => ("active", None),
    };
    let (phases, since): (Vec<&str>, Vec<Option<DateTime<Utc>>>) = outcomes.iter().map(phase).unzip();
    let seen: Vec<Option<DateTime<Utc>>> = outcomes.iter().map(|outcome| outcome.memory.seen_at).collect();
    let (last_at, last_value): (Vec<Option<DateTime<Utc>>>, Vec<Option<f64>>) =
        outcomes.iter().map(|outcome| outcome.memory.last.unzip()).unzip();
    let predictions: Vec<Option<PredictionId>> = outcomes.iter().map(|outcome| outcome.prediction).collect();
    sqlx::query(
        "update alarm_state s set revision = g.revision, phase = g.phase, since = g.since, seen_at = g.seen_at,
             last_at = g.last_at, last_value = g.last_value, prediction_id = g.prediction_id, evaluated_at = $9
         from unnest($1::uuid[], $2::int8[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
             $7::float8[], $8::uuid[]) as g (rule_id, revision, phase, since, seen_at, last_at, last_value, prediction_id)
         where s.rule_id = g.rule_id",
    )
    .bind(ids)
    .bind(revisions)
    .bind(phases)
    .bind(since)
    .bind(seen)
    .bind(last_at)
    .bind(last_value)
    .bind(predictions)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

async fn end(db: impl PgExecutor<'_>, ends: &[(AlarmId, Cleared)], now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<AlarmId> = ends.iter().map(|(id, _)| *id).collect();
    let at: Vec<DateTime<Utc>> = ends.iter().map(|(_, cleared)| cleared.at).collect();
    let values: Vec<Option<f64>> = ends.iter().map(|(_, cleared)| cleared.value).collect();
    let comments: Vec<Option<&str>> = ends.iter().map(|(_, cleared)| cleared.comment).collect();
    sqlx::query(
        "with given as (
             select * from unnest($1::uuid[], $2::timestamptz[], $3::float8[], $4::text[]) as g (id, at, value, comment)
         ), changed as (
             update alarm l set cleared_at = greatest(g.at, l.raised_at),
                 updated_at = greatest($5, l.updated_at + interval '1 microsecond')
             from given g where l.id = g.id and l.cleared_at is null returning l.id
         )
         insert into alarm_log (alarm_id, at, observed_at, action, value, comment)
         select g.id, $5, g.at, 'cleared', g.value, g.comment from given g join changed c on c.id = g.id",
    )
    .bind(ids)
    .bind(at)
    .bind(values)
    .bind(comments)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

async fn raise(db: impl PgExecutor<'_>, raised: &[(&Behind, &Raised)], now: DateTime<Utc>) -> sqlx::Result<()> {
    let ids: Vec<AlarmId> = raised.iter().map(|(_, raised)| raised.id).collect();
    let rules: Vec<AlarmRuleId> = raised.iter().map(|(rule, _)| rule.id).collect();
    let values: Vec<f64> = raised.iter().map(|(_, raised)| raised.value).collect();
    let texts: Vec<&str> = raised.iter().map(|(_, raised)| raised.text.as_str()).collect();
    let expected: Vec<Option<DateTime<Utc>>> = raised.iter().map(|(_, raised)| raised.expected_at).collect();
    let at: Vec<DateTime<Utc>> = raised.iter().map(|(_, raised)| raised.at).collect();
    let cleared_at: Vec<Option<DateTime<Utc>>> =
        raised.iter().map(|(_, raised)| raised.cleared.map(|cleared| cleared.at.max(raised.at))).collect();
    let cleared_value: Vec<Option<f64>> =
        raised.iter().map(|(_, raised)| raised.cleared.and_then(|cleared| cleared.value)).collect();
    let shelved: Vec<Option<DateTime<Utc>>> =
        raised.iter().map(|(rule, _)| rule.shelved_until.filter(|until| *until > now)).collect();
    let names: Vec<&str> = raised.iter().map(|(rule, _)| rule.name.as_str()).collect();
    let severities: Vec<&str> = raised.iter().map(|(rule, _)| rule.severity.name()).collect();
    sqlx::query(
        "with given as (
             select * from unnest($1::uuid[], $2::uuid[], $3::float8[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                 $7::timestamptz[], $8::float8[], $9::timestamptz[], $10::text[], $11::text[]) with ordinality
                 as g (id, rule_id, value, text, expected_at, raised_at, cleared_at, cleared_value, shelved_until, name,
                     severity, place)
         ), made as (
             insert into alarm (id, asset_id, rule_id, name, source, condition, signal, severity, limit_value, value, text,
                 expected_at, raised_at, cleared_at, shelved_until, created_at, updated_at)
             select g.id, r.asset_id, r.id, g.name, r.source, r.condition, r.signal, g.severity, r.limit_value, g.value,
                 g.text, g.expected_at, g.raised_at, g.cleared_at, g.shelved_until, $12, $12
             from given g join alarm_rule r on r.id = g.rule_id
             returning id
         )
         insert into alarm_log (alarm_id, at, observed_at, action, value)
         select e.id, $12, e.at, e.action, e.value
         from (
             select g.id, g.place, 1 as step, g.raised_at as at, 'raised' as action, g.value from given g
             union all
             select g.id, g.place, 2, g.cleared_at, 'cleared', g.cleared_value from given g where g.cleared_at is not null
         ) e join made m on m.id = e.id
         order by e.place, e.step",
    )
    .bind(ids)
    .bind(rules)
    .bind(values)
    .bind(texts)
    .bind(expected)
    .bind(at)
    .bind(cleared_at)
    .bind(cleared_value)
    .bind(shelved)
    .bind(names)
    .bind(severities)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Takes alarms off the shelf whose time there is over: how many.
pub(super) async fn unshelve(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "with changed as (
             update alarm set shelved_until = null, updated_at = greatest($1, updated_at + interval '1 microsecond')
             where cleared_at is null and shelved_until <= $1 returning id
         )
         insert into alarm_log (alarm_id, at, action) select id, $1, 'unshelved' from changed",
    )
    .bind(now)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
