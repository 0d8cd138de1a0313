//! Types for the tests of rooms above, which need no database.

use chrono::DateTime;

use super::{AssetType, Interval, Kind, Role, Signal, TypeDocument};

/// A type with these numbers as outputs and so many seconds between frames.
pub(crate) fn asset_type(interval_s: f64, signals: &[&str]) -> AssetType {
    let signal = |name: &&str| Signal {
        name: (*name).to_owned(),
        unit: "1".to_owned(),
        kind: Kind::Number,
        role: Role::Output,
        min: None,
        max: None,
        max_rate: None,
        description: None,
    };
    let document = TypeDocument {
        interval: Interval::from_micros((interval_s * 1e6).round() as i64).expect("a test has a positive interval"),
        signals: signals.iter().map(signal).collect(),
        ..TypeDocument::default()
    };
    AssetType { id: 1, key: "of-test".to_owned(), version: 1, document, created_at: DateTime::UNIX_EPOCH }
}
