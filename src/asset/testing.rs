//! Types for the tests of other rooms.

use chrono::DateTime;

use super::{AssetType, Interval, Kind, Role, Signal, TypeDocument};

/// A type of number signals: the first a control input, the others outputs.
pub(crate) fn asset_type(interval_s: f64, names: &[&str]) -> AssetType {
    let signal = |(place, name): (usize, &&str)| Signal {
        name: (*name).to_owned(),
        unit: "1".to_owned(),
        kind: Kind::Number,
        role: if place == 0 { Role::ControlInput } else { Role::Output },
        min: None,
        max: None,
        max_rate: None,
        interval: None,
        description: None,
    };
    AssetType {
        id: 1,
        key: "test".to_owned(),
        version: 1,
        document: TypeDocument {
            interval: Interval::from_micros((interval_s * 1e6) as i64).expect("a positive interval"),
            signals: names.iter().enumerate().map(signal).collect(),
            ..TypeDocument::default()
        },
        created_at: DateTime::UNIX_EPOCH,
    }
}
