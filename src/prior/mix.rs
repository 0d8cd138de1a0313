//! What the prior really holds: shares and quantiles counted on drawn records, for the card of a
//! base model and for a person who looks at the sheets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Family, MOST_INPUTS, Record, record};

/// A mix of records, counted. Shares are between 0 and 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mix {
    /// Records counted.
    pub records: usize,
    /// Share of each family.
    pub families: Vec<FamilyShare>,
    /// Share of plants (everything but series to forecast) whose state jumps once.
    pub restarted: f64,
    /// Share of plants under feedback until an intervention.
    pub controlled: f64,
    /// Share of plants with a slow unmeasured disturbance.
    pub disturbed: f64,
    /// Share of plants that wear.
    pub worn: f64,
    /// Share of plants whose sensor fails at times.
    pub failing: f64,
    /// Share of all records with quantised readings.
    pub quantised: f64,
    /// Share of all records with an input that has no effect.
    pub decoyed: f64,
    /// Share of plants with sensor noise.
    pub noisy: f64,
    /// 5, 50 and 95 % quantiles of that noise, in deviations of the truth.
    pub noise: Vec<f64>,
    /// Share of records with 0, 1, 2 and more inputs.
    pub inputs: Vec<f64>,
}

/// How much of a mix one family makes up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FamilyShare {
    /// Family of the prior.
    pub family: String,
    /// Its share of all records.
    pub share: f64,
}

impl Mix {
    /// Counts the first `records` records of a seed, each of `steps` steps.
    #[must_use]
    pub fn draw(seed: u64, records: usize, steps: usize) -> Self {
        let mut count = Count::default();
        (0..records as u64).for_each(|index| count.add(&record(seed, index, steps)));
        count.mix()
    }
}

#[derive(Default)]
struct Count {
    families: [usize; Family::all().len()],
    inputs: [usize; MOST_INPUTS + 1],
    restarted: usize,
    controlled: usize,
    disturbed: usize,
    worn: usize,
    failing: usize,
    quantised: usize,
    decoyed: usize,
    noise: Vec<f64>,
}

impl Count {
    fn add(&mut self, record: &Record) {
        let conditions = record.conditions;
        let family = Family::all().iter().position(|family| *family == record.family);
        self.families[family.expect("all families are listed")] += 1;
        self.inputs[record.inputs.len()] += 1;
        self.restarted += usize::from(record.restart.is_some());
        self.controlled += usize::from(record.released.is_some());
        self.disturbed += usize::from(conditions.disturbed);
        self.worn += usize::from(record.health.is_some());
        self.failing += usize::from(record.fault.is_some());
        self.quantised += usize::from(conditions.quantum.is_some());
        self.decoyed += usize::from(conditions.decoy);
        if conditions.noise > 0.0 {
            self.noise.push(conditions.noise);
        }
    }

    fn mix(mut self) -> Mix {
        let records: usize = self.families.iter().sum();
        let named = || Family::all().iter().zip(self.families);
        let plants: usize = named().filter(|(family, _)| **family != Family::Forecast).map(|(_, n)| n).sum();
        let of_all = |n: usize| n as f64 / records.max(1) as f64;
        let of_plants = |n: usize| n as f64 / plants.max(1) as f64;
        self.noise.sort_by(f64::total_cmp);
        let last = self.noise.len().saturating_sub(1) as f64;
        let quantile = |level: f64| self.noise.get((level * last).round() as usize).copied().unwrap_or(0.0);
        Mix {
            records,
            families: named()
                .map(|(family, n)| FamilyShare { family: family.name().to_owned(), share: of_all(n) })
                .collect(),
            restarted: of_plants(self.restarted),
            controlled: of_plants(self.controlled),
            disturbed: of_plants(self.disturbed),
            worn: of_plants(self.worn),
            failing: of_plants(self.failing),
            quantised: of_all(self.quantised),
            decoyed: of_all(self.decoyed),
            noisy: of_plants(self.noise.len()),
            noise: [0.05, 0.5, 0.95].map(quantile).to_vec(),
            inputs: self.inputs.map(of_all).to_vec(),
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        writeln!(f, "{} records", self.records)?;
        for FamilyShare { family, share } in &self.families {
            writeln!(f, "  {family:<22}{:>8}", percent(*share))?;
        }
        for (inputs, share) in self.inputs.iter().enumerate() {
            let name = format!("with {inputs} inputs");
            writeln!(f, "  {name:<22}{:>8}", percent(*share))?;
        }
        let rows = [("quantised", self.quantised), ("with a decoy input", self.decoyed)];
        for (name, share) in rows {
            writeln!(f, "  {name:<22}{:>8}", percent(share))?;
        }
        writeln!(f, "of the plants")?;
        let rows = [
            ("restarted", self.restarted),
            ("under feedback", self.controlled),
            ("disturbed", self.disturbed),
            ("wearing", self.worn),
            ("with a failing sensor", self.failing),
            ("with sensor noise", self.noisy),
        ];
        for (name, share) in rows {
            writeln!(f, "  {name:<22}{:>8}", percent(share))?;
        }
        let noise: Vec<String> = self.noise.iter().map(|v| percent(*v)).collect();
        writeln!(f, "  noise, 5-50-95 %       {}", noise.join(", "))
    }
}
