//! Key performance indicators: one number made of a whole future, such as a mean level, the energy
//! used or the cost of a schedule.
//!
//! A KPI is computed on every sample path, so that its answer is a distribution; baseline and
//! scenarios have the same luck, so that differences are paired. Always true: the same rows give
//! the same bits.

use serde::{Deserialize, Serialize};

use super::formula::Formula;

/// KPIs of one what-if at most.
pub const MAX_KPIS: usize = 32;

/// A number that sums up a future.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Kpi {
    /// Its name in the answer.
    pub name: String,
    /// Key of the asset whose signals it is computed from: the one that is asked when left out, or one
    /// downstream of it in a what-if that goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// An input or output; or else an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Arithmetic over the names of inputs and outputs, computed at each step: numbers, `+ - * / ^`,
    /// parentheses, `abs`, `sqrt`, `exp`, `ln`, `min`, `max`. The longest name that fits counts;
    /// `{name}` names a signal whatever stands around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// What is made of the values of all steps.
    pub agg: Aggregate,
}

/// What is made of the values of all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// Their mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their sum times the seconds of a step: the unit of the values times seconds.
    Integral,
    /// That of the last step.
    Last,
    /// Their standard deviation over the steps (of all of them, not of a sample).
    Std,
}

/// A KPI that is ready to be computed.
#[derive(Clone, Debug)]
pub struct CompiledKpi {
    formula: Formula,
    agg: Aggregate,
}

impl Kpi {
    /// Gets the KPI ready for rows that hold `signals` in this order. What is wrong with it is said
    /// in words.
    pub fn compile(&self, signals: &[String]) -> Result<CompiledKpi, String> {
        let formula = match (&self.signal, &self.expression) {
            (Some(name), None) => {
                let place = signals.iter().position(|signal| signal == name);
                Formula::signal(place.ok_or_else(|| format!("{name} is no input or output that was measured"))?)
            }
            (None, Some(text)) => Formula::read(text, signals)?,
            _ => return Err("a KPI has either a signal or an expression".to_owned()),
        };
        Ok(CompiledKpi { formula, agg: self.agg })
    }
}

impl CompiledKpi {
    /// The KPI of one future: `rows` are the signals that it was compiled for in that order, each with
    /// one value a step, all of one length; `step_s` is the length of a step in seconds. NaN without
    /// any step; not finite where the expression is not, such as after a division by 0.
    #[must_use]
    pub fn of(&self, rows: &[&[f64]], step_s: f64) -> f64 {
        let steps = rows.first().map_or(0, |row| row.len());
        let mut stack = Vec::new();
        let mut value = |step| self.formula.at(rows, step, &mut stack);
        if steps == 0 {
            return f64::NAN;
        }
        let count = steps as f64;
        match self.agg {
            Aggregate::Mean => (0..steps).map(value).sum::<f64>() / count,
            Aggregate::Integral => (0..steps).map(value).sum::<f64>() * step_s,
            Aggregate::Min => (0..steps).map(value).fold(f64::INFINITY, nan_or(f64::min)),
            Aggregate::Max => (0..steps).map(value).fold(f64::NEG_INFINITY, nan_or(f64::max)),
            Aggregate::Last => value(steps - 1),
            Aggregate::Std => {
                let values: Vec<f64> = (0..steps).map(value).collect();
                let mean = values.iter().sum::<f64>() / count;
                (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
            }
        }
    }

    /// Places of the signals that it is computed from, ascending.
    #[must_use]
    pub fn signals(&self) -> Vec<usize> {
        self.formula.signals()
    }
}

/// What is not a number stays so: the smallest of nothing known is not known.
fn nan_or(choose: fn(f64, f64) -> f64) -> impl Fn(f64, f64) -> f64 {
    move |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { choose(a, b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kpi(signal: Option<&str>, expression: Option<&str>, agg: Aggregate) -> Kpi {
        Kpi {
            name: "kpi".to_owned(),
            asset: None,
            signal: signal.map(str::to_owned),
            expression: expression.map(str::to_owned),
            agg,
        }
    }

    fn signals() -> Vec<String> {
        ["pump", "level"].map(str::to_owned).to_vec()
    }

    #[test]
    fn aggregates_are_what_they_are_called() {
        let rows: [&[f64]; 2] = [&[0.0; 4], &[1.0, 4.0, 2.0, 5.0]];
        for (agg, expected) in [
            (Aggregate::Mean, 3.0),
            (Aggregate::Min, 1.0),
            (Aggregate::Max, 5.0),
            (Aggregate::Integral, 24.0),
            (Aggregate::Last, 5.0),
            (Aggregate::Std, 2.5_f64.sqrt()),
        ] {
            let found = kpi(Some("level"), None, agg).compile(&signals()).unwrap().of(&rows, 2.0);
            assert!((found - expected).abs() < 1e-12, "{agg:?} is {found}");
        }
    }

    #[test]
    fn an_expression_is_computed_at_each_step() {
        let rows: [&[f64]; 2] = [&[2.0, 3.0], &[10.0, 20.0]];
        let cost = kpi(None, Some("0.5 * pump + max(0, level - 15)"), Aggregate::Integral);
        assert_eq!(cost.compile(&signals()).unwrap().of(&rows, 10.0), (1.0 + 1.5 + 5.0) * 10.0);
    }

    #[test]
    fn what_is_not_known_makes_no_number() {
        let rows: [&[f64]; 2] = [&[0.0, 1.0], &[0.0, 1.0]];
        for agg in [Aggregate::Mean, Aggregate::Min, Aggregate::Max, Aggregate::Std] {
            assert!(
                kpi(None, Some("pump / level"), agg).compile(&signals()).unwrap().of(&rows, 1.0).is_nan(),
                "{agg:?}"
            );
        }
    }

    #[test]
    fn it_has_one_source() {
        for wrong in [
            kpi(None, None, Aggregate::Mean),
            kpi(Some("pump"), Some("pump"), Aggregate::Mean),
            kpi(Some("boiler"), None, Aggregate::Mean),
            kpi(None, Some("pump +"), Aggregate::Mean),
        ] {
            assert!(wrong.compile(&signals()).is_err(), "{wrong:?}");
        }
        assert_eq!(kpi(None, Some("level * 2"), Aggregate::Mean).compile(&signals()).unwrap().signals(), [1]);
    }

    proptest! {
        #[test]
        fn the_mean_lies_between_the_extremes(row in prop::collection::vec(-1e3..1e3_f64, 1..40)) {
            let of = |agg| kpi(Some("pump"), None, agg).compile(&signals()[..1]).unwrap().of(&[&row], 1.0);
            prop_assert!(of(Aggregate::Min) <= of(Aggregate::Mean) + 1e-9 && of(Aggregate::Mean) <= of(Aggregate::Max) + 1e-9);
            prop_assert!(of(Aggregate::Std) <= of(Aggregate::Max) - of(Aggregate::Min) + 1e-9);
            prop_assert_eq!(of(Aggregate::Last), row[row.len() - 1]);
        }
    }
}
