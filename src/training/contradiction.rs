//! Whether a candidate answers its inputs as the asset's type declares.

use super::learner::LearnError;
use crate::features::responses::{Medians, PROBED, Responses, points};
use crate::features::{Fit, Setups, Subject};
use crate::model::window::Window;
use crate::model::{Base, MEDIAN, trainee};

/// The first declared response that a head contradicts, in words; nothing is computed where nothing
/// is declared.
pub(super) fn contradiction(
    subject: Subject<'_>,
    base: &Base,
    weights: &[u8],
    setups: &Setups,
) -> Result<Option<String>, LearnError> {
    let Subject { asset_type, grid, layout } = subject;
    if asset_type.document.responses.is_empty() {
        return Ok(None);
    }
    let points = points(asset_type, grid, layout);
    let mut answers: Vec<Medians> = Vec::with_capacity(points.len());
    for point in &points {
        let mut answer = Vec::with_capacity(layout.targets.len());
        for target in &layout.targets {
            let setup = setups.of(&asset_type.document.signals[*target].name);
            let fit = Fit::new(subject, *target, point.origin, PROBED, &setup);
            let windows = fit.windows(grid, point.origin, &point.futures, PROBED);
            let windows: Vec<&Window> = windows.iter().collect();
            let said = trainee::answer(base, Some(weights), &windows);
            let said = said.map_err(|error| LearnError::NonFinite(error.to_string()))?;
            let scale = fit.scale();
            answer.push(said.iter().map(|rows| rows.iter().map(|row| scale.undo(row[MEDIAN])).collect()).collect());
        }
        answers.push(answer);
    }
    Ok(Responses::read(asset_type, grid, layout, &points, &answers).gate(&asset_type.document.responses).err())
}
