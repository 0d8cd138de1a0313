//! Futures of the inputs, and what their answers share.

use std::collections::BTreeMap;

use super::answer::{InputFuture, InputSource, tidy, timestamps};
use super::{ForecastError, Forecasts, Situation};
use crate::model::Quantiles;
use crate::model::window::future_steps;

/// A future of the inputs: a row for each input of the layout, in its unit, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Future {
    /// As long as whole patches need, at least the horizon.
    pub rows: Vec<Vec<f64>>,
    /// For each row.
    pub sources: Vec<InputSource>,
}

impl Future {
    /// What makes it equal to another one.
    fn bits(&self) -> Vec<u64> {
        self.rows.iter().flatten().map(|value| value.to_bits()).collect()
    }

    /// Steps until the first at which an input differs.
    fn alike(&self, other: &Self) -> usize {
        let equal = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        self.rows.iter().zip(&other.rows).map(equal).min().unwrap_or(usize::MAX)
    }
}

impl Forecasts {
    /// Answers groups of futures in one forward pass: for each future of each group, for each target. Within a
    /// group equal futures get equal bits, and what begins as the group's first one does is answered as it is
    /// until they differ. Neither the order within a group nor that of the groups matters.
    pub async fn answer_groups(
        &self,
        situation: &Situation,
        groups: &[Vec<Future>],
    ) -> Result<Vec<Vec<Vec<Quantiles>>>, ForecastError> {
        let keys: Vec<Vec<Vec<u64>>> = groups.iter().map(|group| group.iter().map(Future::bits).collect()).collect();
        let pairs = groups.iter().flatten().zip(keys.iter().flatten());
        let distinct: BTreeMap<&[u64], &Future> = pairs.map(|(future, key)| (key.as_slice(), future)).collect();
        let sorted: Vec<Future> = distinct.values().map(|future| (*future).clone()).collect();
        let said = self.answer(situation, &sorted).await?;
        let answers: BTreeMap<&[u64], Vec<Quantiles>> = distinct.into_keys().zip(said.answers).collect();
        let of_group = |(group, keys): (&Vec<Future>, &Vec<Vec<u64>>)| {
            let mut own: Vec<Vec<Quantiles>> = keys.iter().map(|key| answers[key.as_slice()].clone()).collect();
            share_beginnings(group, &mut own);
            own
        };
        Ok(groups.iter().zip(&keys).map(of_group).collect())
    }
}

impl Situation {
    /// The unmodified future: what was given, else what is desired, else the last value.
    pub fn baseline(&self, given: &BTreeMap<String, Vec<f64>>) -> Result<Future, ForecastError> {
        let steps = future_steps(self.horizon);
        let mut wrong: Vec<(String, String)> = Vec::new();
        for (name, values) in given {
            let pointer = format!("/inputs/{name}");
            match self.asset.asset_type.signal(name) {
                None => wrong.push((pointer, format!("the asset has no signal {name}"))),
                Some((index, signal)) if !self.layout.inputs.contains(&index) => {
                    let role = signal.role.name();
                    wrong.push((
                        pointer,
                        format!("{name} has the role {role}; only inputs that were measured can be given"),
                    ));
                }
                Some(_) if values.len() < self.horizon => {
                    wrong.push((pointer, format!("{} values for a horizon of {} steps", values.len(), self.horizon)));
                }
                Some(_) => {
                    if let Some(step) = values.iter().position(|value| !value.is_finite()) {
                        wrong.push((format!("{pointer}/{step}"), "not a finite number".into()));
                    }
                }
            }
        }
        if !wrong.is_empty() {
            return Err(ForecastError::Invalid(wrong));
        }
        let instants = timestamps(self.grid.end, self.grid.step_s, steps);
        let (rows, sources) = self
            .layout
            .inputs
            .iter()
            .map(|input| {
                let name = &self.signal(*input).name;
                let last = self.grid.values[*input].last().copied().unwrap_or(0.0);
                if let Some(values) = given.get(name) {
                    let end = values.last().copied().unwrap_or(last);
                    return (
                        values.iter().copied().chain(std::iter::repeat(end)).take(steps).collect(),
                        InputSource::Given,
                    );
                }
                match self.twin.desired.get(name).filter(|_| !self.is_past()) {
                    Some(desired) => {
                        (instants.iter().map(|at| desired.at(*at).unwrap_or(last)).collect(), InputSource::Desired)
                    }
                    None => (vec![last; steps], InputSource::Hold),
                }
            })
            .unzip();
        Ok(Future { rows, sources })
    }

    /// A future as it is shown.
    #[must_use]
    pub fn inputs(&self, future: &Future) -> BTreeMap<String, InputFuture> {
        self.layout
            .inputs
            .iter()
            .zip(future.rows.iter().zip(&future.sources))
            .map(|(input, (row, source))| {
                let values = row[..self.horizon].iter().map(|value| tidy(*value)).collect();
                (self.signal(*input).name.clone(), InputFuture { source: *source, values })
            })
            .collect()
    }
}

/// Futures that begin as the first one does are answered as it is until they differ: nothing follows
/// from what has not happened yet, while arithmetic in another row of a batch may differ in its
/// last bit.
pub(super) fn share_beginnings(futures: &[Future], answers: &mut [Vec<Quantiles>]) {
    let (Some((first, others)), Some((shared, own))) = (futures.split_first(), answers.split_first_mut()) else {
        return;
    };
    for (future, answers) in others.iter().zip(own) {
        for (answer, shared) in answers.iter_mut().zip(shared.iter()) {
            let alike = first.alike(future).min(answer.len());
            answer[..alike].copy_from_slice(&shared[..alike]);
        }
    }
}
