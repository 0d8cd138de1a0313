//! What is asked: the shapes of a what-if, and how much one may ask.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::constraint::{Constraint, MAX_CONSTRAINTS};
use super::kpi::{Kpi, MAX_KPIS};
use super::plan::{Limits, Override, Wrong};
use super::risk::{RankBy, USUAL_SAMPLES};
use super::support::policy::OutOfSupport;
use crate::forecast::{ForecastError, Sampling, checked_levels};

/// Scenarios in one request at most.
pub const MAX_SCENARIOS: usize = 64;
/// Overrides in one scenario at most.
pub const MAX_OVERRIDES: usize = 256;
/// Values in one answer at most: horizon x outputs x scenarios x levels.
pub const MAX_VALUES: usize = 1_000_000;
/// Characters of a name at most.
pub(super) const MAX_NAME: usize = 200;

/// A what-if.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Steps ahead.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// From a past instant instead of now.
    #[serde(default)]
    pub as_of: Option<DateTime<Utc>>,
    /// Quantile levels.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Known futures of inputs, for the baseline and all scenarios.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// Joint sample paths of each output in the baseline and in each scenario, 1 to 1,000; none when
    /// left out. At most 1,000,000 values in all. Constraints and KPIs are computed on these paths;
    /// when left out, on 400 that are not shown (fewer where there are very many scenarios). Downstream
    /// those of an asset whose constraints or KPIs are asked for, and of all that lead to it, are driven by
    /// the paths of what feeds it, sample for sample; when left out, on 200 or fewer.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the samples: the same seed gives the same paths. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The hypotheses.
    #[serde(deserialize_with = "bounded::<_, _, MAX_SCENARIOS>")]
    pub scenarios: Vec<Scenario>,
    /// Limits on inputs and outputs: the answer says how likely they are broken by each step, in the
    /// baseline and in each scenario. Those of an asset downstream name it, and are answered there. At most 32.
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_CONSTRAINTS>")]
    pub constraints: Vec<Constraint>,
    /// Numbers that sum up each future, with their differences to the baseline. Those of an asset downstream
    /// name it, and are answered there. At most 32.
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_KPIS>")]
    pub kpis: Vec<Kpi>,
    /// Which KPI ranks the scenarios. Those that keep all constraints, downstream too, come first, then
    /// those that lack least probability of keeping them; among equals the mean of the KPI decides, and
    /// whoever is equal in that too shares a rank.
    #[serde(default)]
    pub rank_by: Option<RankBy>,
    /// What to do with values that the asset cannot take.
    #[serde(default)]
    pub limits: Limits,
    /// What to do with scenarios outside the data that the serving model was trained on.
    #[serde(default)]
    pub out_of_support: OutOfSupport,
    /// Whether to go on in the assets that this one feeds (relationships of type `feeds`), and in
    /// those that they feed: they take its median, and where constraints or KPIs are asked for its sample
    /// paths as well. Overrides are about this asset.
    #[serde(default)]
    pub downstream: bool,
}

/// A hypothesis.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// What it changes; nothing gives the baseline again. At most 256.
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_OVERRIDES>")]
    pub overrides: Vec<Override>,
}

/// What a checked what-if is answered with.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// Quantile levels, ascending.
    pub(super) levels: Vec<f64>,
    /// Paths that are shown.
    pub(super) shown: Option<Sampling>,
}

impl Scenario {
    /// Its name in the answer; `index` is its place in the request.
    pub(super) fn called(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("scenario {}", index + 1))
    }
}

impl WhatIf {
    /// Refuses what is too much or wrong in itself, before anything is looked up or computed.
    /// `horizon` is that of the request, or the usual one.
    pub(super) fn check(&self, horizon: usize) -> Result<Checked, ForecastError> {
        if self.scenarios.is_empty() {
            let detail = format!("give 1 to {MAX_SCENARIOS} scenarios");
            return Err(ForecastError::Invalid(vec![("/scenarios".into(), detail)]));
        }
        at_most("/scenarios", "scenarios", self.scenarios.len(), MAX_SCENARIOS)?;
        at_most("/constraints", "constraints", self.constraints.len(), MAX_CONSTRAINTS)?;
        at_most("/kpis", "KPIs", self.kpis.len(), MAX_KPIS)?;
        for (index, scenario) in self.scenarios.iter().enumerate() {
            let pointer = format!("/scenarios/{index}/overrides");
            at_most(&pointer, "overrides in a scenario", scenario.overrides.len(), MAX_OVERRIDES)?;
        }
        let levels = checked_levels(self.quantiles.as_deref())?;
        let shown = Sampling::checked(self.samples, self.seed)?;
        Sampling::within(self.samples, self.seed, USUAL_SAMPLES)?;
        // One output at least: what is too much even then needs no look at the asset.
        fits(horizon, 1, self.scenarios.len(), levels.len())?;
        if let Some(shown) = shown {
            shown.fits(horizon, 1, self.scenarios.len() + 1)?;
        }
        let wrong = self.wrong();
        if wrong.is_empty() { Ok(Checked { levels, shown }) } else { Err(ForecastError::Invalid(wrong)) }
    }

    /// Refuses constraints and KPIs on assets that are not answered: `asked` is, and those `below` it.
    pub(super) fn names_only(&self, asked: &str, below: &[String]) -> Result<(), ForecastError> {
        let constraints = self.constraints.iter().map(|constraint| constraint.asset.as_deref()).enumerate();
        let kpis = self.kpis.iter().map(|kpi| kpi.asset.as_deref()).enumerate();
        let named = constraints.map(|one| ("constraints", one)).chain(kpis.map(|one| ("kpis", one)));
        let wrong: Vec<Wrong> = named
            .filter_map(|(list, (index, asset))| {
                let other = asset.filter(|asset| *asset != asked && below.iter().all(|known| known != asset))?;
                let detail = if self.downstream {
                    format!("{asked} does not feed {other}, near or far")
                } else {
                    format!("{other} is not {asked}; with \"downstream\": true those that {asked} feeds can be named")
                };
                Some((format!("/{list}/{index}/asset"), detail))
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(ForecastError::Invalid(wrong)) }
    }

    /// What is wrong with its names and limits, whatever the asset.
    fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let named = |name: &str| (1..=MAX_NAME).contains(&name.chars().count());
        let mut bad_name = |pointer: String| wrong.push((pointer, format!("a name has 1 to {MAX_NAME} characters")));
        for (index, scenario) in self.scenarios.iter().enumerate() {
            if scenario.name.as_ref().is_some_and(|name| !named(name)) {
                bad_name(format!("/scenarios/{index}/name"));
            }
        }
        for (index, kpi) in self.kpis.iter().enumerate() {
            if !named(&kpi.name) {
                bad_name(format!("/kpis/{index}/name"));
            }
        }
        for (index, kpi) in self.kpis.iter().enumerate() {
            if self.kpis[..index].iter().any(|other| other.name == kpi.name) {
                wrong.push((format!("/kpis/{index}/name"), format!("there is a KPI {} already", kpi.name)));
            }
        }
        for (index, constraint) in self.constraints.iter().enumerate() {
            if let Err((field, detail)) = constraint.check() {
                wrong.push((format!("/constraints/{index}{field}"), detail));
            }
        }
        if let Some(by) = self.rank_by.as_ref().filter(|by| self.kpis.iter().all(|kpi| kpi.name != by.kpi)) {
            wrong.push(("/rank_by/kpi".to_owned(), format!("there is no KPI {}", by.kpi)));
        }
        wrong
    }
}

/// Refuses an answer that would hold too many values.
pub(super) fn fits(horizon: usize, targets: usize, scenarios: usize, levels: usize) -> Result<(), ForecastError> {
    let each = horizon * targets * levels;
    let values = each * scenarios;
    if values <= MAX_VALUES {
        return Ok(());
    }
    let detail = format!("the answer would hold {values} values; at most {MAX_VALUES} are given");
    Err(ForecastError::Beyond { pointer: "/scenarios".into(), detail, max: MAX_VALUES / each.max(1) })
}

fn at_most(pointer: &str, what: &str, count: usize, max: usize) -> Result<(), ForecastError> {
    if count <= max {
        return Ok(());
    }
    Err(ForecastError::Beyond { pointer: pointer.to_owned(), detail: format!("there are at most {max} {what}"), max })
}

/// Reads a list of which more than `MAX` items are refused later: what is beyond the first too many
/// is not kept.
pub(super) fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = sequence.next_element()? {
                items.push(item);
                if items.len() > MAX {
                    while sequence.next_element::<IgnoredAny>()?.is_some() {}
                    break;
                }
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items::<T, MAX>(PhantomData))
}
