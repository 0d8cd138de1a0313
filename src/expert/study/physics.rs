//! The physics template of a study: the one that the asset's type names, or the one of a few general
//! ones that answers the validation part best.

use super::super::History;
use super::super::template::{Fitted, Record, Template};
use super::parts::{Fits, Parts};

/// What is tried where the type names none: they cover most of what responds to an input with a delay,
/// an overshoot, or a level.
const GENERAL: [Template; 3] = [Template::SecondOrder, Template::FirstOrderDeadTime, Template::Tanks2];
/// With more inputs a lumped equation explains too little to be worth the fit.
const MOST_INPUTS: usize = 3;
/// Origins on the validation part that templates are compared at.
const ORIGINS: usize = 40;

/// Fits the `named` template, or the best of the general ones, to a history in the signals' units;
/// `None` where none comes near it.
pub(super) fn learn(
    history: &History<'_>,
    parts: &Parts,
    horizon: usize,
    named: Option<Template>,
) -> Option<Fits<Fitted>> {
    if history.inputs.is_empty() || (named.is_none() && history.inputs.len() > MOST_INPUTS) {
        return None;
    }
    let until = |end: usize| Record {
        target: &history.target[..end],
        inputs: history.inputs,
        starts: &history.starts[..history.starts.partition_point(|start| *start < end)],
        range: None,
    };
    let candidates = named.map_or(GENERAL.to_vec(), |named| vec![named]);
    let fitted =
        candidates.into_iter().filter_map(|template| Fitted::fit(template, &until(parts.validation()), horizon));
    let judged = fitted.map(|fitted| (error(&fitted, &until, history, parts, horizon), fitted));
    let (_, blind) = judged.filter(|(error, _)| error.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0))?;
    let again = |end: usize| {
        let more = end > parts.validation();
        let fitted = more.then(|| Fitted::fit(blind.template(), &until(end), horizon)).flatten();
        fitted.unwrap_or_else(|| blind.clone())
    };
    // A handful of parameters does not know its past by heart: the stretches that teach need no fits of their own.
    let (judged, all) = (again(parts.judging()), again(parts.end()));
    Some([vec![blind; parts.newest() + 1], vec![judged, all]].concat())
}

/// Mean squared error over the validation part.
fn error<'a>(
    fitted: &Fitted,
    until: &impl Fn(usize) -> Record<'a>,
    history: &History<'_>,
    parts: &Parts,
    horizon: usize,
) -> f64 {
    let Some(last) = parts.judging().checked_sub(horizon).filter(|last| *last > parts.validation()) else {
        return fitted.error().powi(2);
    };
    let stride = ((last - parts.validation()) / ORIGINS).max(1);
    let (mut sum, mut count) = (0.0, 0.0);
    for origin in (parts.validation()..last).step_by(stride) {
        let future: Vec<Vec<f64>> = history.inputs.iter().map(|row| row[origin..origin + horizon].to_vec()).collect();
        let said = fitted.answer(&fitted.stand(&until(origin)), &future, horizon);
        for (said, truth) in said.iter().zip(&history.target[origin..]) {
            sum += (said - truth).powi(2);
            count += 1.0;
        }
    }
    sum / count
}
