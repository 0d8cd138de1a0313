//! A what-if that goes on in the assets that an asset feeds, and in those that they feed.
//!
//! One after the other, those first that feed the others: the baseline of a fed asset takes the
//! median of its feeder's baseline, each scenario that of the feeder's scenario. Where the steps are
//! of different length the newest value holds. So the bands of a fed asset are those of its own
//! uncertainty, given the median of what feeds it. Sample path for sample path, which is a future of its own for
//! each of hundreds, only constraints and KPIs of an asset downstream are worth: see `driven`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ask::{Checked, Scenario, WhatIf, fits};
use super::driven::{self, Below};
use super::outcome::{Known, Outcome};
use super::risk::Risk;
use super::settle::{Planned, Settled, answer_in_order};
use super::standing::{Standing, ranks};
use super::support::judge_of;
use super::support::policy::OutOfSupport;
use super::{Answered, Scenarios};
use crate::asset::Edge;
use crate::forecast::{ForecastError, Future, InputSource, MAX_HORIZON, Situation};
use crate::model::{MEDIAN, Quantiles};

/// Assets in one chain at most, the first included.
pub const MAX_CHAIN: usize = 16;
/// Relationships in one chain at most.
const MAX_EDGES: usize = 256;

/// What feeds an input of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FedBy {
    /// Key of the asset that feeds.
    pub asset: String,
    /// Its output.
    pub from_signal: String,
    /// The input that it becomes.
    pub to_signal: String,
}

/// The medians of an answered asset: what it gives to those it feeds.
#[derive(Debug)]
pub(super) struct Medians {
    end: DateTime<Utc>,
    step_s: f64,
    /// By output: the value at the state, and for each future the median of each step.
    outputs: BTreeMap<String, (f64, Vec<Vec<f64>>)>,
}

impl Medians {
    /// Of all futures of a situation.
    pub(super) fn of(situation: &Situation, answers: &[Vec<Quantiles>]) -> Self {
        let output = |(place, target): (usize, &usize)| {
            let present = situation.grid.values[*target].last().copied().unwrap_or(0.0);
            let median = |answer: &Vec<Quantiles>| -> Vec<f64> {
                answer[place][..situation.horizon].iter().map(|row| row[MEDIAN]).collect()
            };
            (situation.signal(*target).name.clone(), (present, answers.iter().map(median).collect()))
        };
        Self {
            end: situation.grid.end,
            step_s: situation.grid.step_s,
            outputs: situation.layout.targets.iter().enumerate().map(output).collect(),
        }
    }

    /// An output of a future at other instants: the value at the newest step that is not later. Before
    /// the first one, the value at the state.
    fn at(&self, signal: &str, future: usize, instants: &[DateTime<Utc>]) -> Option<Vec<f64>> {
        let (present, futures) = self.outputs.get(signal)?;
        let row = futures.get(future)?;
        Some(held(*present, row, (self.end, self.step_s), instants))
    }
}

/// One asset of a chain, looked at but not answered yet.
struct Link<'e> {
    situation: Situation,
    feeds: Vec<&'e Edge>,
    risk: Option<Risk>,
    driven: bool,
}

impl Scenarios {
    /// Answers a what-if in an asset and in all that are downstream of it.
    pub(super) async fn of_chain(
        &self,
        situation: Situation,
        ask: &WhatIf,
        checked: &Checked,
    ) -> Result<Outcome, ForecastError> {
        let edges = self.forecasts.assets().downstream(situation.asset.id, MAX_EDGES + 1).await?;
        let order = in_order(&situation.asset.key, &edges)?;
        ask.names_only(&situation.asset.key, &order)?;
        let links = self.links(ask, checked, &situation, &edges, order).await?;
        let first = self.of_situation(situation, ask, checked).await?;
        let mut below = self.go_on(ask, checked, &first, links).await?;
        driven::judge(&self.forecasts, ask, checked, &first, &mut below).await?;
        let mut outcome = first.outcome;
        if !ask.constraints.is_empty() || ask.rank_by.is_some() {
            let mut all = vec![Standing::default(); outcome.scenarios.len()];
            for own in std::iter::once(&first.standings).chain(below.iter().map(|below| &below.answered.standings)) {
                all.iter_mut().zip(own).for_each(|(sum, own)| *sum = sum.and(*own));
            }
            let ranks = ranks(&all);
            outcome.scenarios.iter_mut().zip(ranks).for_each(|(scenario, rank)| scenario.rank = Some(rank));
        }
        outcome.downstream = below.into_iter().map(|below| below.answered.outcome).collect();
        Ok(outcome)
    }

    /// Looks at all assets downstream, so that what is wrong with one of them costs no computation.
    async fn links<'e>(
        &self,
        ask: &WhatIf,
        checked: &Checked,
        first: &Situation,
        edges: &'e [Edge],
        order: Vec<String>,
    ) -> Result<Vec<Link<'e>>, ForecastError> {
        let span_s = first.horizon as f64 * first.grid.step_s;
        let mut values = first.horizon * first.layout.targets.len();
        let mut links: Vec<Link<'e>> = Vec::with_capacity(order.len());
        for key in order {
            let situation = self.fed_situation(&key, ask.as_of, span_s).await.map_err(|error| at_asset(&key, error))?;
            values += situation.horizon * situation.layout.targets.len();
            fits(values, 1, ask.scenarios.len(), checked.levels.len())?;
            if let Some(shown) = checked.shown {
                shown.fits(values, 1, ask.scenarios.len() + 1)?;
            }
            let risk = Risk::prepare(&situation, ask, &first.asset.key).map_err(ForecastError::Invalid)?;
            let feeds = edges.iter().filter(|edge| edge.target == key).collect();
            links.push(Link { situation, feeds, risk, driven: false });
        }
        // From the last one up: whatever leads to an asset that is judged is driven as it is.
        for place in (0..links.len()).rev() {
            let key = &links[place].situation.asset.key;
            let leads = |link: &Link<'_>| link.driven && link.feeds.iter().any(|edge| edge.source == *key);
            let driven = links[place].risk.is_some() || links[place + 1..].iter().any(leads);
            links[place].driven = driven;
        }
        let driven = links.iter().filter(|link| link.driven).count();
        if driven > 0 {
            // What is too much is refused before anything is computed.
            driven::samples(ask.samples, ask.scenarios.len() + 1, driven)?;
        }
        Ok(links)
    }

    /// Goes on with a what-if in all assets downstream of the answered one, with medians.
    async fn go_on<'e>(
        &self,
        ask: &WhatIf,
        checked: &Checked,
        first: &Answered,
        links: Vec<Link<'e>>,
    ) -> Result<Vec<Below<'e>>, ForecastError> {
        // Overrides are about the asset that was asked about; risk is judged on paths.
        let scenarios: Vec<Scenario> = ask
            .scenarios
            .iter()
            .enumerate()
            .map(|(index, scenario)| Scenario { name: Some(scenario.called(index)), overrides: Vec::new() })
            .collect();
        let ask = WhatIf {
            scenarios,
            constraints: Vec::new(),
            kpis: Vec::new(),
            rank_by: None,
            // What follows downstream is shown with its support; nobody asked for it in particular.
            out_of_support: OutOfSupport::Warn,
            ..ask.clone()
        };
        let mut below: Vec<Below<'e>> = Vec::with_capacity(links.len());
        for Link { situation, feeds, risk, driven } in links {
            let of = |source: &str| {
                let mut above = std::iter::once(first).chain(below.iter().map(|below| &below.answered));
                above.find(|above| above.situation.asset.key == source).map(|above| &above.medians)
            };
            let futures = futures(&situation, &feeds, of, ask.scenarios.len() + 1)
                .map_err(|error| at_asset(&situation.asset.key, error))?;
            let said = answer_in_order(&self.forecasts, &situation, &futures).await?;
            let planned = futures[1..].iter().map(|_| Planned::default()).collect();
            let settled = Settled { futures, said, planned };
            let (situation, judge) = judge_of(situation).await?;
            let known = Known { risk: None, judge, ignored: Arc::default() };
            let mut answered = self.compose(situation, &ask, checked, known, settled).await?;
            let fed_by = feeds.iter().map(|edge| FedBy {
                asset: edge.source.clone(),
                from_signal: edge.from_signal.clone(),
                to_signal: edge.to_signal.clone(),
            });
            answered.outcome.fed_by = fed_by.collect();
            below.push(Below { answered, feeds, risk, driven });
        }
        Ok(below)
    }

    /// Looks at a fed asset over as long a time as its feeder is, as far as can be predicted.
    async fn fed_situation(
        &self,
        key: &str,
        as_of: Option<DateTime<Utc>>,
        span_s: f64,
    ) -> Result<Situation, ForecastError> {
        let steps = |step_s: f64| ((span_s / step_s - 1e-6).ceil().max(1.0) as usize).min(MAX_HORIZON);
        let nominal_s = self.forecasts.assets().find(key).await?.asset_type.interval_s();
        let mut situation = self.forecasts.situation(key, as_of, Some(steps(nominal_s))).await?;
        // The asset may keep to a multiple of its nominal interval.
        situation.horizon = situation.horizon.min(steps(situation.grid.step_s));
        Ok(situation)
    }
}

/// The baseline and the scenarios of a fed asset, by the medians of what feeds it.
fn futures<'a>(
    situation: &Situation,
    feeds: &[&Edge],
    of: impl Fn(&str) -> Option<&'a Medians>,
    count: usize,
) -> Result<Vec<Future>, ForecastError> {
    let own = situation.baseline(&BTreeMap::new())?;
    let instants = situation.timestamps();
    let one =
        |future: usize| fed(situation, &own, feeds, |edge| of(&edge.source)?.at(&edge.from_signal, future, &instants));
    (0..count).map(one).collect()
}

/// A future of a fed asset: its own, but for the inputs that are fed. `value` says what an edge brings at each
/// of its steps.
pub(super) fn fed(
    situation: &Situation,
    own: &Future,
    feeds: &[&Edge],
    value: impl Fn(&Edge) -> Option<Vec<f64>>,
) -> Result<Future, ForecastError> {
    let mut fed = own.clone();
    for edge in feeds {
        let missing = |detail: String| ForecastError::Invalid(vec![("/downstream".to_owned(), detail)]);
        let row = situation.layout.inputs.iter().position(|input| situation.signal(*input).name == edge.to_signal);
        let row = row.ok_or_else(|| {
            missing(format!("{} was never measured, so nothing is known of what it does", edge.to_signal))
        })?;
        let values = value(edge).ok_or_else(|| {
            missing(format!("{} of {} was never measured, so it is not predicted", edge.from_signal, edge.source))
        })?;
        let last = values.last().copied().unwrap_or_default();
        let whole = fed.rows[row].len();
        fed.rows[row] = values.into_iter().chain(std::iter::repeat(last)).take(whole).collect();
        fed.sources[row] = InputSource::Fed;
    }
    Ok(fed)
}

/// A row of an asset at other instants: the value at the newest step that is not later. Before the first one,
/// the value at its state, `present`. The pair is the instant of the state and the seconds of a step.
pub(super) fn held(
    present: f64,
    row: &[f64],
    (end, step_s): (DateTime<Utc>, f64),
    instants: &[DateTime<Utc>],
) -> Vec<f64> {
    let value = |instant: &DateTime<Utc>| {
        let after_s = (*instant - end).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6;
        // A rounded microsecond is not a step.
        let steps = (after_s / step_s + 1e-6).floor();
        if steps < 1.0 { present } else { row[(steps as usize).min(row.len()) - 1] }
    };
    instants.iter().map(value).collect()
}

/// The assets downstream of the first in an order in which each stands after all that feed it.
fn in_order(first: &str, edges: &[Edge]) -> Result<Vec<String>, ForecastError> {
    let too_many = |what: &str, max: usize| ForecastError::Beyond {
        pointer: "/downstream".to_owned(),
        detail: format!("{first} feeds too many {what}; at most {max} are answered at once"),
        max,
    };
    if edges.len() > MAX_EDGES {
        return Err(too_many("signals", MAX_EDGES));
    }
    let mut left: BTreeSet<&str> = edges.iter().map(|edge| edge.target.as_str()).collect();
    if left.len() >= MAX_CHAIN {
        return Err(too_many("assets", MAX_CHAIN));
    }
    let mut order = Vec::with_capacity(left.len());
    // There are no circles: relationships that would close one are refused.
    while let Some(next) = left
        .iter()
        .copied()
        .find(|key| edges.iter().all(|edge| edge.target != *key || !left.contains(edge.source.as_str())))
    {
        left.remove(next);
        order.push(next.to_owned());
    }
    Ok(order)
}

/// Says of which asset something is wrong.
fn at_asset(key: &str, error: ForecastError) -> ForecastError {
    match error {
        ForecastError::NoReadings | ForecastError::NoOutputs => {
            ForecastError::Invalid(vec![("/downstream".to_owned(), format!("{key}: {error}"))])
        }
        ForecastError::Invalid(wrong) => ForecastError::Invalid(
            wrong.into_iter().map(|(_, detail)| ("/downstream".to_owned(), format!("{key}: {detail}"))).collect(),
        ),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: &str, target: &str) -> Edge {
        let signal = |name: &str| name.to_owned();
        Edge { source: signal(source), target: signal(target), from_signal: signal("out"), to_signal: signal("in") }
    }

    #[test]
    fn who_feeds_stands_before_who_is_fed() {
        let edges = [edge("a", "d"), edge("a", "c"), edge("c", "b"), edge("b", "d")];
        assert_eq!(in_order("a", &edges).unwrap(), ["c", "b", "d"]);
        assert!(in_order("a", &[]).unwrap().is_empty());
        let many: Vec<Edge> = (0..MAX_CHAIN).map(|place| edge("a", &format!("b{place}"))).collect();
        assert!(matches!(in_order("a", &many), Err(ForecastError::Beyond { max: MAX_CHAIN, .. })));
        in_order("a", &many[1..]).unwrap();
    }

    #[test]
    fn other_steps_see_the_newest_value() {
        let at = |tenths: i64| DateTime::from_timestamp_millis(1_790_000_000_000 + tenths * 100).unwrap();
        let outputs = BTreeMap::from([("out".to_owned(), (9.0, vec![vec![1.0, 2.0, 3.0]]))]);
        let medians = Medians { end: at(0), step_s: 1.0, outputs };
        let instants = [-5, 0, 5, 10, 15, 20, 29, 30, 40].map(at);
        assert_eq!(medians.at("out", 0, &instants).unwrap(), [9.0, 9.0, 9.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert!(medians.at("out", 1, &instants).is_none() && medians.at("other", 0, &instants).is_none());
    }
}
