//! Runs to failure as the grid shows them: which of them teach, and which judge.

use chrono::{DateTime, Utc};

use crate::asset::EndOfLife;
use crate::event::{Label, lives};
use crate::features::Grid;

/// Runs to failure that are needed: two that teach, each of which stops the learning from the other, and
/// one that judges.
pub(super) const NEEDED: usize = 3;
/// Steps of a run at least; a shorter one tells of no wear.
const LEAST_STEPS: usize = 40;
/// Moments of a run at most.
const MOST_MOMENTS: usize = 200;
/// One run to failure of so many judges, and one at least.
const ONE_OF: usize = 5;

/// A run, or as much of it as there are readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// Its steps.
    pub(super) first: usize,
    pub(super) end: usize,
    /// When it began and ended, or when the readings do.
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    /// Whether it ended in failure.
    pub(super) failed: bool,
}

impl Stretch {
    /// How long it lasted, in seconds.
    pub(super) fn length_s(&self) -> f64 {
        seconds(self.until - self.from)
    }

    /// Steps that it is looked at, evenly spread.
    pub(super) fn moments(&self) -> impl Iterator<Item = usize> + use<> {
        (self.first..self.end).step_by((self.end - self.first).div_ceil(MOST_MOMENTS).max(1))
    }

    /// Seconds since it began, and until it ended.
    pub(super) fn at(&self, grid: &Grid, step: usize) -> (f64, f64) {
        let at = grid.instants[step];
        (seconds(at - self.from).max(0.0), seconds(self.until - at))
    }
}

fn seconds(time: chrono::TimeDelta) -> f64 {
    time.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

/// The runs of which there are readings enough, in the order of time.
pub(super) fn stretches(labels: &[Label], end: &EndOfLife, grid: &Grid) -> Vec<Stretch> {
    let place = |at: DateTime<Utc>| grid.instants.partition_point(|instant| *instant < at);
    let stretch = |life: crate::event::Life| {
        let (first, last) = (life.from.map_or(0, place), life.until.map_or(grid.len(), place));
        let begun = *grid.instants.get(first)?;
        let (from, until) = (life.from.unwrap_or(begun), life.until.unwrap_or(grid.end));
        (last >= first + LEAST_STEPS).then_some(Stretch { first, end: last, from, until, failed: life.failed })
    };
    lives(labels, end).into_iter().filter_map(stretch).collect()
}

/// Which runs do what. Those that judge are the newest that ended in failure; nothing that ended after they
/// began teaches.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) teaching: Vec<Stretch>,
    pub(super) judging: Vec<Stretch>,
}

impl Parts {
    /// `None` with fewer than [`NEEDED`] runs to failure.
    pub(super) fn of(stretches: &[Stretch]) -> Option<Self> {
        let mut teaching: Vec<Stretch> = stretches.iter().filter(|stretch| stretch.failed).copied().collect();
        if teaching.len() < NEEDED {
            return None;
        }
        let judging = teaching.split_off(teaching.len() - (teaching.len() / ONE_OF).max(1));
        let broken_off = stretches.iter().filter(|stretch| !stretch.failed && stretch.until <= judging[0].from);
        teaching.extend(broken_off);
        teaching.sort_by_key(|stretch| stretch.first);
        Some(Self { teaching, judging })
    }

    /// Lengths of the runs to failure that teach, in seconds, ascending.
    pub(super) fn lengths_s(&self) -> Vec<f64> {
        let failed = self.teaching.iter().filter(|stretch| stretch.failed);
        let mut lengths: Vec<f64> = failed.map(Stretch::length_s).collect();
        lengths.sort_by(f64::total_cmp);
        lengths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn grid(steps: i64) -> Grid {
        let frame = |step: i64| Frame { observed_at: at(step), values: vec![0.0, step as f64], quality: None };
        Grid::new(&asset_type(1.0, &["pump", "level"]), &(0..steps).map(frame).collect::<Vec<_>>()).unwrap()
    }

    fn label(class: &str, start: i64, end: i64) -> Label {
        Label { start: at(start), end: Some(at(end)), class: class.to_owned() }
    }

    fn runs(labels: &[Label]) -> Vec<Stretch> {
        let end = EndOfLife { class: "failed".into(), restored_by: Some("maintenance".into()) };
        stretches(labels, &end, &grid(1_000))
    }

    #[test]
    fn runs_are_the_steps_between_labels_and_short_ones_do_not_count() {
        let labels = [label("failed", 100, 110), label("maintenance", 200, 205), label("failed", 230, 240)];
        let runs = runs(&labels);
        let told: Vec<_> = runs.iter().map(|run| (run.first, run.end, run.failed)).collect();
        assert_eq!(told, [(0, 100, true), (110, 200, false), (240, 1_000, false)]);
        assert_eq!(runs[0].at(&grid(1_000), 30), (30.0, 70.0));
        assert_eq!((runs[0].length_s(), runs[2].until), (100.0, at(999)));
        assert_eq!(runs[2].moments().count(), 190);
    }

    #[test]
    fn the_newest_failures_judge_and_nothing_that_ended_later_teaches() {
        let mut labels: Vec<Label> = (1..=4).map(|k| label("failed", 100 * k, 100 * k + 1)).collect();
        labels.push(label("maintenance", 460, 461));
        let failed = |labels: &[Label]| Parts::of(&runs(labels));
        let parts = failed(&labels).unwrap();
        let firsts = |part: &[Stretch]| part.iter().map(|run| run.first).collect::<Vec<_>>();
        assert_eq!((firsts(&parts.teaching), firsts(&parts.judging)), (vec![0, 101, 201], vec![301]));
        assert_eq!(parts.lengths_s(), [99.0, 99.0, 100.0]);
        labels[1].class = "maintenance".to_owned();
        let parts = failed(&labels).unwrap();
        let told: Vec<_> = parts.teaching.iter().map(|run| (run.first, run.failed)).collect();
        assert_eq!(told, [(0, true), (101, false), (201, true)], "a run that was broken off teaches too");
        labels[2].class = "maintenance".to_owned();
        assert_eq!(failed(&labels), None);
    }
}
