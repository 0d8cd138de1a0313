//! How far a search has come, told while it goes on.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::mpsc;

use super::problem::Problem;
use super::search::Search;
use super::{GoalSeek, SeekOutcome, Seeks};
use crate::forecast::{ForecastError, tidy_all};

/// A search after one more generation.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SeekProgress {
    /// Schedules tried so far.
    pub evaluations: usize,
    /// Schedules that are tried at most.
    pub of: usize,
    /// How often the search began anew.
    pub restarts: u64,
    /// Whether the best schedule so far keeps everything on the search's sample paths.
    pub keeps: bool,
    /// What the best schedule so far makes of the objective on the median path, the penalty of its moves
    /// included.
    pub objective: f64,
    /// The best schedule so far: a value per step, by control.
    pub inputs: BTreeMap<String, Vec<f64>>,
}

impl SeekProgress {
    pub(super) fn of(problem: &Problem, search: &Search, of: usize, names: &[String]) -> Option<Self> {
        let best = search.best(1).into_iter().next()?;
        let rows = search.freedoms().iter().zip(search.rows(&best.knots));
        let inputs = rows.map(|(freedom, mut row)| {
            tidy_all(&mut row);
            (names[freedom.row].clone(), row)
        });
        Some(Self {
            evaluations: search.count(),
            of,
            restarts: search.restarts(),
            keeps: best.worth.is_sound(),
            objective: problem.aim.value(best.worth.cost),
            inputs: inputs.collect(),
        })
    }
}

/// What is heard of a search that goes on by itself.
#[derive(Debug)]
pub enum Heard {
    /// One more generation.
    Progress(SeekProgress),
    /// The end.
    Ended(Box<Result<SeekOutcome, ForecastError>>),
}

impl Seeks {
    /// Searches in the background and tells what comes of it, the end last. Dropping the receiver ends
    /// the search with the generation that is under way.
    #[must_use]
    pub fn seek_told(&self, asset: String, ask: GoalSeek) -> mpsc::Receiver<Heard> {
        let (tell, told) = mpsc::channel(8);
        let seeks = self.clone();
        tokio::spawn(async move {
            let progress = |progress: SeekProgress| {
                // A listener that is slow misses a generation rather than holding up the search.
                drop(tell.try_send(Heard::Progress(progress)));
            };
            tokio::select! {
                ended = seeks.search(&asset, &ask, progress) => drop(tell.send(Heard::Ended(Box::new(ended))).await),
                () = tell.closed() => {}
            }
        });
        told
    }
}
