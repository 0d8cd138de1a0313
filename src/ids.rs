//! Names of things the server mints: `UUIDv7` from the clock, so that they sort by creation.
//!
//! Assets and asset types have keys that people choose; inside the database an asset is an
//! eight-byte surrogate, [`AssetId`], because it starts every key of the big tables.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::Clock;

/// The database's surrogate of an asset. Never shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct AssetId(pub i64);

macro_rules! minted {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            sqlx::Type, utoipa::ToSchema,
        )]
        #[sqlx(transparent)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one, stamped with the clock's time.
            #[must_use]
            pub fn mint(clock: &Clock) -> Self {
                let now = clock.now();
                let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
                Self(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())))
            }

            /// When it was minted, to the millisecond.
            #[must_use]
            pub fn minted_at(self) -> Option<DateTime<Utc>> {
                let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
                DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

minted! {
    /// A key that requests are allowed by.
    ApiKeyId,
    /// An entry of the audit trail.
    AuditEntryId,
    /// A result of fine-tuning.
    ModelId,
    /// A fine-tune job.
    JobId,
    /// The right to finish a job, held by one worker.
    LeaseToken,
    /// A prediction as it was served.
    PredictionId,
    /// An event whose sender gave it no id.
    EventId,
    /// A limit that is watched.
    AlarmRuleId,
    /// An alarm.
    AlarmId,
    /// A saved scenario.
    ScenarioId,
    /// One execution of a saved scenario.
    RunId,
    /// A backtest.
    BacktestId,
    /// A receiver of events.
    WebhookId,
    /// An event that receivers are told of.
    WebhookEventId,
    /// One event for one receiver.
    DeliveryId,
}
