//! What to do with inputs that leave what the serving model has seen.

use serde::{Deserialize, Serialize};

use super::{Judge, Leaves, Outside, Support, is_beyond};
use crate::forecast::{ForecastError, Future};
use crate::scenario::plan::{Clamped, Wrong};

/// What to do with a scenario outside the data that the serving model was trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutOfSupport {
    /// Answer, with `support` telling where.
    #[default]
    Warn,
    /// Bring the inputs into the range and the rates seen, and report each value that was changed.
    Clamp,
    /// Refuse the request, naming signal, step and what was seen.
    Refuse,
}

/// Brings the inputs that differ from the baseline into what was seen, from the first step at which
/// they differ on. Says what was changed within the first `steps`.
pub fn bring_inside(judge: &Judge, baseline: &Future, future: &mut Future, steps: usize) -> Vec<Clamped> {
    let mut clamped = Vec::new();
    for (input, (row, unmodified)) in future.rows.iter_mut().zip(&baseline.rows).enumerate() {
        let Some(first) = row.iter().zip(unmodified).position(|(value, baseline)| value != baseline) else { continue };
        let seen = judge.seen().signal(input);
        let mut before = if first == 0 { judge.last(input) } else { row[first - 1] };
        for (step, value) in row.iter_mut().enumerate().skip(first) {
            let asked = *value;
            let near = asked.clamp(seen.range[0], seen.range[1]);
            let moved = (near - before).clamp(seen.change[0], seen.change[1]);
            // An input that lies within what was seen keeps its bits.
            let used = if is_beyond(near - before, seen.change) { before + moved } else { near };
            if is_beyond(asked, [used, used]) {
                *value = used;
                if step < steps {
                    clamped.push(Clamped { signal: seen.name.clone(), step, asked, used });
                }
            }
            before = *value;
        }
    }
    clamped
}

/// Why a scenario is refused, if it leaves what was seen where the baseline does not. `pointer` names
/// it in the request.
#[must_use]
pub fn refusals(support: &Support, baseline: &Support, pointer: &str) -> Vec<Wrong> {
    let known = |outside: &&Outside| {
        !baseline.outside.iter().any(|own| own.signal == outside.signal && own.kind == outside.kind)
    };
    let words = |outside: &Outside| {
        let Outside { signal, kind, step, seen: [low, high], value, .. } = outside;
        let detail = match kind {
            Leaves::Range => format!("{signal} is {value} at step {step}; the model has seen {low} to {high}"),
            Leaves::Rate => {
                format!(
                    "{signal} changes by {value} at step {step}; the model has seen changes of {low} to {high} a step"
                )
            }
            Leaves::Joint => format!(
                "{signal} is {value} at step {step}; with the other signals as they are then, the model has seen {low} \
                 to {high}"
            ),
        };
        (format!("{pointer}/overrides"), detail)
    };
    support.outside.iter().filter(known).map(words).collect()
}

/// Refuses scenarios that leave what was seen, where the request wants that. The first support is
/// that of the baseline.
pub fn check(policy: OutOfSupport, supports: &[Option<Support>]) -> Result<(), ForecastError> {
    if policy != OutOfSupport::Refuse {
        return Ok(());
    }
    let Some((baseline, scenarios)) = supports.split_first() else { return Ok(()) };
    let Some(baseline) = baseline else {
        let detail = "there is too little history to tell what the model has seen";
        return Err(ForecastError::Invalid(vec![("/out_of_support".into(), detail.into())]));
    };
    let known = scenarios.iter().enumerate().filter_map(|(index, support)| Some((index, support.as_ref()?)));
    let wrong: Vec<Wrong> =
        known.flat_map(|(index, support)| refusals(support, baseline, &format!("/scenarios/{index}"))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(ForecastError::Invalid(wrong)) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::features::{Grid, Layout, Seen};
    use crate::forecast::InputSource;
    use crate::reading::Frame;

    /// A pump between 0 and 9 that moves by one a step, and a level that is its tenth.
    fn judge() -> Judge {
        let pump = |step: usize| {
            let at = step % 18;
            if at < 10 { at } else { 18 - at }
        } as f64;
        let frames: Vec<Frame> = (0..400)
            .map(|step| Frame {
                observed_at: chrono::DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap(),
                values: vec![pump(step), pump(step) / 10.0],
                quality: None,
            })
            .collect();
        let asset_type = asset_type(1.0, &["pump", "level"]);
        let grid = Grid::new(&asset_type, &frames).unwrap();
        let seen = Seen::of(&asset_type, &grid, &Layout { targets: vec![1], inputs: vec![0] }).unwrap();
        Judge::of(Arc::new(seen), &[&[4.0, 5.0]])
    }

    fn future(row: &[f64]) -> Future {
        Future { rows: vec![row.to_vec()], sources: vec![InputSource::Hold] }
    }

    #[test]
    fn inputs_are_brought_into_the_range_and_the_rates_seen() {
        let (baseline, mut wished) = (future(&[5.0; 8]), future(&[5.0, 5.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0]));
        let clamped = bring_inside(&judge(), &baseline, &mut wished, 4);
        assert_eq!(wished.rows[0], [5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0, 9.0]);
        let told: Vec<(usize, f64, f64)> = clamped.iter().map(|one| (one.step, one.asked, one.used)).collect();
        assert_eq!(told, [(2, 12.0, 6.0), (3, 12.0, 7.0)], "within the horizon");
    }

    #[test]
    fn the_baseline_and_what_was_seen_are_left_alone() {
        let far = future(&[50.0; 8]);
        let mut same = far.clone();
        assert_eq!(bring_inside(&judge(), &far, &mut same, 8), []);
        assert_eq!(same, far);
        let mut inside = future(&[5.3, 6.1, 7.0, 8.0, 8.5, 8.5, 8.5, 8.5]);
        let wished = inside.clone();
        assert_eq!(bring_inside(&judge(), &future(&[5.0; 8]), &mut inside, 8), []);
        assert_eq!(inside, wished);
    }

    #[test]
    fn a_refusal_names_signal_step_and_what_was_seen() {
        let judge = judge();
        let unmodified = judge.judge_rows(&[&[5.0; 4]], &[&[0.5; 4]]);
        let asked = judge.judge_rows(&[&[5.0, 6.0, 12.0, 12.0]], &[&[0.5; 4]]);
        let wrong = refusals(&asked, &unmodified, "/scenarios/3");
        assert_eq!(wrong[0].0, "/scenarios/3/overrides");
        assert!(
            wrong.iter().any(|(_, detail)| detail == "pump is 12 at step 2; the model has seen 0 to 9"),
            "{wrong:?}"
        );
        assert!(wrong.iter().any(|(_, detail)| detail.contains("changes by 6 at step 2")), "{wrong:?}");
        assert_eq!(refusals(&unmodified, &unmodified, "/scenarios/0"), []);
    }
}
