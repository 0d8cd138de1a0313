//! Alarms: limits on measured and predicted values, and what people do about broken ones.
//!
//! Rules say what is watched ([`rule`]); the reconciler evaluates what is stale ([`watch`]) with a
//! pure state machine ([`machine`]). A rule has at most one active alarm. Whether an alarm is active,
//! acknowledged or shelved are three things: acknowledging clears nothing, and what clears may still
//! wait to be acknowledged. Everything that happens to an alarm is appended to its log. Telling the
//! outside world is deliberately absent: the stream tells, and webhooks read the log.

pub mod machine;
pub mod outlook;
pub mod routes;
pub mod rule;
mod store;
pub mod watch;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

pub use rule::{Condition, Rule, RuleForm, Severity, Source};

use crate::asset::{AssetError, Assets};
use crate::clock::Clock;
use crate::ids::{AlarmId, AlarmRuleId};
use crate::observe::{EncodeLabelSet, Family, Gauge, Metrics};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{FieldError, Problem};

/// Alarms.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)] // clap names a group after the struct; ours are all called Config
pub struct Config {
    /// Days after their last change that alarms which have cleared are kept, with their log; active ones stay.
    #[arg(long, env = "COUNTERPART_ALARM_KEEP_DAYS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub alarm_keep_days: u32,
}

/// Longest that an alarm can be shelved, in days.
pub const MAX_SHELF_DAYS: i64 = 30;
/// Entries of one alarm's log up to which people may add comments.
const MAX_LOG: i64 = 1_000;
/// Alarms forgotten in one statement.
pub const FORGOTTEN: i64 = 1_000;
/// The list of alarms, for its cursors.
const LIST: &str = "alarms";

/// An alarm as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Alarm {
    /// Its id.
    pub id: AlarmId,
    /// Key of the asset.
    pub asset: String,
    /// The rule that raised it; null once that is deleted.
    pub rule: Option<AlarmRuleId>,
    /// Name of the rule.
    pub name: String,
    /// What is watched.
    pub source: Source,
    /// What is watched for.
    pub condition: Condition,
    /// The signal that is watched; null for any.
    pub signal: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The limit, in the unit of the signal, for rates per second; null for missing readings.
    #[sqlx(rename = "limit_value")]
    pub limit: Option<f64>,
    /// What raised it: a value, a change per second, seconds of silence, or a probability.
    pub value: Option<f64>,
    /// What happened, for people.
    pub text: String,
    /// Of predicted: the first instant at which a breach is probable enough.
    pub expected_at: Option<DateTime<Utc>>,
    /// Whether what raised it still holds.
    pub active: bool,
    /// Whether a person took notice.
    pub acknowledged: bool,
    /// Whether it is active but nobody wants to hear of it now.
    pub shelved: bool,
    /// Event time from which on it was active.
    pub raised_at: DateTime<Utc>,
    /// When it was over; null while it is active.
    pub cleared_at: Option<DateTime<Utc>>,
    /// When a person took notice.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who, if they said.
    pub acknowledged_by: Option<String>,
    /// Until when it is shelved.
    pub shelved_until: Option<DateTime<Utc>>,
    /// When the server raised it.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What happened to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AlarmAction)]
pub enum Action {
    /// It became active.
    Raised,
    /// It was over.
    Cleared,
    /// A person took notice.
    Acknowledged,
    /// A person does not want to hear of it for a while.
    Shelved,
    /// That while is over.
    Unshelved,
    /// A person said something.
    Commented,
}

/// An entry of an alarm's log.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = AlarmLogEntry)]
pub struct LogEntry {
    /// When, by the server's clock.
    pub at: DateTime<Utc>,
    /// Event time of the evidence; null for what people did.
    pub observed_at: Option<DateTime<Utc>>,
    /// What.
    pub action: Action,
    /// Who, if they said; null for the server.
    pub who: Option<String>,
    /// As the alarm's `value`, at that moment.
    pub value: Option<f64>,
    /// In words.
    pub comment: Option<String>,
}

/// How alarms stand, for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AlarmStanding)]
pub enum Standing {
    /// Active, shelved or not.
    Active,
    /// Over.
    Cleared,
    /// Acknowledged, active or over.
    Acknowledged,
    /// Not acknowledged, active or over.
    Unacknowledged,
    /// Active and shelved now.
    Shelved,
}

/// Which alarms a list shows. Conditions that are not given hold for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this asset, by its key.
    pub asset: Option<String>,
    /// Only those that stand so.
    pub state: Option<Standing>,
    /// Only those as bad as this.
    pub severity: Option<Severity>,
    /// Only those from this source.
    pub source: Option<Source>,
    /// Only those of this rule.
    pub rule: Option<AlarmRuleId>,
}

/// Who does something to an alarm, and what they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub who: Option<String>,
    /// In words.
    pub comment: Option<String>,
}

/// Why a rule or an alarm could not be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// No such rule.
    #[error("the asset has no such alarm rule")]
    NoRule,
    /// No such alarm.
    #[error("there is no such alarm")]
    NotFound,
    /// Somebody changed it meanwhile.
    #[error("somebody changed it meanwhile")]
    Changed,
    /// The asset has as many rules as it may have.
    #[error("the asset has {max} alarm rules already, the most that it can have", max = rule::MAX_RULES)]
    TooManyRules,
    /// The alarm is over.
    #[error("the alarm has cleared: only an active one can be shelved")]
    Over,
    /// The log is full.
    #[error("the alarm's log is full")]
    LogFull,
    /// Values that are wrong.
    #[error("something in the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The asset is not there, or cannot be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SeverityLabel {
    severity: &'static str,
}

/// Handle on rules and alarms. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alarms {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    /// Steps of the twins' own forecasts.
    horizon: usize,
    /// How long alarms that have cleared are kept.
    keep: TimeDelta,
    active: Family<SeverityLabel, Gauge>,
}

impl Alarms {
    /// The alarms of a database. `horizon` is how many steps the twins' own forecasts have.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, horizon: usize, config: &Config, metrics: &Metrics) -> Self {
        let active = metrics.register("alarms_active", "Active alarms", Family::default());
        Self { db, clock, assets, horizon, keep: TimeDelta::days(i64::from(config.alarm_keep_days)), active }
    }

    /// A page of alarms, the newest first.
    pub async fn list(&self, filter: &Filter, limit: Limit, cursor: Option<&str>) -> Result<Page<Alarm>, Problem> {
        let before: Option<AlarmId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let asset = match &filter.asset {
            Some(key) => Some(self.assets.find(key).await?.id),
            None => None,
        };
        let rows = store::list(&self.db, filter, asset, before, self.clock.now(), limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |alarm| alarm.id))
    }

    /// An alarm.
    pub async fn find(&self, id: AlarmId) -> Result<Alarm, AlarmError> {
        store::find(&self.db, id, self.clock.now()).await?.ok_or(AlarmError::NotFound)
    }

    /// Everything that happened to an alarm, in its order.
    pub async fn log(&self, id: AlarmId) -> Result<Vec<LogEntry>, AlarmError> {
        Ok(store::log(&self.db, id).await?)
    }

    /// Alarms that changed after an instant, in the order of their changes.
    pub async fn changed_since(&self, at: DateTime<Utc>, limit: i64) -> Result<Vec<Alarm>, AlarmError> {
        Ok(store::changed_since(&self.db, at, self.clock.now(), limit).await?)
    }

    /// Notes that a person took notice. Doing so again changes nothing.
    pub async fn acknowledge(&self, id: AlarmId, said: &Said) -> Result<Alarm, AlarmError> {
        store::acknowledge(&self.db, id, said, self.clock.now()).await?;
        self.find(id).await
    }

    /// Clears an active alarm by hand. If the condition still holds, the next evidence of it raises
    /// another one. Doing so again changes nothing.
    pub async fn clear(&self, id: AlarmId, said: &Said) -> Result<Alarm, AlarmError> {
        let (db, now, said) = (self.db.clone(), self.clock.now(), said.clone());
        // A task of its own, because a client that leaves must not leave half a transaction.
        let cleared = tokio::spawn(async move {
            let mut transaction = db.begin().await?;
            store::clear(&mut transaction, id, &said, now).await?;
            transaction.commit().await
        });
        cleared.await.map_err(|_| AlarmError::Database(sqlx::Error::WorkerCrashed))??;
        self.find(id).await
    }

    /// Shelves an active alarm, and others that its rule raises, until an instant; `None` takes it off
    /// the shelf.
    pub async fn shelve(&self, id: AlarmId, until: Option<DateTime<Utc>>, said: &Said) -> Result<Alarm, AlarmError> {
        let now = self.clock.now();
        if let Some(until) = until {
            let detail = match until {
                past if past <= now => Some("does not lie in the future"),
                far if far > now + TimeDelta::days(MAX_SHELF_DAYS) => Some("lies more than 30 days ahead"),
                _ => None,
            };
            if let Some(detail) = detail {
                let error = FieldError { pointer: "/until".to_owned(), detail: detail.to_owned() };
                return Err(AlarmError::Invalid(vec![error]));
            }
        }
        let (db, said) = (self.db.clone(), said.clone());
        let shelved = tokio::spawn(async move {
            let mut transaction = db.begin().await?;
            let shelved = store::shelve(&mut transaction, id, until, &said, now).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(shelved)
        });
        let shelved = shelved.await.map_err(|_| AlarmError::Database(sqlx::Error::WorkerCrashed))?;
        let alarm = self.find(id).await?;
        if shelved? { Ok(alarm) } else { Err(AlarmError::Over) }
    }

    /// Adds a comment to an alarm's log.
    pub async fn comment(&self, id: AlarmId, said: &Said) -> Result<Alarm, AlarmError> {
        let taken = store::comment(&self.db, id, said, self.clock.now(), MAX_LOG).await?;
        let alarm = self.find(id).await?;
        if taken { Ok(alarm) } else { Err(AlarmError::LogFull) }
    }

    /// Forgets some alarms that cleared and were not touched for long, with their log: how many.
    pub async fn forget(&self) -> Result<u64, AlarmError> {
        Ok(store::forget(&self.db, self.clock.now() - self.keep, FORGOTTEN).await?)
    }

    /// Counts the active alarms for the metrics.
    async fn count(&self) -> Result<(), AlarmError> {
        let counted = store::count_active(&self.db).await?;
        for severity in Severity::ALL {
            let count = counted.iter().find(|(of, _)| *of == severity).map_or(0, |(_, count)| *count);
            self.active.get_or_create(&SeverityLabel { severity: severity.name() }).set(count);
        }
        Ok(())
    }
}
