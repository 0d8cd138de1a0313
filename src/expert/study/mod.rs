//! What is learned once from an asset's whole past, beside what the bank learns anew from its newest
//! samples: a curved response to the inputs, a map from hundreds of lags, a physics template.
//!
//! Such experts need more samples than a context holds, so they are fitted by a fine-tune job and
//! stored with the version that came of it. Always true: a study has a scale of its own and is seen
//! through the scale of a bank ([`Seen`]); for every stretch of the past there is a twin that did not
//! learn from it ([`Studies::blind_to`]), so that nothing is judged on what it knows by heart; how far
//! each member is trusted is learned on such a stretch too ([`Studies::weigh`]).

mod basis;
mod cosine;
mod curved;
mod drive;
mod joint;
mod lens;
mod parts;
mod physics;
mod pooled;
mod scaled;
mod seen;
mod stack;
mod stepwise;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::Context;
use super::team::Expert;
use super::template::{Fitted, Template};
use super::{History, Scale};
use curved::Curved;
use joint::Joint;
use parts::{Fits, Parts};
use pooled::Pooled;
use scaled::Scaled;
pub use seen::Seen;
pub(super) use seen::StudyState;
pub use stack::Trial;
use stack::{Evidence, Tried};
use stepwise::Stepwise;

/// The members of a study in their order.
pub const STUDIED: [Expert; MEMBERS] =
    [Expert::Curved, Expert::Pooled, Expert::Template, Expert::Joint, Expert::Stepwise];
/// How many those are.
pub const MEMBERS: usize = 5;
/// Places of the template and of the joint equations among them.
const TEMPLATE: usize = 2;
const JOINT: usize = 3;
/// A template that somebody named is believed to err this many times less than the few windows of a
/// validation part can tell.
const NAMED: f64 = 2.0;
/// With fewer samples to teach there is nothing that the bank does not know.
const LEAST_TAUGHT: usize = 240;
/// Answers stay within this many deviations of a bank, as its own experts' do.
const LIMIT: f64 = 12.0;

/// Stores numbers that are rounded to `f32` as such.
mod single {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| *value as f32))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<f32>::deserialize(from)?.into_iter().map(f64::from).collect())
    }
}

/// What to learn a study for.
#[derive(Clone, Debug, Default)]
pub struct Aim {
    /// Steps ahead that matter most.
    pub horizon: usize,
    /// Steps ahead that a map from lags answers, no fewer; beyond them its last answer holds.
    pub reach: usize,
    /// Where the part begins that chooses and validates; everything before it teaches.
    pub validation: usize,
    /// Where the part begins that judges; the end where none does.
    pub judging: usize,
    /// Stretches, in order, whose readings are set aside to judge by; a template alone may see them.
    pub aside: Vec<Range<usize>>,
    /// The kind of plant, where it is known.
    pub template: Option<Template>,
}

/// What was learned of one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Study {
    target: Scale,
    inputs: Vec<Scale>,
    others: Vec<Scale>,
    curved: Option<Curved>,
    pooled: Option<Pooled>,
    template: Option<Fitted>,
    joint: Option<Joint>,
    stepwise: Option<Stepwise>,
    evidence: Evidence,
    /// How many times larger each member's squared error is on what it did not learn from.
    optimism: [f64; MEMBERS],
    /// Steps of the past that it was learned for.
    steps: usize,
    /// Root mean squared error of the blend of bank and members for each block of the horizon, on steps
    /// that no member learned from, in the target's unit.
    errors: Vec<f64>,
}

/// Studies of one target that know other stretches of its past.
#[derive(Clone, Debug)]
pub struct Studies {
    fits: Fits<Arc<Study>>,
    parts: Parts,
    /// Whether somebody named the template.
    named: bool,
}

impl Studies {
    /// Learns one for every target; the histories are in the signals' units, on one grid, and hold
    /// what may be learned from, the validation part included. `None` where nothing can be learned.
    #[must_use]
    pub fn learn(histories: &[History<'_>], aim: &Aim) -> Vec<Option<Self>> {
        let Some(end) = histories.first().map(|history| history.target.len()) else { return Vec::new() };
        let validation = aim.validation.min(end);
        if validation < LEAST_TAUGHT {
            return histories.iter().map(|_| None).collect();
        }
        let judging = aim.judging.clamp(validation, end);
        let parts = Parts::new((validation, judging, end), aim.horizon, aim.aside.clone());
        let scaled: Vec<Scaled> = histories.iter().map(Scaled::of).collect();
        let contexts: Vec<Context<'_>> = scaled.iter().map(Scaled::context).collect();
        let mut pooled = pooled::learn(&contexts, &parts, aim.reach.max(aim.horizon)).unwrap_or_default().into_iter();
        let known = histories.iter().zip(scaled.iter().zip(&contexts));
        known
            .map(|(history, (scaled, context))| {
                let physics = physics::learn(history, &parts, aim.horizon, aim.template);
                let curves = Curved::learn(context, &parts, aim.horizon);
                let pooled = pooled.next();
                let joint = Joint::learn(context, &parts, aim.horizon);
                let stepwise = Stepwise::learn(context, &parts, aim.horizon);
                let any = curves.is_some() || pooled.is_some() || physics.is_some() || joint.is_some();
                let study = |place: usize| {
                    Arc::new(Study {
                        target: scaled.scales.0,
                        inputs: scaled.scales.1.clone(),
                        others: scaled.scales.2.clone(),
                        curved: curves.as_ref().map(|fits| fits[place].clone()),
                        pooled: pooled.as_ref().map(|fits| fits[place].clone()),
                        template: physics.as_ref().map(|fits| fits[place].clone()),
                        joint: joint.as_ref().map(|fits| fits[place].clone()),
                        stepwise: stepwise.as_ref().map(|fits| fits[place].clone()),
                        evidence: Evidence::default(),
                        optimism: [1.0; MEMBERS],
                        steps: end,
                        errors: Vec::new(),
                    })
                };
                any.then(|| Self {
                    fits: (0..=parts.count()).map(study).collect(),
                    parts: parts.clone(),
                    named: aim.template.is_some(),
                })
            })
            .collect()
    }

    /// The study that did not learn from the stretch in which `step` lies; beyond what was learned
    /// from, the one that knows everything.
    #[must_use]
    pub fn blind_to(&self, step: usize) -> &Arc<Study> {
        &self.fits[self.parts.holding(step, step).unwrap_or(self.parts.count())]
    }

    /// The last step before `step` that [`Self::blind_to`] it learned from; `None` where it learned from
    /// later ones alone.
    #[must_use]
    pub fn learned_before(&self, step: usize) -> Option<usize> {
        let end = self.parts.holding(step, step).map_or(self.parts.end(), |stretch| self.parts.range(stretch).0);
        end.checked_sub(1)
    }

    /// The study that is judged: it knows what comes before the part that judges.
    #[must_use]
    pub fn judged(&self) -> &Arc<Study> {
        &self.fits[self.parts.newest() + 1]
    }

    /// The study that knows everything: what serves once the judgement stands.
    #[must_use]
    pub fn whole(&self) -> &Arc<Study> {
        &self.fits[self.parts.count()]
    }

    /// Decides how far each member is trusted beside the bank, and how much it flatters itself where it has
    /// learned. The trials, each with the step that it begins at, in order, are answered by the studies that
    /// are blind to their stretch, and again by one that has learned from it. Those of the part that judges
    /// count for what serves alone; one that reaches over the edge of a stretch counts for nothing.
    pub fn weigh(&mut self, trials: &[(usize, Trial)]) {
        let mut believed = [1.0; MEMBERS];
        if self.named {
            believed[TEMPLATE] = NAMED;
        }
        let linear = self.whole().joint.as_ref().is_some_and(Joint::is_linear).then_some(JOINT);
        let tried = |end: usize| -> Vec<Tried<'_>> {
            let held = trials.iter().filter_map(|(origin, trial)| {
                let stretch = self.parts.holding(*origin, origin + trial.truth.len().max(1) - 1)?;
                let (_, to) = self.parts.range(stretch);
                (to <= end).then(|| Tried { trial, origin: *origin, lacking: self.parts.lacking(stretch, end) })
            });
            held.collect()
        };
        let weighed = |tried: &[Tried<'_>]| {
            let evidence = Evidence::of(tried, believed, linear);
            let errors = stack::errors(tried, &evidence.shares(&[]));
            (evidence, stack::optimism(tried), errors)
        };
        let (judged, whole) = (weighed(&tried(self.parts.judging())), weighed(&tried(self.parts.end())));
        for (place, study) in self.fits.iter_mut().enumerate() {
            let study = Arc::make_mut(study);
            let (evidence, optimism, errors) = if place == self.parts.count() { &whole } else { &judged };
            study.evidence.clone_from(evidence);
            study.optimism = *optimism;
            study.errors.clone_from(errors);
        }
    }

    /// The study that has learned from a step, to tell how much that flatters it.
    #[must_use]
    pub fn learned_from(&self, step: usize) -> &Arc<Study> {
        if step < self.parts.judging() { self.judged() } else { self.whole() }
    }
}

impl Study {
    /// Mean share of each member in the blend, by [`STUDIED`].
    #[must_use]
    pub fn shares(&self) -> [f64; MEMBERS] {
        self.evidence.shares(&[]).mean()
    }
}

#[cfg(test)]
mod tests;
