//! What each forecaster would have said at one window's start, from what was known there.

use super::ask::{Inputs, Plan};
use super::field::Field;
use crate::asset::AssetType;
use crate::expert::{History, Scale, period};
use crate::features::{Fit, Grid, Layout, Setups, Subject};
use crate::forecast::naive::{assumed, persistence, seasonal};
use crate::model::window::{Window, future_steps};
use crate::model::{NORMAL, Quantiles};
use crate::score::point::mae;

/// One output at one window's start. Answers are in its unit and as long as the horizon.
#[derive(Debug)]
pub(super) struct Stand {
    /// Place among the field's outputs.
    pub(super) place: usize,
    /// For the network; `None` where the bank said something that is no number.
    pub(super) window: Option<Window>,
    /// Undoes the network's units.
    pub(super) scale: Scale,
    pub(super) naive: Quantiles,
    pub(super) seasonal: Quantiles,
    pub(super) arx: Quantiles,
    /// Steps of its season.
    pub(super) period: Option<usize>,
    /// Mean absolute change from one step to the next.
    pub(super) pace: Option<f64>,
}

/// What is said of everything `known` at a window's start: of outputs that had been measured by then.
pub(super) fn stands(
    asset_type: &AssetType,
    field: &Field,
    known: &Grid,
    origin: usize,
    plan: &Plan,
    setups: &Setups,
) -> Vec<Stand> {
    let layout = Layout::new(asset_type, known);
    let subject = Subject { asset_type, grid: known, layout: &layout };
    let steps = future_steps(plan.horizon);
    let ahead = ahead(&field.grid, known, &layout, origin, steps, plan);
    let targets = layout.targets.iter().filter_map(|target| {
        let place = field.outputs.iter().position(|output| output == target)?;
        Some((place, *target))
    });
    targets
        .map(|(place, target)| {
            let signal = &asset_type.document.signals[target];
            let setup = setups.of(&signal.name);
            let fit = Fit::new(subject, target, known.len(), steps, &setup);
            let window = fit.windows(known, known.len(), std::slice::from_ref(&ahead), steps).pop();
            let history = &known.values[target];
            let wide = assumed(signal, history[history.len() - 1]);
            let naive = persistence(history, plan.horizon, wide);
            let segment = &history[known.starts.last().copied().unwrap_or(0)..];
            let period = season(segment);
            let arx = fit.linear(known, known.len(), &ahead, plan.horizon).map(|said| {
                let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
                let row = |(mean, spread): (f64, f64)| NORMAL.map(|z| (mean + z * spread).clamp(low, high));
                said.into_iter().map(row).collect()
            });
            Stand {
                place,
                window: window.filter(Window::is_finite),
                scale: fit.scale(),
                seasonal: seasonal(segment, period, plan.horizon, wide),
                arx: arx.unwrap_or_else(|| naive.clone()),
                naive,
                period,
                pace: mae(history, &history[1..]),
            }
        })
        .collect()
}

/// What is assumed of the inputs of a layout, a row each.
fn ahead(grid: &Grid, known: &Grid, layout: &Layout, origin: usize, steps: usize, plan: &Plan) -> Vec<Vec<f64>> {
    let row = |input: &usize| {
        let held = known.values[*input].last().copied().unwrap_or(0.0);
        match plan.inputs {
            Inputs::Held => vec![held; steps],
            Inputs::Measured => {
                // Whole patches may be longer than what was asked for, and end behind the cutoff.
                let measured = &grid.values[*input][origin..origin + plan.horizon];
                let last = measured.last().copied().unwrap_or(held);
                measured.iter().copied().chain(std::iter::repeat(last)).take(steps).collect()
            }
        }
    };
    layout.inputs.iter().map(row).collect()
}

/// The period of a stretch without a gap.
fn season(segment: &[f64]) -> Option<usize> {
    let scale = Scale::of(segment, None);
    let target: Vec<f64> = segment.iter().map(|value| scale.target(*value)).collect();
    period(&History { target: &target, inputs: &[], others: &[], starts: &[0], silent: &[] })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::field::REACH;
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::model::MEDIAN;
    use crate::reading::Frame;

    /// A tank whose level follows its pump; from step `from` on it is `other`.
    fn field(other: f64, from: usize, inputs: Inputs) -> (AssetType, Field, Plan) {
        let mut level = 3.0;
        let frames: Vec<Frame> = (0..500)
            .map(|step| {
                let pump = if step < from { 30.0 + 10.0 * ((step / 37 * 7919) % 5) as f64 } else { other };
                level += 0.05 * (0.08 * pump - level);
                let observed_at = DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap();
                Frame { observed_at, values: vec![pump, level], quality: None }
            })
            .collect();
        let kind = asset_type(1.0, &["pump", "level"]);
        let plan = Plan { windows: 1, step_size: 1, horizon: 20, inputs };
        let field = Field::lay(&kind, &frames, &plan).unwrap();
        (kind, field, plan)
    }

    fn at(kind: &AssetType, field: &Field, origin: usize, plan: &Plan) -> Vec<Stand> {
        stands(kind, field, &field.grid.known_before(origin, REACH), origin, plan, &Setups::default())
    }

    #[test]
    fn nothing_that_is_said_depends_on_what_came_later() {
        let said = |other: f64| {
            let (kind, field, plan) = field(other, 400, Inputs::Held);
            let stand = at(&kind, &field, 400, &plan).pop().unwrap();
            (stand.window.unwrap(), stand.naive, stand.seasonal, stand.arx, stand.pace)
        };
        assert_eq!(said(90.0), said(-1_000.0));
    }

    #[test]
    fn inputs_are_held_or_were_measured() {
        let arx = |inputs| {
            let (kind, field, plan) = field(90.0, 400, inputs);
            let stand = at(&kind, &field, 400, &plan).pop().unwrap();
            let truth = field.grid.values[1][419];
            (stand.arx[19][MEDIAN] - truth).abs()
        };
        let (held, measured) = (arx(Inputs::Held), arx(Inputs::Measured));
        assert!(measured < 0.1 && held > 1.0, "{measured} and {held}");
    }

    #[test]
    fn an_output_that_had_not_been_measured_is_not_told() {
        let (kind, mut field, plan) = field(50.0, 400, Inputs::Held);
        field.grid.measured[1][..450].fill(false);
        assert_eq!(at(&kind, &field, 450, &plan).len(), 0);
        assert_eq!(at(&kind, &field, 451, &plan).len(), 1);
    }
}
