//! Events as senders write them, one by one: what is wrong with one is said of that one.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Event, EventsError, Kind, MAX_EVENTS, Severity};
use crate::asset::{AssetType, Key};
use crate::reading::Window;
use crate::reading::instant::{self, InstantError};
use crate::web::json::{self, JsonError};
use crate::web::problem;

/// Longest text of an event, in characters.
pub const MAX_TEXT: usize = 10_000;
/// Longest code of an event, in characters.
pub const MAX_CODE: usize = 128;
/// What the parser says when it stops by itself.
const TOO_MANY: &str = "too many events";

/// An event to be.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewEvent)]
pub struct EventForm {
    /// Name of the event, unique within the asset. Sending the same again changes nothing; sending
    /// something else under it replaces the event. The server makes one up if it is left out.
    #[serde(default)]
    #[schema(value_type = Option<Key>)]
    pub id: Option<Key>,
    /// What it is.
    pub kind: Kind,
    /// When it happened, or began: RFC 3339, or epoch milliseconds.
    #[schema(value_type = String, format = DateTime)]
    pub start: Stamp,
    /// When it ended, not before `start`; left out for an instant, or while it lasts.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end: Option<Stamp>,
    /// How bad it is.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// What the machine calls it; 1 to 128 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    pub code: Option<String>,
    /// For people; 1 to 10,000 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 10_000)]
    pub text: Option<String>,
    /// Of a label: one of the health classes of the asset's type.
    #[serde(default)]
    pub class: Option<String>,
}

/// An instant as it came.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "must be RFC 3339 or epoch milliseconds")]
pub enum Stamp {
    /// Epoch milliseconds.
    Number(f64),
    /// RFC 3339.
    Text(String),
}

/// What is wrong with an event: class, pointer below it, and words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) kind: problem::Kind,
    pub(super) under: String,
    pub(super) detail: String,
}

/// An event that can be kept; its id and `received_at` are still to be filled in.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) id: Option<String>,
    pub(super) event: Event,
}

impl Checked {
    /// Refuses it if it is a label, or would replace one of those.
    pub(super) fn unless_label(self, labels: &[String]) -> Result<Self, Wrong> {
        let refuse = |under: &str, detail: &str| {
            Err(Wrong { kind: problem::ROLE_NEEDED, under: under.to_owned(), detail: detail.to_owned() })
        };
        if self.event.kind == Kind::Label {
            return refuse("/kind", "labels teach: they take a key with the role operator or admin");
        }
        if self.id.as_ref().is_some_and(|id| labels.contains(id)) {
            return refuse("/id", "names a label, which takes a key with the role operator or admin to replace");
        }
        Ok(self)
    }
}

/// The events of a body, each as it was written.
#[derive(Debug)]
pub(super) struct Items<'a> {
    pub(super) events: Vec<&'a str>,
    one: bool,
}

impl Items<'_> {
    /// What the pointers of an event begin with.
    pub(super) fn base(&self, index: usize) -> String {
        if self.one { String::new() } else { format!("/{index}") }
    }
}

/// Splits a body into its events without looking into them. Stops at the first one too many.
pub(super) fn items(body: &[u8]) -> Result<Items<'_>, EventsError> {
    let text = std::str::from_utf8(body).map_err(|_| EventsError::Syntax("is not UTF-8".to_owned()))?;
    let first = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if !first.starts_with('[') {
        // Whatever it is: reading it as an event says what is wrong with it.
        return Ok(Items { events: vec![text], one: true });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let events = reader.deserialize_seq(Split).and_then(|events| reader.end().map(|()| events));
    events.map(|events| Items { events, one: false }).map_err(|error| {
        let words = error.to_string();
        if words.starts_with(TOO_MANY) { EventsError::TooMany } else { EventsError::Syntax(words) }
    })
}

/// Reads one event.
pub(super) fn read(text: &str, asset_type: &AssetType, window: Window) -> Result<Checked, Wrong> {
    let form: EventForm = json::read(text.as_bytes()).map_err(|error| match error {
        JsonError::Syntax(detail) => Wrong { kind: problem::INVALID_JSON, under: String::new(), detail },
        JsonError::Shape(fault) => Wrong { kind: problem::INVALID, under: fault.pointer(), detail: fault.detail },
    })?;
    check(form, asset_type, window)
}

fn check(form: EventForm, asset_type: &AssetType, window: Window) -> Result<Checked, Wrong> {
    let start = instant_of(&form.start, "/start", window)?;
    let end = form.end.as_ref().map(|end| instant_of(end, "/end", window)).transpose()?;
    if end.is_some_and(|end| end < start) {
        return Err(wrong("/end", "lies before `start`"));
    }
    for (name, text, most) in [("/code", &form.code, MAX_CODE), ("/text", &form.text, MAX_TEXT)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > most) {
            return Err(wrong(name, &format!("must have 1 to {most} characters, not all of them blank")));
        }
    }
    if form.code.as_ref().is_some_and(|code| code.chars().any(char::is_control)) {
        return Err(wrong("/code", "contains a control character"));
    }
    if let Some(class) = &form.class {
        let classes = &asset_type.document.health_classes;
        if form.kind != Kind::Label {
            return Err(wrong("/class", "only a label has a class"));
        }
        if !classes.contains(class) {
            let known = if classes.is_empty() { "which has none".to_owned() } else { classes.join(", ") };
            return Err(wrong("/class", &format!("is no health class of the asset's type: {known}")));
        }
    }
    if form.code.is_none() && form.text.is_none() && form.class.is_none() {
        return Err(wrong("", "says nothing: give it a code, a text or, as a label, a class"));
    }
    let event = Event {
        id: String::new(),
        kind: form.kind,
        start,
        end,
        severity: form.severity,
        code: form.code,
        text: form.text,
        class: form.class,
        received_at: DateTime::UNIX_EPOCH,
    };
    Ok(Checked { id: form.id.map(String::from), event })
}

fn instant_of(stamp: &Stamp, under: &str, window: Window) -> Result<DateTime<Utc>, Wrong> {
    let refuse = |kind, detail: String| Wrong { kind, under: under.to_owned(), detail };
    let read = match stamp {
        Stamp::Number(number) => instant::from_epoch_ms(*number),
        Stamp::Text(text) => instant::parse(text),
    };
    let at = read.map_err(|error: InstantError| refuse(problem::INVALID_INSTANT, error.to_string()))?;
    if at < window.oldest {
        let oldest = instant::text(instant::instant(window.oldest));
        return Err(refuse(problem::TOO_OLD, format!("lies before {oldest}, where what is kept begins")));
    }
    if at > window.newest {
        let detail = "lies in the future, by more than clocks may differ";
        return Err(refuse(problem::TIMESTAMP_IN_FUTURE, detail.to_owned()));
    }
    Ok(instant::instant(at))
}

fn wrong(under: &str, detail: &str) -> Wrong {
    Wrong { kind: problem::INVALID, under: under.to_owned(), detail: detail.to_owned() }
}

/// Collects the texts of an array's items.
struct Split;

impl<'de> Visitor<'de> for Split {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            if events.len() == MAX_EVENTS {
                return Err(A::Error::custom(TOO_MANY));
            }
            events.push(item.get());
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::asset::testing::asset_type;

    const OPEN: Window = Window { oldest: 0, newest: 2_000_000_000_000_000 };

    fn refused(text: &str) -> (&'static str, String) {
        let mut of = asset_type(1.0, &["pump", "level"]);
        of.document.health_classes = vec!["healthy".to_owned(), "leaking".to_owned()];
        let wrong = read(text, &of, OPEN).expect_err(text);
        (wrong.kind.slug, wrong.under)
    }

    #[test]
    fn what_is_wrong_is_pointed_to() {
        let at = "2026-11-24T12:00:00Z";
        for (event, slug, under) in [
            (json!({"kind": "note", "text": "x"}), "invalid", "/start"),
            (json!({"start": at, "text": "x"}), "invalid", "/kind"),
            (json!({"kind": "memo", "start": at, "text": "x"}), "invalid", "/kind"),
            (json!({"kind": "note", "start": "today", "text": "x"}), "invalid-instant", "/start"),
            (json!({"kind": "note", "start": 1_764_000_000, "text": "x"}), "invalid-instant", "/start"),
            (json!({"kind": "note", "start": true, "text": "x"}), "invalid", "/start"),
            (json!({"kind": "note", "start": "1969-12-31T23:59:59Z", "text": "x"}), "too-old", "/start"),
            (json!({"kind": "note", "start": "2036-01-01T00:00:00Z", "text": "x"}), "timestamp-in-future", "/start"),
            (json!({"kind": "note", "start": at, "end": "2026-11-24T11:59:59Z", "text": "x"}), "invalid", "/end"),
            (json!({"kind": "note", "start": at}), "invalid", ""),
            (json!({"kind": "note", "start": at, "text": " "}), "invalid", "/text"),
            (json!({"kind": "note", "start": at, "text": "x".repeat(MAX_TEXT + 1)}), "invalid", "/text"),
            (json!({"kind": "note", "start": at, "text": "a\0b"}), "invalid", "/text"),
            (json!({"kind": "log", "start": at, "code": "x".repeat(MAX_CODE + 1)}), "invalid", "/code"),
            (json!({"kind": "log", "start": at, "code": "a\nb"}), "invalid", "/code"),
            (json!({"kind": "log", "start": at, "code": "E1", "severity": "bad"}), "invalid", "/severity"),
            (json!({"kind": "log", "start": at, "code": "E1", "class": "leaking"}), "invalid", "/class"),
            (json!({"kind": "label", "start": at, "class": "broken"}), "invalid", "/class"),
            (json!({"kind": "label", "start": at, "class": "leaking", "id": "a b"}), "invalid", "/id"),
            (json!({"kind": "label", "start": at, "class": "leaking", "clas": 1}), "invalid", "/clas"),
            (json!([]), "invalid", ""),
        ] {
            assert_eq!(refused(&event.to_string()), (slug, under.to_owned()), "{event}");
        }
        assert_eq!(refused("{").0, "invalid-json");
        assert_eq!(refused(r#"{"kind":"note","kind":"log"}"#), ("invalid", "/kind".to_owned()));
    }

    #[test]
    fn a_body_is_split_before_it_is_read() {
        let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(items(many(MAX_EVENTS).as_bytes()).unwrap().events.len(), MAX_EVENTS);
        assert!(matches!(items(many(MAX_EVENTS + 1).as_bytes()), Err(EventsError::TooMany)));
        assert!(matches!(items(b"[1,"), Err(EventsError::Syntax(_))));
        assert!(matches!(items(b"[1] [2]"), Err(EventsError::Syntax(_))));
        assert!(matches!(items(b"\xff"), Err(EventsError::Syntax(_))));
        assert_eq!(items(b" {\"a\":1}").unwrap().base(0), "");
        assert_eq!(items(b" [{\"a\":1}]").unwrap().base(0), "/0");
        let deep = "[".repeat(100_000);
        assert!(matches!(items(deep.as_bytes()), Err(EventsError::Syntax(_))));
    }
}
