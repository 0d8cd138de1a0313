//! The experts fitted together at one origin, and how they are asked.
//!
//! Always true: fitting knows nothing of the future, answering nothing of a later input than the
//! instant answered; persistence is always there.

use std::collections::BTreeMap;

use super::arx::{self, Arx, ArxState};
use super::direct::{self, Direct, DirectState};
use super::filters::Memory;
use super::history::Context;
use super::long::{Long, LongState};
use super::season::{Season, SeasonState};
use super::study::{STUDIED, Seen, StudyState};

/// A member of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expert {
    /// Difference equation on 4 past targets and 8 input values, run free.
    ArxShort,
    /// Difference equation on 8 past targets and 8 input values (32 and none without inputs).
    ArxLong,
    /// Ridge regression of all horizons on leaky averages.
    Direct,
    /// Mean profile of the last cycles.
    Season,
    /// Ridge regression on 512 lags; only without inputs.
    Long,
    /// Ridge regression on linear features, hinges and waves, learned from the whole past.
    Curved,
    /// Mean of ridge regressions on hundreds of lags, learned from all targets of the asset.
    Pooled,
    /// A physics template, fitted to the whole past.
    Template,
    /// Difference equations of all outputs together, fitted to the whole past and run free.
    Joint,
    /// A regression of its own for every step ahead, on lags of all outputs and on the inputs.
    Stepwise,
    /// The last value holds.
    Persistence,
}

impl Expert {
    /// Its name in tables and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ArxShort => "arx_short",
            Self::ArxLong => "arx_long",
            Self::Direct => "direct",
            Self::Season => "season",
            Self::Long => "long",
            Self::Curved => "curved",
            Self::Pooled => "pooled",
            Self::Template => "template",
            Self::Joint => "joint",
            Self::Stepwise => "stepwise",
            Self::Persistence => "persistence",
        }
    }

    /// Whether its answer follows the inputs, where there are any.
    #[must_use]
    pub fn follows_inputs(self) -> bool {
        !matches!(self, Self::Season | Self::Long | Self::Pooled | Self::Persistence)
    }
}

/// Teams that were fitted to one context, by the end that they know it up to: a bank that is fitted to the same context
/// beside another study finds them here.
#[derive(Clone, Debug, Default)]
pub struct Crew(BTreeMap<usize, Team>);

impl Crew {
    /// One team per end (ascending), joined by what was learned before.
    pub(super) fn teams(
        &mut self,
        context: &Context<'_>,
        ends: &[usize],
        horizon: usize,
        study: Option<&Seen>,
    ) -> Vec<Team> {
        let missing: Vec<usize> = ends.iter().copied().filter(|end| !self.0.contains_key(end)).collect();
        let fitted = Team::fit(context, &missing, horizon, None);
        self.0.extend(missing.into_iter().zip(fitted));
        ends.iter().filter_map(|end| Some(Team { study: study.cloned(), ..self.0.get(end)?.clone() })).collect()
    }
}

/// The experts that could be fitted at one origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Team {
    arx_short: Option<Arx>,
    arx_long: Option<Arx>,
    direct: Option<Direct>,
    season: Option<Season>,
    long: Option<Long>,
    /// Is the same at every end: it was learned once.
    study: Option<Seen>,
}

impl Team {
    /// One team per end: the experts as fitted when the context ended there (ascending), and what
    /// was learned before.
    pub(super) fn fit(context: &Context<'_>, ends: &[usize], horizon: usize, study: Option<&Seen>) -> Vec<Self> {
        let long_order = if context.inputs.is_empty() { arx::LONG_ALONE } else { arx::LONG };
        let mut arx_short = Arx::fit(arx::SHORT, context, ends).into_iter();
        let mut arx_long = Arx::fit(long_order, context, ends).into_iter();
        let mut direct = Direct::fit(context, ends, horizon).into_iter();
        let mut season = Season::fit(context, ends).into_iter();
        let mut long = Long::fit(context, ends, horizon).into_iter();
        ends.iter()
            .map(|_| Self {
                arx_short: arx_short.next().flatten(),
                arx_long: arx_long.next().flatten(),
                direct: direct.next().flatten(),
                season: season.next().flatten(),
                long: long.next().flatten(),
                study: study.cloned(),
            })
            .collect()
    }

    /// The members that the bank weights itself, persistence last.
    pub(super) fn members(&self) -> Vec<Expert> {
        [
            self.arx_short.as_ref().map(|_| Expert::ArxShort),
            self.arx_long.as_ref().map(|_| Expert::ArxLong),
            self.direct.as_ref().map(|_| Expert::Direct),
            self.season.map(|_| Expert::Season),
            self.long.as_ref().map(|_| Expert::Long),
            Some(Expert::Persistence),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What the members remember of `context`, to answer from its end.
    pub(super) fn stand(&self, context: &Context<'_>) -> Stand<'_> {
        self.stands(context, &[context.len()]).pop().expect("one end, one stand")
    }

    /// What they remember at each of the `ends` (ascending, in the newest segment) of `context`.
    pub(super) fn stands(&self, context: &Context<'_>, ends: &[usize]) -> Vec<Stand<'_>> {
        Recollection::of(context, ends, self.study.as_ref())
            .map(|(end, of)| self.stand_with(&context.until(end), of))
            .collect()
    }

    /// The same at one end, where it is known what takes long to remember.
    pub(super) fn stand_with(
        &self,
        context: &Context<'_>,
        Recollection { direct, studied }: Recollection,
    ) -> Stand<'_> {
        Stand {
            arx_short: self.arx_short.as_ref().map(|e| (e, e.stand(context))),
            arx_long: self.arx_long.as_ref().map(|e| (e, e.stand(context))),
            direct: self.direct.as_ref().zip(direct).map(|(e, memory)| (e, e.stand(memory))),
            season: self.season.and_then(|e| e.stand(context)),
            long: self.long.as_ref().and_then(|e| e.stand(context).map(|s| (e, s))),
            study: self.study.as_ref().zip(studied),
            last: context.target.last().copied().unwrap_or(0.0),
        }
    }
}

/// What takes long to remember of a context, and is the same for every team: it is found at many ends in one pass.
#[derive(Clone, Debug)]
pub(super) struct Recollection {
    direct: Option<Memory>,
    studied: Option<StudyState>,
}

impl Recollection {
    /// At each of the `ends` (ascending, in the newest segment) of a context, which it says again.
    pub(super) fn of(
        context: &Context<'_>,
        ends: &[usize],
        study: Option<&Seen>,
    ) -> impl Iterator<Item = (usize, Self)> {
        let studied = study.map_or_else(Vec::new, |study| study.stands(context, ends));
        let mut studied = studied.into_iter();
        let memories = direct::memories(context, ends).into_iter();
        ends.iter().copied().zip(memories).map(move |(end, direct)| (end, Self { direct, studied: studied.next() }))
    }
}

/// A team at the end of a context, ready to answer any number of futures.
#[derive(Clone, Debug)]
pub(super) struct Stand<'t> {
    arx_short: Option<(&'t Arx, ArxState)>,
    arx_long: Option<(&'t Arx, ArxState)>,
    direct: Option<(&'t Direct, DirectState)>,
    season: Option<SeasonState>,
    long: Option<(&'t Long, LongState)>,
    study: Option<(&'t Seen, StudyState)>,
    last: f64,
}

impl Stand<'_> {
    /// Every member's answer for `steps` (a study's may know fewer) over `future` (one row per input, at least `steps` long),
    /// in the order of [`Team::members`], then those of the study.
    pub(super) fn answers(&self, future: &[Vec<f64>], steps: usize) -> Vec<(Expert, Vec<f64>)> {
        let arx = |stand: &Option<(&Arx, ArxState)>| {
            stand.as_ref().map(|(expert, state)| expert.answer(state, future, steps))
        };
        let direct = self.direct.as_ref().map(|(e, s)| e.answer(s, future, steps));
        let season = self.season.as_ref().map(|s| s.answer(steps));
        let long = self.long.as_ref().map(|(e, s)| e.answer(s, steps));
        let studied = self.study.as_ref().map(|(study, state)| study.answers(state, future, steps));
        let own = [
            (Expert::ArxShort, arx(&self.arx_short)),
            (Expert::ArxLong, arx(&self.arx_long)),
            (Expert::Direct, direct),
            (Expert::Season, season),
            (Expert::Long, long),
            (Expert::Persistence, Some(vec![self.last; steps])),
        ];
        own.into_iter()
            .chain(STUDIED.into_iter().zip(studied.unwrap_or_default()))
            .filter_map(|(expert, answer)| answer.map(|a| (expert, a)))
            .collect()
    }
}
