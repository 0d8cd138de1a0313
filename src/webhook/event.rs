//! What is told: kinds of events, and the JSON that is posted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::WebhookEventId;

/// A kind of event that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WebhookEventType)]
pub enum EventType {
    /// An alarm became active.
    #[serde(rename = "alarm.raised")]
    AlarmRaised,
    /// It was over.
    #[serde(rename = "alarm.cleared")]
    AlarmCleared,
    /// A person took notice.
    #[serde(rename = "alarm.acknowledged")]
    AlarmAcknowledged,
    /// A person does not want to hear of it for a while.
    #[serde(rename = "alarm.shelved")]
    AlarmShelved,
    /// That while is over.
    #[serde(rename = "alarm.unshelved")]
    AlarmUnshelved,
    /// A person said something about it.
    #[serde(rename = "alarm.commented")]
    AlarmCommented,
    /// Another version of a model serves.
    #[serde(rename = "model.promoted")]
    ModelPromoted,
    /// The version that served before serves again.
    #[serde(rename = "model.rolled_back")]
    ModelRolledBack,
    /// A fine-tune job was given up.
    #[serde(rename = "job.failed")]
    JobFailed,
}

/// The kind of what a test sends.
pub(super) const TEST: &str = "webhook.test";

impl EventType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AlarmRaised,
        Self::AlarmCleared,
        Self::AlarmAcknowledged,
        Self::AlarmShelved,
        Self::AlarmUnshelved,
        Self::AlarmCommented,
        Self::ModelPromoted,
        Self::ModelRolledBack,
        Self::JobFailed,
    ];

    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AlarmRaised => "alarm.raised",
            Self::AlarmCleared => "alarm.cleared",
            Self::AlarmAcknowledged => "alarm.acknowledged",
            Self::AlarmShelved => "alarm.shelved",
            Self::AlarmUnshelved => "alarm.unshelved",
            Self::AlarmCommented => "alarm.commented",
            Self::ModelPromoted => "model.promoted",
            Self::ModelRolledBack => "model.rolled_back",
            Self::JobFailed => "job.failed",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An event as it is posted.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    /// The same in every attempt: what came before is known by it.
    id: WebhookEventId,
    r#type: &'a str,
    /// When it happened.
    timestamp: DateTime<Utc>,
    /// Key of the asset.
    asset: Option<&'a str>,
    data: &'a Value,
}

/// The JSON of an event.
pub(super) fn body(
    id: WebhookEventId,
    kind: &str,
    at: DateTime<Utc>,
    asset: Option<&str>,
    data: &Value,
) -> serde_json::Result<String> {
    serde_json::to_string(&Envelope { id, r#type: kind, timestamp: at, asset, data })
}

/// Rewrites the instants of what a trigger noted as everything else writes them: in UTC, with a Z.
pub(super) fn with_instants_in_utc(data: &mut Value) {
    let Value::Object(members) = data else { return };
    for (name, value) in members {
        let instant = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc));
        match value {
            Value::String(text) if name == "at" || name.ends_with("_at") || name.ends_with("_until") => {
                if let Some(Ok(written)) = instant(text).map(serde_json::to_value) {
                    *value = written;
                }
            }
            Value::Object(_) => with_instants_in_utc(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_is_read_by_the_name_that_it_is_written_with() {
        for kind in EventType::ALL {
            assert_eq!(EventType::named(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(EventType::named(TEST), None);
    }

    #[test]
    fn instants_are_told_in_utc() {
        let mut data = json!({
            "alarm": {"raised_at": "2026-11-24T14:00:00.5+02:00", "cleared_at": null, "name": "2026-11-24T14:00:00+02:00"},
            "at": "2026-11-24T12:00:00+00:00", "shelved_until": "soon",
        });
        with_instants_in_utc(&mut data);
        let expected = json!({
            "alarm": {"raised_at": "2026-11-24T12:00:00.500Z", "cleared_at": null, "name": "2026-11-24T14:00:00+02:00"},
            "at": "2026-11-24T12:00:00Z", "shelved_until": "soon",
        });
        assert_eq!(data, expected);
    }
}
