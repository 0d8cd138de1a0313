//! The seam to the computation, and the computation itself: frames and a version in, a report out.
//!
//! Runs on an operating-system thread of its own, the only one that touches its tensors. The same frames,
//! plan and version give the same report, number for number.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use serde_json::Value;

use super::ask::Plan;
use super::board::{Board, Said};
use super::classes::Case;
use super::field::{Field, Shortage};
use super::known::LookBack;
use super::origin::{Stand, stands};
use super::report::{Learned, Origin, Report};
use crate::asset::Asset;
use crate::event::Label;
use crate::features::{Grid, HealthModel, Setups};
use crate::forecast::calibration::Calibration;
use crate::model::store::LearnedFrom;
use crate::model::window::Window;
use crate::model::{Base, BaseChoice, Quantiles, trainee};
use crate::reading::Frame;

/// Windows that are answered in one forward pass.
const CHUNK: usize = 16;
/// Share of the work that the forecasts are; the rest is naming classes.
const FORECASTS: f64 = 0.9;

/// What a backtest needs from below.
pub trait Examiner: Send + Sync + 'static {
    /// Examines a version beside the other forecasters. Blocking, on a thread of its own. `progress` hears the
    /// share that is done every few windows; on [`ControlFlow::Break`] it stops at once.
    fn examine(
        &self,
        assignment: Assignment,
        progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Report, ExamError>;
}

/// What is examined, and on what.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Whose history it is.
    pub asset: Arc<Asset>,
    /// Its frames up to the cutoff, ascending.
    pub frames: Vec<Frame>,
    /// How the windows lie.
    pub plan: Plan,
    /// The version; `None` for the base model.
    pub version: Option<Version>,
    /// What people and machines say that the asset was like, in the order of time.
    pub labels: Vec<Label>,
    /// The base model of the version, or without one that of the asset's type.
    pub base: BaseChoice,
}

/// A version with what came of its learning.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its number within the asset.
    pub number: i32,
    /// Base model whose backbone its head belongs to.
    pub base: String,
    /// Its head as safetensors, checked against the hash.
    pub weights: Arc<[u8]>,
    /// Its conformal widths, as the learner wrote them.
    pub calibration: Value,
    /// What it learned from, in time.
    pub learned: LearnedFrom,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ExamError {
    /// The history is too short; more readings will help, another attempt will not.
    #[error(transparent)]
    TooShort(#[from] Shortage),
    /// The version stands on a base model that this server does not have; another attempt will not help.
    #[error("version {number} belongs to the base model {base}, and this server has {have}")]
    OtherBase {
        /// The version.
        number: i32,
        /// Its base model.
        base: String,
        /// That of this server.
        have: String,
    },
    /// The progress callback said so.
    #[error("the backtest was stopped")]
    Cancelled,
    /// Anything else; another attempt may help.
    #[error("{0}")]
    Other(String),
}

/// Examines with libtorch on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bench;

/// What a version answers with.
struct Candidate<'a> {
    base: Base,
    weights: Option<&'a [u8]>,
    calibration: Calibration,
    setups: Setups,
}

impl Examiner for Bench {
    fn examine(
        &self,
        assignment: Assignment,
        progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Report, ExamError> {
        let Assignment { asset, frames, plan, version, labels, base } = &assignment;
        let mut tell = |share: f64| if progress(share).is_break() { Err(ExamError::Cancelled) } else { Ok(()) };
        tell(0.0)?;
        let asset_type = &asset.asset_type;
        let field = Field::lay(asset_type, frames, plan)?;
        let candidate = Candidate::of(base, version.as_ref())?;
        let learned = version.as_ref().map_or(0..0, |version| steps_of(&field.grid, version.learned));
        let seen = |origin: usize| origin < learned.end && learned.start < origin + plan.horizon;

        let mut look_back = LookBack::on(asset_type, frames);
        let mut board = Board::new(asset_type, &field, plan);
        let (mut fallbacks, mut newest) = (0, Vec::new());
        for (chunk, origins) in field.origins.chunks(CHUNK).enumerate() {
            let mut views: Vec<Vec<Stand>> = Vec::with_capacity(origins.len());
            for (place, origin) in origins.iter().enumerate() {
                let done = (chunk * CHUNK + place) as f64 / field.origins.len() as f64;
                tell(FORECASTS * done)?;
                let known = look_back.known(&field, *origin);
                views.push(stands(asset_type, &field, &known, *origin, plan, &candidate.setups));
            }
            let windows: Vec<&Window> = views.iter().flatten().filter_map(|stand| stand.window.as_ref()).collect();
            let mut answers = candidate.answers(&windows)?.into_iter();
            for (origin, view) in origins.iter().zip(&views) {
                let mut said: Said = std::array::from_fn(|_| vec![Vec::new(); field.outputs.len()]);
                let mut paces = vec![None; field.outputs.len()];
                for stand in view {
                    let signal = &asset_type.document.signals[field.outputs[stand.place]];
                    let answer = stand.window.as_ref().and_then(|_| answers.next()).map(|mut answer| {
                        answer.truncate(plan.horizon);
                        candidate.calibration.serve(signal, stand.scale, &mut answer);
                        answer
                    });
                    fallbacks += usize::from(answer.is_none());
                    let answer = answer.unwrap_or_else(|| stand.naive.clone());
                    let rows = [answer, stand.naive.clone(), stand.seasonal.clone(), stand.arx.clone()];
                    for (all, one) in said.iter_mut().zip(rows) {
                        all[stand.place] = one;
                    }
                    paces[stand.place] = stand.pace;
                }
                board.window(&field, *origin, &said, &paces, seen(*origin));
            }
            newest = views.pop().unwrap_or_default();
        }
        let (forecasters, losses) = board.finish();

        let health = version.as_ref().and_then(|version| HealthModel::attached_to(&version.weights));
        let case = Case {
            base: &candidate.base,
            asset_type,
            field: &field,
            horizon: plan.horizon,
            labels,
            model: health.as_ref(),
            learned: learned.clone(),
        };
        let health = case.judge(&mut |share| tell(FORECASTS + (1.0 - FORECASTS) * share))?;
        let origin = |(origin, crps): (&usize, _)| Origin {
            at: field.grid.instants[origin - 1],
            until: field.grid.instants[origin + plan.horizon - 1],
            seen_by_model: seen(*origin),
            crps,
        };
        let name = |output: &usize| asset_type.document.signals[*output].name.clone();
        let period = |place: usize| newest.iter().find(|stand| stand.place == place).and_then(|stand| stand.period);
        Ok(Report {
            step_s: field.grid.step_s,
            learned: Learned::of(version.as_ref(), &field.origins, seen),
            forecasters,
            seasons: field.outputs.iter().enumerate().map(|(place, output)| (name(output), period(place))).collect(),
            fallbacks,
            health,
            origins: field.origins.iter().zip(losses).map(origin).collect(),
        })
    }
}

impl<'a> Candidate<'a> {
    fn of(base: &BaseChoice, version: Option<&'a Version>) -> Result<Self, ExamError> {
        let base = base.load().map_err(|error| ExamError::Other(format!("the base model {}: {error}", base.name())))?;
        let Some(version) = version else {
            let (calibration, setups) = (Calibration::default(), Setups::default());
            return Ok(Self { base, weights: None, calibration, setups });
        };
        if version.base != base.card.name {
            let (number, own) = (version.number, version.base.clone());
            return Err(ExamError::OtherBase { number, base: own, have: base.card.name });
        }
        Ok(Self {
            base,
            weights: Some(&version.weights),
            calibration: serde_json::from_value(version.calibration.clone()).unwrap_or_default(),
            setups: Setups::attached_to(&version.weights),
        })
    }

    /// In the network's units.
    fn answers(&self, windows: &[&Window]) -> Result<Vec<Quantiles>, ExamError> {
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        trainee::answer(&self.base, self.weights, windows).map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the model gave no answer in a backtest");
            ExamError::Other("the model gave no answer".to_owned())
        })
    }
}

/// The steps of a grid that a version learned from.
fn steps_of(grid: &Grid, learned: LearnedFrom) -> Range<usize> {
    let first = learned.first.map_or(0, |first| grid.instants.partition_point(|at| *at < first));
    first..grid.instants.partition_point(|at| *at <= learned.last)
}

impl Learned {
    fn of(version: Option<&Version>, origins: &[usize], seen: impl Fn(usize) -> bool) -> Self {
        let windows = origins.len();
        let seen_by_model = origins.iter().filter(|origin| seen(**origin)).count();
        let Some(Version { number, learned, .. }) = version else {
            let summary = "the base model learned from no asset: none of the windows is known to it".to_owned();
            return Self { windows, seen_by_model, from: None, until: None, summary };
        };
        let until = learned.last.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        let summary = if seen_by_model == 0 {
            format!("version {number} learned from readings up to {until}: none of the windows is known to it")
        } else {
            format!(
                "version {number} learned from readings up to {until}, and {seen_by_model} of the {windows} windows lie \
                 in them at least in part: its scores there are better than they would be on new readings{}",
                if seen_by_model < windows { "; those on the other windows are given apart" } else { "" }
            )
        };
        Self { windows, seen_by_model, from: learned.first, until: Some(learned.last), summary }
    }
}
