//! Runs of an asset from one restoration to its next failure, as its labels tell them.
//!
//! Only labels end or begin a run: a silence of the sensors restores nothing. A run that ended in
//! maintenance, or still goes on, lasted at least so long (it is right-censored).

use chrono::{DateTime, Utc};

use super::Label;
use crate::asset::EndOfLife;

/// A stretch in which the asset had not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it began; `None` where no label says so: with the first reading.
    pub from: Option<DateTime<Utc>>,
    /// When it ended; `None` while it goes on.
    pub until: Option<DateTime<Utc>>,
    /// Whether it ended in failure.
    pub failed: bool,
}

/// A failure, or maintenance before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Turn {
    /// When it began.
    #[sqlx(rename = "starts_at")]
    pub start: DateTime<Utc>,
    /// When the asset was restored: where the label ends or, where it has no end, the next label of whatever
    /// class begins. `None` while it lasts.
    #[sqlx(rename = "ends_at")]
    pub end: Option<DateTime<Utc>>,
}

/// The lives of an asset in the order of time; labels are in the order of their beginnings.
#[must_use]
pub fn lives(labels: &[Label], end: &EndOfLife) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut from = Some(None);
    for (place, label) in labels.iter().enumerate() {
        let failed = label.class == end.class;
        if !failed && end.restored_by.as_ref() != Some(&label.class) {
            continue;
        }
        if let Some(from) = from.filter(|from| from.is_none_or(|from| from < label.start)) {
            lives.push(Life { from, until: Some(label.start), failed });
        }
        let next = || labels[place + 1..].iter().map(|other| other.start).find(|start| *start > label.start);
        from = label.end.or_else(next).map(Some);
    }
    lives.extend(from.map(|from| Life { from, until: None, failed: false }));
    lives
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn label(class: &str, start: i64, end: Option<i64>) -> Label {
        Label { start: at(start), end: end.map(at), class: class.to_owned() }
    }

    fn end() -> EndOfLife {
        EndOfLife { class: "failed".to_owned(), restored_by: Some("maintenance".to_owned()) }
    }

    fn life(from: Option<i64>, until: Option<i64>, failed: bool) -> Life {
        Life { from: from.map(at), until: until.map(at), failed }
    }

    fn told(labels: &[Label]) -> Vec<Life> {
        lives(labels, &end())
    }

    #[test]
    fn failures_and_maintenance_end_runs_and_other_labels_do_not() {
        let labels = [
            label("healthy", 0, Some(50)),
            label("failed", 100, Some(120)),
            label("degrading", 150, Some(180)),
            label("maintenance", 200, Some(210)),
            label("failed", 300, None),
            label("healthy", 330, None),
        ];
        assert_eq!(
            told(&labels),
            [
                life(None, Some(100), true),
                life(Some(120), Some(200), false),
                life(Some(210), Some(300), true),
                life(Some(330), None, false),
            ]
        );
    }

    #[test]
    fn an_asset_that_is_down_has_no_run_that_goes_on() {
        assert_eq!(told(&[label("failed", 100, None)]), [life(None, Some(100), true)]);
        assert_eq!(told(&[]), [life(None, None, false)]);
        let twice = [label("failed", 100, Some(200)), label("failed", 150, Some(180))];
        assert_eq!(told(&twice), [life(None, Some(100), true), life(Some(180), None, false)], "the later label counts");
    }
}
