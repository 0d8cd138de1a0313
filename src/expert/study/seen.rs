//! A study as a bank sees it: in the bank's units, and answering beside its experts.

use std::sync::Arc;

use super::curved::CurvedState;
use super::joint::JointState;
use super::lens::Lens;
use super::stepwise::StepwiseState;
use super::{MEMBERS, Study, Trial};
use crate::expert::history::Context;
use crate::expert::template::{Record, State};
use crate::expert::{CONTEXT, History, Scale};

/// A study seen through the units of a bank.
#[derive(Clone, Debug)]
pub struct Seen {
    study: Arc<Study>,
    target: Lens,
    inputs: Vec<Lens>,
    others: Vec<Lens>,
    /// The scales of the bank, for what thinks in the signals' units.
    units: (Scale, Vec<Scale>),
    /// Newest samples that it has not learned from.
    unseen: usize,
}

/// What the members of a study remember of a context, to answer from its end.
#[derive(Clone, Debug)]
pub(in crate::expert) struct StudyState {
    curved: Option<CurvedState>,
    newest: Option<Vec<f64>>,
    template: Option<State>,
    joint: Option<JointState>,
    stepwise: Option<StepwiseState>,
}

impl Study {
    /// The study in the units of a bank whose signals have these scales; `None` when it was learned
    /// for other signals. `unseen` counts the newest samples of the bank's history that it has not learned
    /// from: a back-test on others flatters it.
    #[must_use]
    pub fn seen(self: &Arc<Self>, target: Scale, inputs: &[Scale], others: &[Scale], unseen: usize) -> Option<Seen> {
        let lenses =
            |from: &[Scale], to: &[Scale]| from.iter().zip(to).map(|(from, to)| Lens::between(*from, *to)).collect();
        (inputs.len() == self.inputs.len() && others.len() == self.others.len()).then(|| Seen {
            study: self.clone(),
            target: Lens::between(target, self.target),
            inputs: lenses(inputs, &self.inputs),
            others: lenses(others, &self.others),
            units: (target, inputs.to_vec()),
            unseen,
        })
    }
}

impl Seen {
    /// The members' shares for each of so many steps ahead, as learned and as windows tell that were tried
    /// since, in the units of the bank.
    pub(in crate::expert) fn shares(&self, newer: Vec<Trial>, steps: usize) -> Vec<[f64; MEMBERS]> {
        let newer: Vec<Trial> = newer.into_iter().map(|trial| trial.times(self.units.0.deviation)).collect();
        let shares = self.study.evidence.shares(&newer);
        (0..steps).map(|step| shares.at(step)).collect()
    }

    /// Newest samples that it has not learned from, and steps of the past that it was learned for.
    pub(in crate::expert) fn unseen_and_learned(&self) -> (usize, usize) {
        (self.unseen, self.study.steps)
    }

    /// Root mean squared error that the blend is known for in a block of the horizon, the first being 0, in
    /// the units of the bank; `None` where it never was tried.
    pub(in crate::expert) fn error(&self, block: usize) -> Option<f64> {
        let errors = &self.study.errors;
        let error = errors.get(block).or(errors.last())? / self.units.0.deviation;
        error.is_finite().then_some(error)
    }

    /// How many times larger each member's squared error is than a back-test on so many of the newest samples
    /// says.
    pub(in crate::expert) fn optimism(&self, tested: usize) -> [f64; MEMBERS] {
        if self.unseen < tested { self.study.optimism } else { [1.0; MEMBERS] }
    }

    /// The members' answers from before each of the `ends` (ascending) of `recent` over the future and the steps `asked`
    /// there, all in the units of the bank, by [`STUDIED`].
    #[must_use]
    pub fn answers_each<'q>(
        &self,
        recent: &History<'_>,
        ends: &[usize],
        asked: impl Iterator<Item = (&'q [Vec<f64>], usize)>,
    ) -> Vec<[Option<Vec<f64>>; MEMBERS]> {
        let states = match Context::before_each(recent, ends, CONTEXT) {
            Some((context, ends)) => self.stands(&context, &ends),
            None => ends.iter().map(|end| self.stand(&Context::newest(&recent.until(*end), CONTEXT))).collect(),
        };
        states.iter().zip(asked).map(|(state, (future, steps))| self.answers(state, future, steps)).collect()
    }

    /// What the members remember of `context`, which is in the units of the bank.
    pub(in crate::expert) fn stand(&self, context: &Context<'_>) -> StudyState {
        self.stands(context, &[context.len()]).pop().expect("one end, one state")
    }

    /// What they remember at each of the `ends` (ascending, in the newest segment) of `context`.
    pub(in crate::expert) fn stands(&self, context: &Context<'_>, ends: &[usize]) -> Vec<StudyState> {
        let [Some(first), Some(last)] = [ends.first(), ends.last()] else { return Vec::new() };
        let from = first.saturating_sub(Self::REMEMBERED);
        let recent = context.within(from, *last);
        let ends: Vec<usize> = ends.iter().map(|end| end - from).collect();
        let scaled = |rows: &[&[f64]], lenses: &[Lens]| -> Vec<Vec<f64>> {
            rows.iter().zip(lenses).map(|(row, lens)| row.iter().map(|v| lens.through(*v)).collect()).collect()
        };
        let target: Vec<f64> = recent.target.iter().map(|v| self.target.through(*v)).collect();
        let (inputs, others) = (scaled(&recent.inputs, &self.inputs), scaled(&recent.others, &self.others));
        let all = Context {
            target: &target,
            inputs: inputs.iter().map(Vec::as_slice).collect(),
            others: others.iter().map(Vec::as_slice).collect(),
            segments: recent.segments.clone(),
        };
        let curved = self.study.curved.as_ref().map(|curved| curved.stands(&all, &ends)).unwrap_or_default();
        let at = |(place, &end): (usize, &usize)| {
            let seen = all.within(end.saturating_sub(Self::REMEMBERED), end);
            let newest = self.study.pooled.as_ref().and_then(|pooled| {
                let segment = &seen.target[seen.last_start()..];
                segment.len().checked_sub(pooled.lags()).map(|start| segment[start..].to_vec())
            });
            let template = self.study.template.as_ref().map(|fitted| {
                let undo = |row: &[f64], scale: &Scale| -> Vec<f64> { row.iter().map(|v| scale.undo(*v)).collect() };
                let recent = recent.within(end.saturating_sub(Self::REMEMBERED), end);
                let inputs: Vec<Vec<f64>> =
                    recent.inputs.iter().zip(&self.units.1).map(|(row, scale)| undo(row, scale)).collect();
                let starts: Vec<usize> = recent.segments.iter().map(|(start, _)| *start).collect();
                let target = undo(recent.target, &self.units.0);
                fitted.stand(&Record { target: &target, inputs: &inputs, starts: &starts, range: None })
            });
            let joint = self.study.joint.as_ref().map(|joint| joint.stand(&seen));
            let stepwise = self.study.stepwise.as_ref().and_then(|stepwise| stepwise.stand(&seen));
            StudyState { curved: curved.get(place).cloned().flatten(), newest, template, joint, stepwise }
        };
        ends.iter().enumerate().map(at).collect()
    }

    /// Samples that the slowest member looks back on.
    const REMEMBERED: usize = 640;

    /// The members' answers for `steps` over `future`, in the units of the bank, by [`STUDIED`].
    pub(in crate::expert) fn answers(
        &self,
        state: &StudyState,
        future: &[Vec<f64>],
        steps: usize,
    ) -> [Option<Vec<f64>>; MEMBERS] {
        let ahead: Vec<Vec<f64>> = future
            .iter()
            .zip(&self.inputs)
            .map(|(row, lens)| row[..steps].iter().map(|v| lens.through(*v)).collect())
            .collect();
        let back = |answer: Vec<f64>| answer.into_iter().map(|v| self.target.back(v)).collect();
        let Study { curved, pooled, template, joint, stepwise, .. } = &*self.study;
        let curved =
            curved.as_ref().zip(state.curved.as_ref()).map(|(expert, state)| expert.answer(state, &ahead, steps));
        let pooled = pooled.as_ref().zip(state.newest.as_ref()).map(|(expert, newest)| expert.answer(newest, steps));
        let template = template.as_ref().zip(state.template.as_ref()).map(|(fitted, state)| {
            let undone: Vec<Vec<f64>> = future
                .iter()
                .zip(&self.units.1)
                .map(|(row, scale)| row[..steps].iter().map(|v| scale.undo(*v)).collect())
                .collect();
            let answer = fitted.answer(state, &undone, steps);
            answer.into_iter().map(|v| self.units.0.target(v)).collect()
        });
        let joint = joint.as_ref().zip(state.joint.as_ref()).map(|(expert, state)| expert.answer(state, &ahead, steps));
        let stepwise = stepwise.as_ref().zip(state.stepwise.as_ref());
        let stepwise = stepwise.map(|(expert, state)| expert.answer(state, &ahead, steps));
        [curved.map(back), pooled.map(back), template, joint.map(back), stepwise.map(back)]
    }
}
