//! History: frames of a range as columns, raw or in buckets, with gaps filled or points thinned.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::ids::AssetId;
use crate::reading::instant::{self, instant};
use crate::reading::{ReadingError, Readings, lttb, store};

/// Points a signal in one answer, Prometheus' number.
pub const MAX_POINTS: usize = 11_000;
/// Frames that are read to be thinned; a longer range is put into buckets first.
const MAX_THINNED: i64 = 100_000;
/// The range without `from`, before `to`.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(1);

/// How a bucket's readings become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Agg {
    /// Arithmetic mean.
    #[default]
    Mean,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Sum.
    Sum,
    /// How many readings there are.
    Count,
    /// The earliest.
    First,
    /// The latest.
    Last,
}

/// What stands where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// Nothing; but empty buckets are listed.
    Null,
    /// The value before.
    Previous,
    /// A straight line between the values around.
    Linear,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Begin of the range; a day before its end by default.
    pub from: Option<DateTime<Utc>>,
    /// End of the range, not part of it; just behind the newest frame by default.
    pub to: Option<DateTime<Utc>>,
    /// Positions of the signals; not empty.
    pub signals: Vec<usize>,
    /// Which of `signals` decides the points that thinning keeps.
    pub guide: usize,
    /// Microseconds of a bucket; raw frames without.
    pub step_us: Option<i64>,
    /// How a bucket becomes a value.
    pub agg: Agg,
    /// What becomes of gaps; by default they stay, and empty buckets are left out.
    pub fill: Option<Fill>,
    /// Points to thin the answer to.
    pub max_points: Option<usize>,
    /// Rows at most.
    pub limit: usize,
    /// Where the answer continues a former one.
    pub resume: Option<DateTime<Utc>>,
}

/// The answer: one column a signal, all as long as `instants`; NaN is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Begin of the range.
    pub from: DateTime<Utc>,
    /// End of the range, not part of it.
    pub to: DateTime<Utc>,
    /// One a row, ascending; where buckets begin.
    pub instants: Vec<DateTime<Utc>>,
    /// In the order of the question's signals.
    pub columns: Vec<Vec<f64>>,
    /// Where the rest begins, when there is more.
    pub next: Option<DateTime<Utc>>,
    /// Microseconds of a bucket, when the rows are buckets; also when thinning needed them.
    pub step_us: Option<i64>,
}

impl Readings {
    /// Answers a question about an asset's history.
    pub async fn history(&self, asset: AssetId, question: &Question) -> Result<Table, ReadingError> {
        let to = match question.to {
            Some(to) => to,
            None => store::newest_at(&self.pool, asset)
                .await?
                .map_or_else(|| self.clock.now(), |newest| newest + TimeDelta::microseconds(1)),
        };
        let from = question.from.unwrap_or(to - DEFAULT_SPAN);
        if from > to {
            return Err(invalid("from", format!("lies after `to`, {}", instant::text(to))));
        }
        let step_us = question.step_us.map(|step| checked_step(step, from, to)).transpose()?;
        let begin = question.resume.map_or(from, |resume| resume.clamp(from, to));

        let mut table = if let Some(step) = step_us {
            self.buckets(asset, question, (begin, to), step).await?
        } else if let Some(points) = question.max_points {
            let frames = store::count(&self.pool, asset, begin, to, MAX_THINNED + 1).await?;
            if frames > MAX_THINNED {
                let span = (to - begin).num_microseconds().unwrap_or(i64::MAX);
                let step = span / (points * 4).min(MAX_POINTS - 1) as i64 + 1;
                self.buckets(asset, question, (begin, to), step).await?
            } else {
                self.frames(asset, question, (begin, to), MAX_THINNED as usize).await?
            }
        } else {
            self.frames(asset, question, (begin, to), question.limit).await?
        };
        table.from = from;
        if let Some(points) = question.max_points {
            table.thin(question.guide, points);
        }
        table.cut(question.limit);
        Ok(table)
    }

    async fn frames(
        &self,
        asset: AssetId,
        question: &Question,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
    ) -> Result<Table, ReadingError> {
        let frames = store::range(&self.pool, asset, from, to, limit as i64 + 1).await?;
        let column = |signal: &usize| -> Vec<f64> {
            frames.iter().map(|frame| frame.values.get(*signal).copied().unwrap_or(f64::NAN)).collect()
        };
        let mut table = Table {
            from,
            to,
            columns: question.signals.iter().map(column).collect(),
            instants: frames.iter().map(|frame| frame.observed_at).collect(),
            next: None,
            step_us: None,
        };
        table.fill(question.fill);
        Ok(table)
    }

    async fn buckets(
        &self,
        asset: AssetId,
        question: &Question,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        step: i64,
    ) -> Result<Table, ReadingError> {
        let signals: Vec<i32> = question.signals.iter().map(|signal| *signal as i32 + 1).collect();
        let cells: Vec<(DateTime<Utc>, i32, f64)> = if matches!(question.agg, Agg::First | Agg::Last) {
            let edges = store::edges(&self.pool, asset, from, to, step, &signals).await?;
            let first = question.agg == Agg::First;
            edges.into_iter().map(|(bin, signal, head, tail)| (bin, signal, if first { head } else { tail })).collect()
        } else {
            let buckets = store::buckets(&self.pool, asset, from, to, step, &signals).await?;
            buckets.iter().map(|bucket| (bucket.bin, bucket.signal, question.agg.of(bucket))).collect()
        };

        let mut rows: BTreeMap<DateTime<Utc>, Vec<f64>> = BTreeMap::new();
        if question.fill.is_some() {
            let first = from.timestamp_micros().div_euclid(step) * step;
            let end = to.timestamp_micros();
            let bins = (first..end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
            rows.extend(bins.map(|bin| (instant(bin), vec![f64::NAN; signals.len()])));
        }
        for (bin, signal, value) in cells {
            let row = rows.entry(bin).or_insert_with(|| vec![f64::NAN; signals.len()]);
            for (place, _) in signals.iter().enumerate().filter(|(_, wanted)| **wanted == signal) {
                row[place] = value;
            }
        }
        let columns = (0..signals.len()).map(|place| rows.values().map(|row| row[place]).collect()).collect();
        let mut table =
            Table { from, to, columns, instants: rows.into_keys().collect(), next: None, step_us: Some(step) };
        table.fill(question.fill);
        Ok(table)
    }
}

impl Agg {
    fn of(self, bucket: &store::Bucket) -> f64 {
        match self {
            Self::Mean | Self::First | Self::Last => bucket.mean,
            Self::Min => bucket.min,
            Self::Max => bucket.max,
            Self::Sum => bucket.sum,
            Self::Count => bucket.count as f64,
        }
    }
}

impl Table {
    fn fill(&mut self, fill: Option<Fill>) {
        let x: Vec<f64> = self.instants.iter().map(|instant| instant.timestamp_micros() as f64).collect();
        for column in &mut self.columns {
            match fill {
                None | Some(Fill::Null) => {}
                Some(Fill::Previous) => fill_previous(column),
                Some(Fill::Linear) => fill_linear(&x, column),
            }
        }
    }

    fn thin(&mut self, guide: usize, points: usize) {
        let x: Vec<f64> = self.instants.iter().map(|instant| instant.timestamp_micros() as f64).collect();
        let Some(column) = self.columns.get(guide) else { return };
        let picked = lttb::pick(&x, column, points);
        self.instants = picked.iter().map(|&row| self.instants[row]).collect();
        for column in &mut self.columns {
            *column = picked.iter().map(|&row| column[row]).collect();
        }
    }

    fn cut(&mut self, limit: usize) {
        self.next = self.instants.get(limit).copied();
        self.instants.truncate(limit);
        for column in &mut self.columns {
            column.truncate(limit);
        }
    }
}

fn fill_previous(column: &mut [f64]) {
    let mut last = f64::NAN;
    for value in column {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
}

/// Gaps at the ends stay: nothing is known beyond them.
fn fill_linear(x: &[f64], column: &mut [f64]) {
    let mut known: Option<usize> = None;
    for row in 0..column.len() {
        if column[row].is_nan() {
            continue;
        }
        if let Some(start) = known {
            let slope = (column[row] - column[start]) / (x[row] - x[start]);
            for gap in start + 1..row {
                column[gap] = column[start] + slope * (x[gap] - x[start]);
            }
        }
        known = Some(row);
    }
}

fn checked_step(step: i64, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<i64, ReadingError> {
    if step <= 0 {
        return Err(invalid("interval", "must be longer than nothing".to_owned()));
    }
    let span = (to - from).num_microseconds().unwrap_or(i64::MAX);
    let points = span / step;
    if points > MAX_POINTS as i64 {
        return Err(invalid(
            "interval",
            format!("gives {points} points over this range, at most {MAX_POINTS} are answered"),
        ));
    }
    Ok(step)
}

fn invalid(parameter: &'static str, detail: String) -> ReadingError {
    ReadingError::Invalid { parameter, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = f64::NAN;

    fn same(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12)
    }

    #[test]
    fn gaps_are_filled_as_asked_and_never_beyond_the_ends() {
        let mut previous = [GAP, 1.0, GAP, GAP, 4.0, GAP];
        let mut linear = previous;
        fill_previous(&mut previous);
        assert!(same(&previous, &[GAP, 1.0, 1.0, 1.0, 4.0, 4.0]), "{previous:?}");
        fill_linear(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &mut linear);
        assert!(same(&linear, &[GAP, 1.0, 2.0, 3.0, 4.0, GAP]), "{linear:?}");
    }

    #[test]
    fn too_many_points_are_refused() {
        let to = instant(86_400_000_000);
        assert!(checked_step(0, DateTime::UNIX_EPOCH, to).is_err());
        assert!(checked_step(7_000_000, DateTime::UNIX_EPOCH, to).is_err());
        assert!(checked_step(8_000_000, DateTime::UNIX_EPOCH, to).is_ok());
    }
}
