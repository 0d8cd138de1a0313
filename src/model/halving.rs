//! A search by successive halving (Jamieson and Talwalkar 2016): which of many settings a head learns best
//! with, at the cost of a few. What lies in which rung is settled in `search`.
//!
//! Always true: those that go on learn on from where they were, so that the winner's head is, bit for bit, the
//! one that its settings alone would have given; a candidate that meets a number that is not finite is let
//! go, and the search goes on.

use std::ops::ControlFlow;

use nix::time::{ClockId, clock_gettime};

use super::attempt::{Attempt, Beginning, Class};
use super::recipe::Recipe;
use super::search::{Rung, Search, SearchEnd, SearchRecord, SearchSettings, SearchTrial};
use super::trainee::{CurvePoint, Lap, Learned, TraineeError};

/// One of those that are compared.
struct Climber<'a> {
    candidate: u32,
    settings: SearchSettings,
    attempt: Attempt<'a>,
    /// The step at which it met a number that is not finite.
    broken: Option<u32>,
}

/// Counts the steps of a search for those who wait for it.
struct Meter<'t> {
    tell: &'t mut dyn FnMut(Lap) -> ControlFlow<()>,
    rung: u32,
    done: f64,
    all: f64,
}

/// Searches from one beginning, and lets the best learn to its end.
pub(super) fn halve<'a>(
    class: &'a Class<'a>,
    beginning: &'a Beginning<'a>,
    recipe: &Recipe,
    search: &Search,
    tell: &mut dyn FnMut(Lap) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    let began = cpu_seconds();
    let candidates = search.candidates(recipe);
    let plan = search.plan(recipe, candidates.len());
    let mut meter = Meter::new(tell, &plan, recipe.max_steps);
    let mut field = Vec::with_capacity(candidates.len());
    for (candidate, settings) in (0..).zip(candidates) {
        field.push(Climber::new(candidate, Attempt::new(class, beginning, settings)?));
    }
    if let Some(first) = field.first() {
        meter.tell(first.attempt.first())?;
    }
    let mut record = SearchRecord {
        asked: search.clone(),
        rungs: 0,
        ended: SearchEnd::Decided,
        cpu_s: 0.0,
        winner: 0,
        trials: Vec::new(),
    };
    for (place, rung) in plan.iter().enumerate() {
        meter.rung = record.rungs;
        for climber in &mut field {
            climber.climb(rung.steps, &mut meter)?;
        }
        // Of equals the one that came first: what was asked for before what was drawn.
        field.sort_by(|a, b| a.loss().total_cmp(&b.loss()).then(a.candidate.cmp(&b.candidate)));
        record.cpu_s = cpu_seconds() - began;
        let next = plan.get(place + 1);
        let end = end_of(search, &plan[..=place], next, &field, record.cpu_s);
        let room = if end.is_some() { 1 } else { next.map_or(1, |rung| rung.candidates) };
        let sound = field.iter().filter(|climber| climber.broken.is_none()).count();
        record.note(&field, room.min(sound));
        if sound == 0 {
            return Err(TraineeError::NotFinite(field.iter().find_map(|climber| climber.broken).unwrap_or_default()));
        }
        field.truncate(room.min(sound));
        record.rungs += 1;
        if let Some(end) = end {
            record.ended = end;
            break;
        }
    }
    field.truncate(1);
    let winner = field.pop().ok_or(TraineeError::Empty)?;
    winner.finish(record, &mut meter)
}

/// Why no further rung begins; `None` where one does.
fn end_of(
    search: &Search,
    climbed: &[Rung],
    next: Option<&Rung>,
    field: &[Climber<'_>],
    spent: f64,
) -> Option<SearchEnd> {
    if next.is_none() {
        let asked = search.rungs.is_some_and(|most| climbed.len() >= most as usize);
        let left = climbed.last().map_or(1, |rung| rung.candidates / search.eta.max(2) as usize);
        return Some(if asked && left > 1 { SearchEnd::Rungs } else { SearchEnd::Decided });
    }
    if field.iter().all(|climber| climber.broken.is_some() || climber.attempt.done()) {
        return Some(SearchEnd::Learned);
    }
    (spent >= search.budget_s).then_some(SearchEnd::Budget)
}

impl<'a> Climber<'a> {
    fn new(candidate: u32, attempt: Attempt<'a>) -> Self {
        Self { candidate, settings: SearchSettings::of(attempt.recipe()), attempt, broken: None }
    }

    /// What it is ranked by.
    fn loss(&self) -> f64 {
        if self.broken.is_some() { f64::INFINITY } else { self.attempt.loss() }
    }

    /// Learns on until so many steps are taken.
    fn climb(&mut self, steps: u32, meter: &mut Meter<'_>) -> Result<(), TraineeError> {
        let (before, done) = (self.attempt.taken(), meter.done);
        let climbed =
            self.attempt.advance(steps, &mut |point| meter.heard(point, done + f64::from(point.step - before)));
        // What it did not take, because it is done, is not waited for either.
        meter.done = done + f64::from(steps.saturating_sub(before));
        match climbed {
            Err(TraineeError::NotFinite(step)) => self.broken = Some(step),
            other => other?,
        }
        Ok(())
    }

    fn trial(&self, rung: u32, kept: bool) -> SearchTrial {
        let validation_loss = self.broken.is_none().then(|| self.attempt.loss());
        let (candidate, settings, steps) = (self.candidate, self.settings, self.attempt.taken());
        SearchTrial { rung, candidate, settings, steps, validation_loss, kept }
    }

    /// Learns to its end, as any recipe does.
    fn finish(mut self, mut record: SearchRecord, meter: &mut Meter<'_>) -> Result<Learned, TraineeError> {
        meter.rung = record.rungs;
        let (before, done) = (self.attempt.taken(), meter.done);
        let steps = self.attempt.recipe().max_steps;
        self.attempt.advance(steps, &mut |point| meter.heard(point, done + f64::from(point.step - before)))?;
        record.winner = self.candidate;
        record.trials.push(self.trial(record.rungs, true));
        let (_, learned) = self.attempt.finish()?;
        Ok(Learned { search: Some(record), ..learned })
    }
}

impl SearchRecord {
    /// Notes how those of a rung did, the best first; so many of them go on.
    fn note(&mut self, ranked: &[Climber<'_>], room: usize) {
        let trials = ranked.iter().enumerate().map(|(place, climber)| climber.trial(self.rungs, place < room));
        let mut trials: Vec<SearchTrial> = trials.collect();
        trials.sort_by_key(|trial| trial.candidate);
        self.trials.append(&mut trials);
    }
}

impl<'t> Meter<'t> {
    fn new(tell: &'t mut dyn FnMut(Lap) -> ControlFlow<()>, plan: &[Rung], max_steps: u32) -> Self {
        let mut before = 0;
        let mut all = 0.0;
        for rung in plan {
            all += rung.candidates as f64 * f64::from(rung.steps - before);
            before = rung.steps;
        }
        Self { tell, rung: 0, done: 0.0, all: (all + f64::from(max_steps - before)).max(1.0) }
    }

    /// Tells of a point of the one that is learning, once so many steps of all are done.
    fn heard(&mut self, point: CurvePoint, done: f64) -> ControlFlow<()> {
        (self.tell)(Lap { point, fraction: (done / self.all).min(1.0), rung: Some(self.rung) })
    }

    fn tell(&mut self, point: CurvePoint) -> Result<(), TraineeError> {
        if self.heard(point, 0.0).is_break() { Err(TraineeError::Cancelled) } else { Ok(()) }
    }
}

/// CPU time of the calling thread so far: learning has one thread.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::super::base::Base;
    use super::super::recipe::StartFrom;
    use super::super::search::Searched;
    use super::super::tests::{base, lesson, recipe};
    use super::super::trainee::{learn, learn_from};
    use super::*;

    fn asked(search: Search) -> Recipe {
        let usual = Recipe { learning_rate: None, l1: 0.0, evaluate_every: 4, max_steps: 36, ..recipe() };
        Recipe { search: Some(search), ..usual }
    }

    fn learned(base: &Base, recipe: &Recipe) -> Learned {
        learn(base, &lesson(), recipe, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    fn patient(search: Search) -> Search {
        Search { budget_s: 600.0, ..search }
    }

    /// Of each rung: how many were compared, how many went on, and their steps.
    fn rungs(record: &SearchRecord) -> Vec<(usize, usize, u32)> {
        let of = |rung: u32| record.trials.iter().filter(move |trial| trial.rung == rung);
        let last = record.trials.last().unwrap().rung;
        let count = |rung| (of(rung).count(), of(rung).filter(|trial| trial.kept).count());
        (0..=last)
            .map(|rung| (count(rung).0, count(rung).1, of(rung).map(|trial| trial.steps).max().unwrap()))
            .collect()
    }

    #[test]
    fn few_go_on_and_the_winner_is_what_its_settings_alone_give() {
        let base = base();
        let found = learned(&base, &asked(patient(Search { eta: 2, candidates: 6, ..Search::default() })));
        let record = found.search.unwrap();
        assert_eq!(rungs(&record), [(6, 3, 12), (3, 1, 20), (1, 1, 36)]);
        assert_eq!((record.rungs, record.ended), (2, SearchEnd::Decided));
        let first: Vec<&SearchTrial> = record.trials.iter().filter(|trial| trial.rung == 0).collect();
        let worst_kept = first.iter().filter(|trial| trial.kept).filter_map(|trial| trial.validation_loss);
        let best_left = first.iter().filter(|trial| !trial.kept).filter_map(|trial| trial.validation_loss);
        assert!(worst_kept.fold(0.0, f64::max) <= best_left.fold(f64::INFINITY, f64::min), "{first:?}");

        let chosen = found.recipe.unwrap();
        assert!(chosen.search.is_none() && chosen.start == StartFrom::Base);
        let settings = record.trials.last().unwrap().settings;
        assert_eq!(SearchSettings::of(&chosen), settings);
        assert_eq!(record.trials.iter().filter(|trial| trial.candidate == record.winner).count(), 3);
        let alone = learned(&base, &chosen);
        assert!(alone.weights == found.weights, "not a bit differs");
        assert_eq!(alone.curve, found.curve);
        assert!(alone.search.is_none());
    }

    #[test]
    fn a_spent_budget_ends_it_at_the_first_rung_and_the_count_of_rungs_repeats_it() {
        let base = base();
        let search = Search { candidates: 9, ..Search::default() };
        let cut = learned(&base, &asked(Search { budget_s: 0.0, ..search.clone() }));
        let record = cut.search.unwrap();
        assert_eq!((record.rungs, record.ended), (1, SearchEnd::Budget));
        assert_eq!(rungs(&record), [(9, 1, 4), (1, 1, 36)]);
        assert!(record.cpu_s > 0.0);
        let again = learned(&base, &asked(patient(Search { rungs: Some(record.rungs), ..search })));
        let repeated = again.search.unwrap();
        assert_eq!(repeated.ended, SearchEnd::Rungs);
        assert_eq!(repeated.trials, record.trials);
        assert!(again.weights == cut.weights, "the same head, bit for bit");
    }

    #[test]
    fn of_equals_the_recipe_as_asked_for_wins() {
        // Too short a step to lead anywhere: all stay where they began.
        let search = patient(Search { candidates: 4, settings: Some(vec![Searched::Dropout]), ..Search::default() });
        let recipe = Recipe { learning_rate: Some(1e-9), max_steps: 8, ..asked(search) };
        let found = learned(&base(), &recipe);
        assert_eq!(found.search.unwrap().winner, 0);
        assert_eq!((found.best_step, found.recipe.unwrap().dropout), (0, recipe.dropout));
    }

    #[test]
    fn a_search_that_nobody_wants_to_go_on_with_ends() {
        let settings = Some(vec![Searched::Dropout]);
        let search = patient(Search { candidates: 4, eta: 2, settings, ..Search::default() });
        let recipe = Recipe { learning_rate: Some(1e-9), patience: 1, ..asked(search) };
        let record = learned(&base(), &recipe).search.unwrap();
        assert_eq!((record.rungs, record.ended), (1, SearchEnd::Learned));
        assert!(record.trials.iter().all(|trial| trial.steps == 4), "{:?}", record.trials);
    }

    #[test]
    fn those_who_wait_hear_which_rung_it_is() {
        let base = base();
        let recipe = asked(patient(Search { eta: 2, candidates: 4, ..Search::default() }));
        let mut heard: Vec<(u32, f64)> = Vec::new();
        learn(&base, &lesson(), &recipe, &mut |lap| {
            heard.push((lap.rung.unwrap(), lap.fraction));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(heard.is_sorted() && heard.last().unwrap().0 == 2, "{heard:?}");
        assert!(heard.iter().all(|(_, fraction)| (0.0..=1.0).contains(fraction)), "{heard:?}");
        let mut told = 0;
        let stopped = learn(&base, &lesson(), &recipe, &mut |_| {
            told += 1;
            if told == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(TraineeError::Cancelled)) && told == 3);
    }

    #[test]
    fn a_head_begins_from_the_pooled_one_where_that_is_better_and_else_as_without_it() {
        let base = base();
        let recipe = Recipe { max_steps: 24, evaluate_every: 4, ..recipe() };
        let from = |pooled: Option<&[u8]>, start| {
            let recipe = Recipe { start, ..recipe.clone() };
            learn_from(&base, &lesson(), &recipe, pooled, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let alone = from(None, StartFrom::Auto);
        assert!(alone.begun.is_none());
        let better = from(Some(&alone.weights), StartFrom::Auto);
        let begun = better.begun.unwrap();
        assert!(begun.pooled && begun.pooled_loss < begun.base_loss, "{begun:?}");
        assert_eq!(better.curve[0].validation_loss, begun.pooled_loss);
        assert_eq!(alone.curve[0].validation_loss, begun.base_loss);
        assert_eq!(better.recipe.unwrap().start, StartFrom::Pooled);

        let base_head = super::super::trainee::untaught(&base).weights;
        for (pooled, start) in [(&base_head, StartFrom::Auto), (&alone.weights, StartFrom::Base)] {
            let same = from(Some(pooled), start);
            assert!(same.weights == alone.weights, "{start:?}: not a bit differs");
            assert_eq!(same.recipe.unwrap().start, StartFrom::Base);
            assert_eq!(same.begun.is_some(), start == StartFrom::Auto);
        }
        let pulled = Recipe { start: StartFrom::Pooled, l2_sp: 1.0, learning_rate: Some(1e-9), ..recipe.clone() };
        let stayed = learn_from(&base, &lesson(), &pulled, Some(&alone.weights), &mut |_| ControlFlow::Continue(()));
        assert_eq!(stayed.unwrap().curve[0].validation_loss, begun.pooled_loss);
    }
}
