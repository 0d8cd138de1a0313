//! The back-test: experts refitted on truncated contexts answer for a past whose truth is known.
//!
//! From their errors come the weights (inverse squared error, squared), the error scale and the
//! traces. Always true: weights sum to 1, none is negative, and where there are inputs the
//! experts that follow them hold at least half, whatever the errors say: a bank that drops the
//! input path answers every what-if with zero. Oracle: `comb3` in the prototype.

use super::FRESH;
use super::blend::{Weights, blend};
use super::history::Context;
use super::study::{self, MEMBERS, STUDIED, Seen};
use super::team::{Crew, Expert, Recollection, Stand, Team};

/// Truncated origins that are tried.
const ORIGINS: usize = 2;
/// Share of the context that one back-test may cover.
const SHARE: f64 = 0.25;
/// Least steps of a back-test.
const LEAST_STEPS: usize = 16;
/// Distance between truncated origins, in back-test lengths.
const SPACING: f64 = 0.75;
/// The newest segment must be this long to be tested in.
const LEAST_SEGMENT: usize = 3 * 16 + 24;
/// Samples of the newest segment before a truncated origin.
const LEAST_BEFORE: usize = 48;
/// Where a completed segment is cut to play a restart.
const REPLAY_CUT: f64 = 0.65;
/// A replayed restart tests at least this many steps, and starts after so many samples.
const REPLAY_LEAST: usize = 9;
const REPLAY_WARM_UP: usize = 4;
/// Squared error below which experts count as equal.
const FLOOR: f64 = 1e-4;
/// Least squared error charged to an expert that could not be fitted for the back-test.
const ABSENT: f64 = 1e-3;
/// Squared error charged for an answer that is not finite.
const HOPELESS: f64 = 1e12;
/// What persistence is worth beside an equally good expert.
const PERSISTENCE_PRIOR: f64 = 0.1;
/// Weight that the experts that follow inputs hold at least, however badly they do: a what-if that
/// the blend does not answer is worth nothing.
const INPUT_SHARE: f64 = 0.5;
/// Weight that they hold at least where the back-test finds them as good as the others. Where inputs
/// have been moved to a schedule, a seasonal profile explains the past as well as the inputs do,
/// but it does not know what happens when the schedule is left.
const INPUT_SHARE_AT_PAR: f64 = 0.97;
/// Times by which their squared error may be larger before they hold no more than [`INPUT_SHARE`].
const CLEARLY_WORSE: f64 = 6.0;
/// Times by which the squared error of a study's member may be larger than the bank's in the
/// back-test before it is trusted less than it was taught to be: the back-test is short.
const STUDY_WORSE: f64 = 4.0;
/// Share of the squared error scale that a study knows from the whole past; the back-test has the rest.
/// With a share of 0.3 or 0.6 the CRPS on new steps was less than without on six of seven real and
/// simulated plants, and equal on one; between the two it hardly mattered.
const KNOWN_SHARE: f64 = 0.6;
/// Windows on which a study's members are compared anew where it has not learned from them: the more the newest
/// ones differ from what it knows, the more that matters.
const NEWER: usize = 8;
/// Horizons that a study was learned for from which on fewer of them count: members that few windows compared are
/// not to be told apart by fewer. On 1,024 steps of real tanks (16 horizons) a few newer windows left an 80 % band
/// that held 63 %, without them 77 %; on 4,000 of a simulated plant they make the blend 5 % better.
const PLENTY: usize = 32;
/// Distance between them, in horizons.
const NEWER_SPACING: f64 = 0.5;
/// Error scale when nothing could be tested (prototype).
const UNTESTED_SCALE: f64 = 0.7;
/// Error scale when persistence is all there is: the deviation of the signal itself.
const BARE_SCALE: f64 = 1.0;
/// Steps per block of [`Verdict::blocks`].
pub(super) const BLOCK: usize = 16;

/// What the bank predicted at an origin in the past, refitted on what was known there.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The origin, as steps before the end of the fitted history: `values[0]` is the prediction
    /// of the sample that lies `start_back` samples before that end.
    pub start_back: usize,
    /// The weighted prediction, normalised units, step by step.
    pub values: Vec<f64>,
}

/// What the back-test found.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) weights: Weights,
    pub(super) scale: f64,
    pub(super) blocks: Vec<f64>,
    pub(super) traces: Vec<Trace>,
}

/// One truncated origin: every expert's answer beside the truth.
struct Trial {
    start_back: usize,
    answers: Vec<(Expert, Vec<f64>)>,
    truth: Vec<f64>,
}

/// Fits the team at the end of `context` and tests it at truncated origins; a `study` joins it as
/// it is. `crew` holds teams that were fitted to this very context for this horizon, and takes those that are fitted
/// now.
pub(super) fn fit(context: &Context<'_>, horizon: usize, study: Option<&Seen>, crew: &mut Crew) -> (Team, Verdict) {
    let (unseen, learned) = study.map_or((0, 0), Seen::unseen_and_learned);
    let (tested, newer) = (origins(context, horizon), newest(context, horizon, unseen, learned));
    let mut asked: Vec<usize> = tested.iter().map(|&(origin, _)| origin).chain(newer.iter().copied()).collect();
    asked.sort_unstable();
    asked.dedup();
    let remembered: Vec<(usize, Recollection)> = Recollection::of(context, &asked, study).collect();
    let mut ends = ends(&tested, &asked);
    ends.push(context.len());
    let mut teams = crew.teams(context, &ends, horizon, study);
    let team = teams.pop().unwrap_or_default();
    let trial = |origin: usize, steps: usize| {
        let place = remembered.binary_search_by_key(&origin, |(end, _)| *end).expect("an origin that is asked for");
        let fitted = ends.partition_point(|end| *end <= origin).checked_sub(1).expect("a team that is old enough");
        let stand = teams[fitted].stand_with(&context.until(origin), remembered[place].1.clone());
        Trial::of(context, &stand, origin, steps, 0)
    };
    let mut trials: Vec<Trial> = tested.iter().map(|&(origin, steps)| trial(origin, steps)).collect();
    if trials.is_empty() {
        trials.extend(replayed_restart(context, horizon, study));
    }
    // readings are finite; should one not be, nothing can be judged against it
    trials.retain(|trial| trial.truth.iter().all(|t| t.is_finite()));
    let mut weights = weights(&team.members(), &trials, !context.inputs.is_empty());
    if let Some(study) = study {
        let newer = newer.iter().map(|origin| trial(*origin, horizon).beside(&weights)).collect();
        weights.studied = studied(study, &trials, &weights, study.shares(newer, horizon));
    }
    let verdict = judge(weights, &trials, horizon, study);
    (team, verdict)
}

/// Where teams are fitted that answer from the origins `asked` (ascending): at each of those `tested`, and else where
/// no team is as fresh as one that serves.
fn ends(tested: &[(usize, usize)], asked: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::with_capacity(asked.len() + 1);
    for &origin in asked {
        let fresh = ends.last().is_some_and(|end| origin - end < FRESH);
        if !fresh || tested.iter().any(|(tested, _)| *tested == origin) {
            ends.push(origin);
        }
    }
    ends
}

/// Origins of the newest windows from which a study has not learned, newest first; where it was `learned` for a short
/// past, all [`NEWER`] of them or none. Without inputs there are none: to fit anew what looks back on hundreds of lags
/// costs too much.
fn newest(context: &Context<'_>, horizon: usize, unseen: usize, learned: usize) -> Vec<usize> {
    let end = context.len();
    if context.inputs.is_empty() || horizon == 0 {
        return Vec::new();
    }
    let least = context.last_start() + LEAST_BEFORE;
    let backs = (0..NEWER).map(|place| horizon + (place as f64 * NEWER_SPACING * horizon as f64) as usize);
    let origins = backs.take_while(|back| *back <= unseen && end >= least + back).map(|back| end - back);
    let origins: Vec<usize> = origins.collect();
    if origins.len() == NEWER || learned >= PLENTY * horizon { origins } else { Vec::new() }
}

/// Truncated origins with the steps they are tested over, oldest first.
fn origins(context: &Context<'_>, horizon: usize) -> Vec<(usize, usize)> {
    let end = context.len();
    let start = context.last_start();
    if end - start < LEAST_SEGMENT || horizon == 0 {
        return Vec::new();
    }
    let steps = horizon.min(LEAST_STEPS.max((SHARE * end as f64) as usize));
    let mut origins: Vec<(usize, usize)> = (0..ORIGINS)
        .map_while(|j| {
            let back = steps + (j as f64 * steps as f64 * SPACING) as usize;
            end.checked_sub(back).filter(|origin| *origin >= start + LEAST_BEFORE).map(|origin| (origin, steps))
        })
        .collect();
    origins.reverse();
    origins
}

/// After a restart the newest segment is too short to be tested in: the longest completed segment
/// is cut in two, and its second part plays the time after a restart.
fn replayed_restart(context: &Context<'_>, horizon: usize, study: Option<&Seen>) -> Option<Trial> {
    let newest = context.len() - context.last_start();
    let (_, completed) = context.segments.split_last()?;
    let &(start, end) = completed.iter().max_by_key(|(start, end)| end - start)?;
    let mut replay = context.within(start, end);
    let cut = (replay.len() as f64 * REPLAY_CUT) as usize;
    replay.segments = vec![(0, cut), (cut, replay.len())];
    let origin = cut + newest.max(REPLAY_WARM_UP);
    let steps = horizon.min(replay.len().checked_sub(origin)?);
    if steps < REPLAY_LEAST || cut == 0 {
        return None;
    }
    let team = Team::fit(&replay, &[origin], steps, study).pop()?;
    let after = context.len() - end;
    Some(Trial::of(&replay, &team.stand(&replay.until(origin)), origin, steps, after))
}

impl Trial {
    /// `after` counts the samples between the end of `context` and the end of the fitted history.
    fn of(context: &Context<'_>, stand: &Stand<'_>, origin: usize, steps: usize, after: usize) -> Self {
        let future = context.inputs_within(origin, origin + steps);
        Self {
            start_back: context.len() - origin + after,
            answers: stand.answers(&future, steps),
            truth: context.target[origin..origin + steps].to_vec(),
        }
    }

    fn answer(&self, expert: Expert) -> Option<&[f64]> {
        self.answers.iter().find(|(e, _)| *e == expert).map(|(_, answer)| answer.as_slice())
    }

    /// Mean squared error of one expert; one that was absent pays the truth's variance.
    fn error(&self, expert: Expert) -> f64 {
        let count = self.truth.len() as f64;
        if let Some(answer) = self.answer(expert).filter(|answer| !answer.is_empty()) {
            let error = squares(answer, &self.truth).sum::<f64>() / count.min(answer.len() as f64);
            return if error.is_finite() { error } else { HOPELESS };
        }
        let mean = self.truth.iter().sum::<f64>() / count;
        let variance = self.truth.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / count;
        variance.max(ABSENT)
    }

    /// The blend of the bank's own experts beside what the members of a study said.
    fn beside(self, own: &Weights) -> study::Trial {
        let member = |member| self.answer(member).map(<[f64]>::to_vec);
        study::Trial {
            bank: self.blend(own),
            members: STUDIED.map(member),
            learned: Default::default(),
            truth: self.truth,
        }
    }

    /// The weighted answer of the experts that were present.
    fn blend(&self, weights: &Weights) -> Vec<f64> {
        blend(&self.answers, weights).mean
    }
}

fn squares<'a>(answer: &'a [f64], truth: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    answer.iter().zip(truth).map(|(a, t)| (a - t).powi(2))
}

/// Scale and traces of a blend from the trials (oldest first).
fn judge(weights: Weights, trials: &[Trial], horizon: usize, study: Option<&Seen>) -> Verdict {
    let optimism = study.map_or([1.0; MEMBERS], |study| study.optimism(2 * horizon));
    // What a member has learned by heart it answers too well: its part of the error is more.
    let honest = |step: usize, weights: &Weights| {
        1.0 + weights.studied_at(step).iter().zip(optimism).map(|(share, times)| share * (times - 1.0)).sum::<f64>()
    };
    let blocks = horizon.div_ceil(BLOCK);
    if trials.is_empty() {
        let scale = if weights.own.len() > 1 { UNTESTED_SCALE } else { BARE_SCALE };
        return Verdict { weights, scale, blocks: vec![scale; blocks], traces: Vec::new() };
    }
    let mut traces = Vec::with_capacity(trials.len());
    let mut sums = vec![(0.0, 0_usize); blocks];
    let mut total = 0.0;
    for trial in trials {
        let values = trial.blend(&weights);
        let errors: Vec<f64> =
            squares(&values, &trial.truth).enumerate().map(|(step, error)| error * honest(step, &weights)).collect();
        total += errors.iter().sum::<f64>() / errors.len() as f64;
        for (sum, errors) in sums.iter_mut().zip(errors.chunks(BLOCK)) {
            sum.0 += errors.iter().sum::<f64>();
            sum.1 += errors.len();
        }
        traces.push(Trace { start_back: trial.start_back, values });
    }
    // Two origins say little: what the blend is known for over the whole past counts as much.
    let with_known = |error: f64, known: Option<f64>| {
        known.map_or(error, |known| KNOWN_SHARE.mul_add(known.powi(2) - error, error)).sqrt()
    };
    let known = |block: usize| study.and_then(|study| study.error(block));
    let mean_known = (0..blocks).map(|block| known(block).map(|error| error.powi(2))).sum::<Option<f64>>();
    let mean = total / trials.len() as f64;
    let scale = with_known(mean, mean_known.map(|sum| (sum / blocks.max(1) as f64).sqrt()));
    let mut last = mean;
    let blocks = sums
        .iter()
        .enumerate()
        .map(|(block, &(sum, count))| {
            if count > 0 {
                last = sum / count as f64;
            }
            with_known(last, known(block))
        })
        .collect();
    Verdict { weights, scale, blocks, traces }
}

/// The `shares` of a study's members, step by step, less where the back-test finds a member far worse than the
/// bank's own blend.
fn studied(study: &Seen, trials: &[Trial], own: &Weights, shares: Vec<[f64; MEMBERS]>) -> Vec<[f64; MEMBERS]> {
    let mean = |of: &dyn Fn(&Trial) -> f64| trials.iter().map(of).sum::<f64>() / trials.len() as f64;
    let optimism = study.optimism(2 * shares.len());
    let mut guards = [1.0; MEMBERS];
    if !trials.is_empty() {
        let bank = mean(&|trial| squares(&trial.blend(own), &trial.truth).sum::<f64>() / trial.truth.len() as f64);
        for ((guard, expert), times) in guards.iter_mut().zip(STUDIED).zip(optimism) {
            let error = times * mean(&|trial| trial.error(expert));
            *guard = (STUDY_WORSE * (bank + FLOOR) / (error + FLOOR)).powi(2).min(1.0);
        }
    }
    shares
        .into_iter()
        .map(|shares| {
            let kept: [f64; MEMBERS] = std::array::from_fn(|k| shares[k] * guards[k]);
            // Those that are still trusted take what the others lose as far as they are, the bank the rest.
            let lost = shares.iter().sum::<f64>() - kept.iter().sum::<f64>();
            kept.map(|share| share * (1.0 + lost))
        })
        .collect()
}

fn weights(members: &[Expert], trials: &[Trial], inputs: bool) -> Weights {
    let errors: Vec<f64> = members
        .iter()
        .map(|&expert| {
            let sum: f64 = trials.iter().map(|trial| trial.error(expert)).sum();
            sum / trials.len().max(1) as f64 + FLOOR
        })
        .collect();
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let mut weights: Vec<(Expert, f64)> = members
        .iter()
        .zip(&errors)
        .map(|(&expert, error)| {
            let prior = if expert == Expert::Persistence && !trials.is_empty() { PERSISTENCE_PRIOR } else { 1.0 };
            (expert, prior * (least / error).powi(2))
        })
        .collect();
    let total: f64 = weights.iter().map(|(_, w)| w).sum();
    for (_, weight) in &mut weights {
        *weight /= total;
    }
    if inputs {
        let best = |follows: bool| {
            let of = members.iter().zip(&errors).filter(|(expert, _)| expert.follows_inputs() == follows);
            of.map(|(_, error)| *error).fold(f64::INFINITY, f64::min)
        };
        keep_the_input_path(&mut weights, input_share(best(true) / best(false)));
    }
    Weights { own: weights, studied: Vec::new() }
}

/// What the experts that follow inputs hold at least when their squared error is `ratio` times that
/// of the others.
fn input_share(ratio: f64) -> f64 {
    let worse = (ratio.max(1.0).ln() / CLEARLY_WORSE.ln()).clamp(0.0, 1.0);
    INPUT_SHARE_AT_PAR + worse * (INPUT_SHARE - INPUT_SHARE_AT_PAR)
}

/// Lifts the experts that follow inputs to `share` of the weight where they hold less.
fn keep_the_input_path(weights: &mut [(Expert, f64)], share: f64) {
    let follows = |(expert, _): &&(Expert, f64)| expert.follows_inputs();
    let count = weights.iter().filter(follows).count();
    let held: f64 = weights.iter().filter(follows).map(|(_, w)| w).sum();
    if count == 0 || held >= share {
        return;
    }
    for (expert, weight) in weights {
        if !expert.follows_inputs() {
            *weight *= (1.0 - share) / (1.0 - held);
        } else if held > 0.0 {
            *weight *= share / held;
        } else {
            *weight = share / count as f64;
        }
    }
}

#[cfg(test)]
mod tests;
