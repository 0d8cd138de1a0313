//! What a candidate has beside its head: for each target the length of the bank's context, and a study
//! of the asset's whole past.
//!
//! The context is chosen on the validation part, the shares on that and the half before. While the head learns, every window is
//! answered by a study that is blind to the window's stretch. Judged is the study that knows everything
//! before the holdout; once it is judged, the same choices fitted to all readings serve.

use std::sync::Arc;

use super::dataset::{Parts, STEPS, budget};
use crate::expert::study::{Studies, Study};
use crate::features::{Banks, Crews, Known, Lessons, Setup, Setups, Split, Subject, bank_error, study, weigh};

/// Lengths of the bank's context that compete, in samples.
const CONTEXTS: [usize; 2] = [448, crate::expert::CONTEXT];
/// Windows over all targets that choose among contexts, and that studies are weighed on.
const CHOOSING: usize = 48;
const WEIGHING: usize = 320;
/// Windows of each target that its study is weighed on at least: from fewer the season that they fall into decides.
const LEAST_WEIGHING: usize = 160;
/// Steps ahead that a map from lags answers: as far as a day of quarter hours, and more.
const REACH: usize = 128;
/// A study with a smaller share of the answer than this is not worth keeping.
const LEAST_SHARE: f64 = 0.02;

/// How the banks of a candidate are built, target by target.
#[derive(Debug, Default)]
pub(super) struct Backing {
    /// For the windows that the head learns from, and that validate.
    pub(super) learning: Vec<Banks>,
    /// For those that judge.
    pub(super) judging: Vec<Banks>,
    /// For serving, stored with the version: the same studies, fitted again to everything that the job
    /// has seen, the part that judged them included.
    pub(super) setups: Setups,
    /// What was fitted to the grid meanwhile.
    pub(super) crews: Crews,
}

impl Backing {
    /// Chooses contexts and learns studies; `told` hears the share that is done and may stop.
    pub(super) fn learn<E>(
        subject: Subject<'_>,
        parts: &Parts,
        told: &mut dyn FnMut(f64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let Subject { asset_type, grid, layout } = subject;
        let validation = |windows: usize| Split {
            from: parts.stopping.start,
            to: parts.holdout.start,
            windows: budget(layout, windows),
        };
        let lessons = Lessons {
            validation: parts.stopping.start,
            judging: parts.holdout.start,
            aside: parts.older.clone(),
            horizon: STEPS,
            reach: REACH,
            template: asset_type.document.template.map(Into::into),
        };
        let studies = study(grid, layout, &lessons);
        told(0.5)?;
        let mut backing = Self::default();
        let crews = Crews::of(layout);
        let banks = |context| Banks { context: Some(context), study: Known::Nothing, crews: crews.clone() };
        for (index, (&target, studies)) in layout.targets.iter().zip(studies).enumerate() {
            let error = |context| bank_error(subject, target, validation(CHOOSING), STEPS, &banks(context));
            // With no more samples than the shorter context there is nothing to choose.
            let choice = if parts.stopping.start > CONTEXTS[0] { &CONTEXTS[..] } else { &CONTEXTS[1..] };
            let context = choice.iter().copied().min_by(|a, b| error(*a).total_cmp(&error(*b)));
            let context = context.unwrap_or(crate::expert::CONTEXT);
            let weighed = studies
                .map(|studies| {
                    // From where the bank has a context as it will have. Every window has a study that is
                    // blind to it: the more windows, the less does one odd stretch decide.
                    let from = CONTEXTS[0].min(parts.stopping.start / 2);
                    let split = Split { from, to: grid.len(), windows: budget(layout, WEIGHING).max(LEAST_WEIGHING) };
                    weigh(studies, subject, target, split, STEPS, &banks(context))
                })
                .filter(|studies| studies.whole().shares().iter().sum::<f64>() >= LEAST_SHARE);
            let setup = |study: fn(&Studies) -> &Arc<Study>, learned: usize| Setup {
                context,
                study: weighed.as_ref().map(|studies| study(studies).clone()),
                learned_until: weighed.as_ref().map(|_| grid.instants[learned - 1]),
            };
            backing.judging.push(Banks::of(setup(Studies::judged, parts.holdout.start)).sharing(&crews));
            let name = &asset_type.document.signals[target].name;
            backing.setups.insert(name, setup(Studies::whole, grid.len()));
            let known = weighed.map_or(Known::Nothing, |studies| Known::Blind(studies.into()));
            backing.learning.push(Banks { study: known, ..banks(context) });
            told(0.5 + 0.5 * (index as f64 + 1.0) / layout.targets.len() as f64)?;
        }
        backing.crews = crews;
        Ok(backing)
    }
}
