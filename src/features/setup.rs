//! How the bank of a target is built: on how much context, and with which study.
//!
//! A version of a model carries a setup for each target beside its head; the base model has the
//! default one. Training builds the same banks through [`Banks`], which sees to it that no window is
//! answered by a study that knows the window's own future.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::grid::silences;
use super::{Grid, Layout};
use crate::expert::study::{Aim, Studies, Study};
use crate::expert::template::Template;
use crate::expert::{CONTEXT, Crew, History};
use crate::model::{ArtefactError, attach, attached};

/// How the bank of one target is built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Newest samples that the bank is fitted on, at most.
    pub context: usize,
    /// What was learned from the whole past.
    pub study: Option<Arc<Study>>,
    /// Instant of the newest sample that the study learned from; `None` when none of the samples that
    /// the bank sees is among them.
    pub learned_until: Option<DateTime<Utc>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { context: CONTEXT, study: None, learned_until: None }
    }
}

impl Setup {
    /// Whether both are one setup: the same study in memory, not merely an equal one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same_study = match (&self.study, &other.study) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_study && self.context == other.context
    }
}

/// Setups by the name of their target; a target without one has the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Setups(BTreeMap<String, Setup>);

/// Name of the setups beside a head's variables.
const NAME: &str = "setups";
/// First byte of stored setups: how the rest is to be read.
const FORMAT: u8 = 6;

impl Setups {
    /// Sets the setup of a target.
    pub fn insert(&mut self, target: &str, setup: Setup) {
        self.0.insert(target.to_owned(), setup);
    }

    /// The setup of a target.
    #[must_use]
    pub fn of(&self, target: &str) -> Setup {
        self.0.get(target).cloned().unwrap_or_default()
    }

    /// A version's artefact with the setups attached.
    pub fn attach_to(&self, artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
        attach(artefact, NAME, &self.to_bytes())
    }

    /// The setups attached to a version's artefact; a version without any has the default ones.
    #[must_use]
    pub fn attached_to(artefact: &[u8]) -> Self {
        let Some(bytes) = attached(artefact, NAME) else { return Self::default() };
        Self::from_bytes(bytes).unwrap_or_else(|| {
            tracing::warn!(
                format = bytes.first(),
                "another build wrote the setups of this version: it answers without its study until the next fine-tune job"
            );
            Self::default()
        })
    }

    /// As they are stored with a version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(&self.0, vec![FORMAT]);
        bytes.expect("numbers, names and instants can always be written")
    }

    /// Reads what [`Setups::to_bytes`] wrote; `None` when it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        (*format == FORMAT).then(|| postcard::from_bytes(rest).ok()).flatten().map(Self)
    }
}

/// How the banks of the windows of one target are built.
#[derive(Clone, Debug, Default)]
pub struct Banks {
    /// Newest samples that a bank is fitted on, at most; all that it may where there is none.
    pub context: Option<usize>,
    /// Decides which study answers a window.
    pub study: Known,
    /// What was fitted for other windows of the same grid.
    pub crews: Crews,
}

/// Experts that were fitted to one grid, shared by all banks of a job: most of its windows are answered more than once,
/// beside one study or another. Copies share what they hold. By default nothing is held.
#[derive(Clone, Debug, Default)]
pub struct Crews(Option<Arc<Mutex<HashMap<CrewKey, Crew>>>>);

/// Target, step that the fit ends before, horizon, and context.
type CrewKey = (usize, usize, usize, usize);

impl Crews {
    /// Holds what is fitted for a layout throughout a job; without inputs nothing: there an expert has weights by the
    /// hundred kilobytes, too many to hold for all windows of a job.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        if layout.inputs.is_empty() { Self::default() } else { Self::held() }
    }

    /// Holds whatever is fitted.
    #[must_use]
    pub fn held() -> Self {
        Self(Some(Arc::default()))
    }

    /// Lets `fit` use the crew of a target, of the steps before `until`, for a horizon and a context.
    pub(super) fn with<T>(&self, key: CrewKey, fit: impl FnOnce(&mut Crew) -> T) -> T {
        let taken = self.lock().and_then(|mut held| held.remove(&key));
        let mut crew = taken.unwrap_or_default();
        let fitted = fit(&mut crew);
        if let Some(mut held) = self.lock() {
            held.insert(key, crew);
        }
        fitted
    }

    fn lock(&self) -> Option<MutexGuard<'_, HashMap<CrewKey, Crew>>> {
        self.0.as_ref().map(|held| held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the banks know beside their context.
#[derive(Clone, Debug, Default)]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// For each window, the study that did not learn from its stretch of the past.
    Blind(Arc<Studies>),
    /// What a version knows, wherever the window lies.
    Version(Setup),
}

impl Banks {
    /// Banks as a version builds them.
    #[must_use]
    pub fn of(setup: Setup) -> Self {
        Self { context: Some(setup.context), study: Known::Version(setup), crews: Crews::default() }
    }

    /// The same, sharing what was fitted for other windows of the same grid.
    #[must_use]
    pub fn sharing(self, crews: &Crews) -> Self {
        Self { crews: crews.clone(), ..self }
    }

    /// The setup for a window of a grid whose origin is `step`.
    #[must_use]
    pub fn at(&self, grid: &Grid, step: usize) -> Setup {
        let context = self.context.unwrap_or(CONTEXT);
        match &self.study {
            Known::Nothing => Setup { context, ..Setup::default() },
            Known::Blind(studies) => {
                let learned_until = studies.learned_before(step).map(|learned| grid.instants[learned]);
                Setup { context, study: Some(studies.blind_to(step).clone()), learned_until }
            }
            Known::Version(setup) => setup.clone(),
        }
    }
}

/// What a study is learned from.
#[derive(Clone, Debug)]
pub struct Lessons {
    /// Step from which on steps choose and validate; those before teach.
    pub validation: usize,
    /// Step from which on steps judge: learned from only once the judgement stands.
    pub judging: usize,
    /// Steps that are kept aside to judge by.
    pub aside: Vec<Range<usize>>,
    /// Steps ahead that matter most.
    pub horizon: usize,
    /// Steps ahead that a map from lags answers.
    pub reach: usize,
    /// The kind of plant, where it is known.
    pub template: Option<Template>,
}

/// Learns a study for every target of a grid; `None` where nothing can be learned. Costs seconds.
#[must_use]
pub fn study(grid: &Grid, layout: &Layout, lessons: &Lessons) -> Vec<Option<Studies>> {
    let &Lessons { validation, judging, horizon, reach, template, .. } = lessons;
    if judging <= validation || judging > grid.len() {
        return layout.targets.iter().map(|_| None).collect();
    }
    let row = |signal: usize| grid.values[signal].clone();
    let inputs: Vec<Vec<f64>> = layout.inputs.iter().map(|input| row(*input)).collect();
    let others: Vec<Vec<Vec<f64>>> =
        layout.targets.iter().map(|target| layout.others(*target).into_iter().map(row).collect()).collect();
    let silent: Vec<Vec<Range<usize>>> =
        layout.targets.iter().map(|target| silences(&grid.measured[*target])).collect();
    let histories: Vec<History<'_>> = layout
        .targets
        .iter()
        .zip(others.iter().zip(&silent))
        .map(|(target, (others, silent))| History {
            target: &grid.values[*target],
            inputs: &inputs,
            others,
            starts: &grid.starts,
            silent,
        })
        .collect();
    Studies::learn(&histories, &Aim { horizon, reach, validation, judging, aside: lessons.aside.clone(), template })
}
