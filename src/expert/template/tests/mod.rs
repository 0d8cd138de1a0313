//! Templates as a whole: known parameters come back from readings, and what must hold for any record.

mod laws;
mod recover;

use super::law::Arrivals;
use super::{Fitted, Record, Template};

/// Inputs that hold random values for random times; noise comes from a linear congruential generator.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> f64 {
        self.0 = (self.0 * 1_103_515_245 + 12_345) % (1 << 31);
        self.0 as f64 / f64::from(1_u32 << 31)
    }

    pub(super) fn steps(&mut self, length: usize, hold: f64, low: f64, high: f64) -> Vec<f64> {
        let mut row = Vec::with_capacity(length);
        while row.len() < length {
            let value = low + (high - low) * self.roll();
            let until = row.len() + 1 + (2.0 * hold * self.roll()) as usize;
            row.resize(until.min(length), value);
        }
        row
    }
}

/// A plant of known parameters over known inputs, read with a little noise.
pub(super) fn readings(template: Template, values: &[f64], inputs: &[Vec<f64>], first: f64, noise: f64) -> Vec<f64> {
    let law = template.law(values, inputs.len());
    let arrivals = Arrivals::new(inputs, 0, law.delay());
    let mut dice = Dice(7);
    let mut state = law.rest(first);
    let mut now = vec![0.0; inputs.len()];
    (0..inputs[0].len())
        .map(|t| {
            if t > 0 {
                arrivals.at(t, &mut now);
                law.advance(&mut state, &now);
            }
            law.read(&state) + noise * (dice.roll() + dice.roll() - 1.0)
        })
        .collect()
}

pub(super) fn fitted(template: Template, target: &[f64], inputs: &[Vec<f64>]) -> Fitted {
    let record = Record { target, inputs, starts: &[0], range: None };
    Fitted::fit(template, &record, 32).expect("a record of the plant itself fits")
}

#[test]
fn names_and_guesses_agree_for_every_template() {
    let inputs: Vec<Vec<f64>> = (1..=3).map(|seed| Dice(seed).steps(60, 5.0, 0.0, 1.0)).collect();
    for template in Template::ALL {
        assert_eq!(template.name().parse(), Ok(template));
        let text = serde_json::to_string(&template).expect("a name is text");
        assert_eq!(text, format!("{:?}", template.name()));
        for count in 1..=3 {
            let record = Record { target: &inputs[0], inputs: &inputs[..count], starts: &[0], range: None };
            let evidence = super::evidence::Evidence::of(&record).expect("it moves");
            for guess in template.guesses(&evidence) {
                assert_eq!(guess.len(), template.names(count).len(), "{template} with {count} inputs");
            }
        }
    }
    assert!("tanks_9".parse::<Template>().is_err());
}
