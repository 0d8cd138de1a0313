//! What a classifier sees of an asset: every signal's newest steps as a few statistics, and as a window
//! for the backbone.
//!
//! Training and serving draw portraits here, so that no skew between them can exist. Scales are those of
//! the history that the classifier learned from: a level that is wrong must look wrong.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Grid, Outlook};
use crate::asset::AssetType;
use crate::expert::Scale;
use crate::model::health::{self, Classifier, Heads, Portrait};
use crate::model::window::{PATCH, Window};
use crate::model::{ArtefactError, Base, EngineError, attach, attached};

/// Steps that a portrait looks back on.
pub const LOOK: usize = 24;
/// Statistics of a signal.
const STATISTICS: usize = 8;
/// Steps that the backbone reads; those beyond the look are unknown to it.
const CONTEXT: usize = 2 * PATCH;
/// Statistics stay within this.
const LIMIT: f64 = 8.0;
/// Keeps logarithms of spreads from minus infinity, in deviations.
const LEAST_SPREAD: f64 = 0.05;
/// Name of the classifier beside a head's variables.
const NAME: &str = "health";
/// First byte of a stored classifier: how the rest is to be read.
const FORMAT: u8 = 2;
/// The same of one that tells only the class of now, as they were before the future was learned.
const FORMAT_OF_NOW: u8 = 1;

/// Which signals are looked at, and in which scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eye {
    signals: Vec<(String, Scale)>,
}

/// A portrait that the backbone has not read yet.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// Signal by signal.
    pub statistics: Vec<f32>,
    /// One a signal.
    pub windows: Vec<Window>,
}

/// An eye upon a grid.
#[derive(Clone, Debug)]
pub struct Gaze<'a> {
    eye: &'a Eye,
    starts: &'a [usize],
    /// Of the eye's signals.
    rows: Vec<&'a [f64]>,
}

impl Gaze<'_> {
    /// Whether a whole look lies in the segment of a step, and every signal has been seen.
    #[must_use]
    pub fn sees(&self, step: usize) -> bool {
        let segment = self.starts.partition_point(|start| *start <= step);
        let start = segment.checked_sub(1).map_or(0, |segment| self.starts[segment]);
        // A grid fills gaps: a signal has a value at every step, or at none.
        step + 1 >= start + LOOK && self.rows.iter().all(|row| row[step].is_finite())
    }

    /// The asset as it was at a step; `None` where it cannot be seen.
    #[must_use]
    pub fn sketch(&self, step: usize) -> Option<Sketch> {
        let newest = |row: &&'_ [f64]| row[step + 1 - LOOK..=step].to_vec();
        self.sees(step).then(|| self.eye.sketch_of(&self.rows.iter().map(newest).collect::<Vec<_>>()))
    }
}

/// A classifier with all that is needed to ask it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthModel {
    /// How it sees.
    pub eye: Eye,
    /// What it tells apart.
    pub classes: Vec<String>,
    /// Its layers.
    pub classifier: Classifier,
    /// What tells the future of its class; `None` where that was not learned.
    pub ahead: Option<Outlook>,
}

impl Eye {
    /// Looks at all signals that have values in a grid. `classes` says what each step is known to have been:
    /// mean and deviation are the medians of those of the classes, so that a class in which a signal goes far
    /// astray does not make all others look alike.
    #[must_use]
    pub fn of(asset_type: &AssetType, grid: &Grid, classes: &[Option<usize>]) -> Self {
        let count = classes.iter().flatten().max().map_or(0, |most| most + 1);
        let signals = asset_type.document.signals.iter().zip(&grid.values);
        let seen = signals.filter(|(_, row)| row.last().is_some_and(|value| value.is_finite()));
        let signals = seen.map(|(signal, row)| {
            let of = |class: Option<usize>| -> Option<Scale> {
                let known = row.iter().zip(classes).filter(|(_, of)| class.is_none() || **of == class);
                let values: Vec<f64> = known.map(|(value, _)| *value).collect();
                (values.len() >= LOOK).then(|| Scale::of_target(&values, signal.min.zip(signal.max)))
            };
            let scales: Vec<Scale> = (0..count).filter_map(|class| of(Some(class))).collect();
            let scale = if scales.is_empty() {
                of(None).unwrap_or(Scale { mean: 0.0, deviation: 1.0 })
            } else {
                let middle = |pick: fn(&Scale) -> f64| median(scales.iter().map(pick).collect());
                Scale { mean: middle(|scale| scale.mean), deviation: middle(|scale| scale.deviation) }
            };
            (signal.name.clone(), scale)
        });
        Self { signals: signals.collect() }
    }

    /// How many signals it looks at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signals.len()
    }

    /// Whether it looks at none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// The eye upon a grid of the type; `None` where a signal that it looks at is not there any more.
    #[must_use]
    pub fn upon<'a>(&'a self, asset_type: &AssetType, grid: &'a Grid) -> Option<Gaze<'a>> {
        let positions = asset_type.document.positions();
        let rows = self.signals.iter().map(|(name, _)| grid.values.get(*positions.get(name)?).map(Vec::as_slice));
        Some(Gaze { eye: self, starts: &grid.starts, rows: rows.collect::<Option<_>>()? })
    }

    /// The asset as its signals' newest [`LOOK`] values show it, in the order of the eye.
    #[must_use]
    pub fn sketch_of(&self, rows: &[impl AsRef<[f64]>]) -> Sketch {
        let mut sketch = Sketch { statistics: Vec::new(), windows: Vec::new() };
        for (row, (_, scale)) in rows.iter().zip(&self.signals) {
            // What lies far out is told apart less and less.
            let normal: Vec<f64> =
                row.as_ref().iter().map(|value| ((value - scale.mean) / scale.deviation).asinh()).collect();
            sketch.statistics.extend(statistics(&normal));
            sketch.windows.push(window(&normal));
        }
        sketch
    }

    /// Sketches as portraits, read by the base model.
    pub fn portraits(base: &Base, sketches: &[Sketch]) -> Result<Vec<Portrait>, EngineError> {
        let mut portraits = Vec::with_capacity(sketches.len());
        for sketch in sketches {
            let states = health::states(base, &sketch.windows)?.concat();
            portraits.push(Portrait { statistics: sketch.statistics.clone(), states });
        }
        Ok(portraits)
    }
}

/// Newest value, mean, spread, extremes, unrest, mean of the newest quarter, and slope.
fn statistics(newest: &[f64]) -> [f32; STATISTICS] {
    let count = newest.len() as f64;
    let mean = newest.iter().sum::<f64>() / count;
    let deviation = (newest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let (low, high) =
        newest.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let unrest = newest.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / (count - 1.0);
    let quarter = &newest[newest.len() - LOOK / 4..];
    let late = quarter.iter().sum::<f64>() / quarter.len() as f64;
    let lever = |step: usize| step as f64 - (count - 1.0) / 2.0;
    let slope = newest.iter().enumerate().map(|(step, value)| lever(step) * value).sum::<f64>()
        / (0..newest.len()).map(|step| lever(step).powi(2)).sum::<f64>();
    let last = newest[newest.len() - 1];
    let (spread, unrest) = ((deviation + LEAST_SPREAD).ln(), (unrest + LEAST_SPREAD).ln());
    [last, mean, spread, low, high, unrest, late, slope * count].map(|value| value.clamp(-LIMIT, LIMIT) as f32)
}

/// A signal alone, with persistence for an answer of the bank: what the backbone makes of it.
fn window(newest: &[f64]) -> Window {
    let pad = CONTEXT - newest.len();
    let mut target = vec![0.0; pad];
    target.extend(newest.iter().map(|value| value.clamp(-LIMIT, LIMIT) as f32));
    let mut known = vec![0.0; pad];
    known.resize(CONTEXT, 1.0);
    let mut bank = vec![0.0; CONTEXT];
    bank.resize(CONTEXT + PATCH, target[CONTEXT - 1]);
    let mut spread = vec![-1.0; CONTEXT];
    spread.resize(CONTEXT + PATCH, 0.0);
    Window {
        context: CONTEXT,
        future: PATCH,
        target,
        known,
        bank,
        spread,
        inputs: Vec::new(),
        restart: None,
        scale: 1.0,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    let half = values.len() / 2;
    *values.select_nth_unstable_by(half, f64::total_cmp).1
}

impl HealthModel {
    /// Probabilities of `classes` at steps of a grid, a row each; a class that it does not know has none, and
    /// a step that it cannot see has nothing but zeros.
    pub fn said(
        &self,
        base: &Base,
        asset_type: &AssetType,
        grid: &Grid,
        steps: &[usize],
        classes: &[String],
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        let gaze = self.eye.upon(asset_type, grid);
        let sketches: Vec<Option<Sketch>> =
            steps.iter().map(|step| gaze.as_ref().and_then(|gaze| gaze.sketch(*step))).collect();
        let seen: Vec<bool> = sketches.iter().map(Option::is_some).collect();
        let portraits = Eye::portraits(base, &sketches.into_iter().flatten().collect::<Vec<_>>())?;
        let mut said = self.named(&portraits, classes)?.into_iter();
        let nothing = || vec![0.0; classes.len()];
        Ok(seen.into_iter().map(|seen| if seen { said.next().unwrap_or_else(nothing) } else { nothing() }).collect())
    }

    /// Probabilities of `classes` for portraits that were drawn with its eye, a row each; a class that it does
    /// not know has none.
    pub fn named(&self, portraits: &[Portrait], classes: &[String]) -> Result<Vec<Vec<f64>>, EngineError> {
        let said = health::classify(&self.classifier, &portraits.iter().collect::<Vec<_>>())?;
        let place = |class: &String| self.classes.iter().position(|known| known == class);
        let places: Vec<Option<usize>> = classes.iter().map(place).collect();
        let row = |row: &Vec<f64>| places.iter().map(|place| place.map_or(0.0, |place| row[place])).collect();
        Ok(said.iter().map(row).collect())
    }

    /// What is to be asked about an asset that is looked at with its eye.
    #[must_use]
    pub fn heads(&self) -> Heads {
        let foresight = self.ahead.as_ref().and_then(|ahead| ahead.foresight.clone());
        Heads { classifier: Arc::new(self.classifier.clone()), foresight: foresight.map(Arc::new) }
    }

    /// A version's artefact with the classifier attached, in place of any other.
    pub fn attach_to(&self, artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        attach(artefact, NAME, &bytes.expect("numbers, names and bytes can always be written"))
    }

    /// The classifier attached to a version's artefact, if there is one that this build can read.
    #[must_use]
    pub fn attached_to(artefact: &[u8]) -> Option<Self> {
        let (format, rest) = attached(artefact, NAME)?.split_first()?;
        let mut model: Self = match *format {
            FORMAT => postcard::from_bytes(rest).ok()?,
            FORMAT_OF_NOW => {
                let (eye, classes, classifier) = postcard::from_bytes(rest).ok()?;
                Self { eye, classes, classifier, ahead: None }
            }
            _ => return None,
        };
        let shape = model.classifier.shape;
        // One that cannot be used takes nothing away from the class of now.
        model.ahead = model.ahead.filter(|ahead| ahead.is_of(shape));
        let whole = shape.signals == model.eye.len()
            && shape.statistics == STATISTICS
            && shape.classes == model.classes.len()
            && model.classifier.temperature > 0.0;
        whole.then_some(model)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    fn grid(rows: impl Iterator<Item = [f64; 2]>) -> Grid {
        let frames: Vec<Frame> = rows
            .enumerate()
            .map(|(step, row)| Frame {
                observed_at: DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap(),
                values: row.to_vec(),
                quality: None,
            })
            .collect();
        Grid::new(&asset_type(1.0, &["pump", "level"]), &frames).unwrap()
    }

    #[test]
    fn a_ramp_has_its_slope_and_a_still_signal_none() {
        let kind = asset_type(1.0, &["pump", "level"]);
        let grid = grid((0..400).map(|step| [5.0, 0.01 * f64::from(step)]));
        let eye = Eye::of(&kind, &grid, &[None; 400]);
        assert_eq!(eye.len(), 2);
        let gaze = eye.upon(&kind, &grid).unwrap();
        let sketch = gaze.sketch(399).unwrap();
        let (pump, level) = sketch.statistics.split_at(STATISTICS);
        assert_eq!((pump[0], pump[1], pump[7]), (0.0, 0.0, 0.0));
        assert!(level[7] > 0.1 && level[0] > level[6] && level[6] > level[1] && level[1] > level[3], "{level:?}");
        assert_eq!(level[4], level[0], "its newest value is its greatest");
        let window = &sketch.windows[1];
        assert_eq!((window.shape(), window.target.len()), ((CONTEXT, PATCH), CONTEXT));
        assert!((window.target[CONTEXT - 1] - level[0]).abs() < 1e-6 && window.is_finite());
        assert!(gaze.sketch(LOOK - 2).is_none() && !gaze.sees(LOOK - 2), "too little came before");
        assert!(gaze.sketch(LOOK - 1).is_some());
        assert!(eye.upon(&asset_type(1.0, &["pump"]), &grid).is_none(), "a signal is gone");
    }

    #[test]
    fn a_class_far_astray_does_not_widen_the_scale() {
        let kind = asset_type(1.0, &["pump", "level"]);
        let noise = |step: i32| (1.7 * f64::from(step)).sin();
        let grid = grid((0..400).map(|step| [5.0, noise(step) + if step >= 300 { 200.0 } else { 0.0 }]));
        let classes: Vec<Option<usize>> = (0..400).map(|step| Some(step / 100)).collect();
        let eye = Eye::of(&kind, &grid, &classes);
        let gaze = eye.upon(&kind, &grid).unwrap();
        let of = |step: usize| gaze.sketch(step).unwrap().statistics[STATISTICS + 1];
        assert!(of(99).abs() < 0.5 && (3.0..8.0).contains(&of(399)), "{} {}", of(99), of(399));
    }

    #[test]
    fn the_state_of_the_backbone_tells_shapes_apart() {
        let base = Base::shipped().unwrap();
        let kind = asset_type(1.0, &["pump", "level"]);
        let grid = grid((0..400).map(|step| [5.0, (0.3 * f64::from(step)).sin()]));
        let eye = Eye::of(&kind, &grid, &[None; 400]);
        let sketches: Vec<Sketch> =
            [300, 320, 300].iter().map(|step| eye.upon(&kind, &grid).unwrap().sketch(*step).unwrap()).collect();
        let portraits = Eye::portraits(&base, &sketches).unwrap();
        assert_eq!(portraits[0], portraits[2]);
        assert_ne!(portraits[0].states, portraits[1].states);
        assert_eq!(portraits[0].states.len(), 2 * base.card.size.width as usize);
    }

    /// A classifier of two classes that was never taught, with an outlook that needs no learning.
    fn model() -> HealthModel {
        use crate::features::{LEADS, Outlook, Question};
        use crate::model::health::{Classroom, Sample, learn};
        use crate::model::{Classification, Recipe};
        let kind = asset_type(1.0, &["pump", "level"]);
        let grid = grid((0..400).map(|step| [5.0, (0.3 * f64::from(step)).sin()]));
        let portrait = Portrait { statistics: vec![0.5; 2 * STATISTICS], states: vec![0.1; 2 * 96] };
        let samples: Vec<Sample> = (0..4).map(|k| Sample { portrait: portrait.clone(), class: k % 2 }).collect();
        let room = Classroom { width: 96, train: samples.clone(), validation: samples };
        let classification = Classification { max_steps: 1, ..Classification::default() };
        let recipe = Recipe { classification, ..Recipe::default() };
        let taught = learn(2, &room, &recipe, &mut || std::ops::ControlFlow::Continue(())).unwrap();
        let question = |outcomes: usize| Question::of(2, outcomes, &[(0, 0), (1, 1)]);
        let outlook = Outlook {
            leads: LEADS.to_vec(),
            classes: vec![question(2); LEADS.len()],
            times: vec![question(LEADS.len() + 1); 2],
            foresight: None,
        };
        HealthModel {
            eye: Eye::of(&kind, &grid, &[None; 400]),
            classes: vec!["sound".into(), "leaking".into()],
            classifier: taught.classifier,
            ahead: Some(outlook),
        }
    }

    #[test]
    fn a_classifier_of_before_the_future_was_learned_is_read_and_tells_the_class_of_now() {
        let base = crate::model::trainee::untaught(&Base::shipped().unwrap()).weights;
        let model = model();
        let whole = model.attach_to(&base).unwrap();
        assert_eq!(HealthModel::attached_to(&whole), Some(model.clone()));
        // As it was written then.
        let old = (&model.eye, &model.classes, &model.classifier);
        let old = attach(&whole, NAME, &postcard::to_extend(&old, vec![FORMAT_OF_NOW]).unwrap()).unwrap();
        let read = HealthModel::attached_to(&old).unwrap();
        assert_eq!(read, HealthModel { ahead: None, ..model.clone() });
        assert!(read.heads().foresight.is_none());
        // An outlook that does not fit takes nothing away.
        let mut broken = model.clone();
        broken.ahead.as_mut().unwrap().times.pop();
        let read = HealthModel::attached_to(&broken.attach_to(&base).unwrap());
        assert_eq!(read, Some(HealthModel { ahead: None, ..model }));
        let other = attach(&base, NAME, &[FORMAT + 1, 1, 2]).unwrap();
        assert_eq!(HealthModel::attached_to(&other), None);
    }
}
