//! Templates as a whole: parameters that are known come back, and what must hold for any record.


use super::law::Arrivals;
use super::{Fitted, Record, Template};

/// Inputs that hold random values for random times; noise comes from a linear congruential generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = (self.0 * 1_103_515_245 + 12_345) % (1 << 31);
        self.0 as f64 / f64::from(1_u32 << 31)
    }

    fn steps(&mut self, length: usize, hold: f64, low: f64, high: f64) -> Vec<f64> {
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
fn readings(template: Template, values: &[f64], inputs: &[Vec<f64>], first: f64, noise: f64) -> Vec<f64> {
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

fn fitted(template: Template, target: &[f64], inputs: &[Vec<f64>]) -> Fitted {
    let record = Record { target, inputs, starts: &[0], range: None };
    Fitted::fit(template, &record, 32).expect("a record of the plant itself fits")
}

fn parameter(fitted: &Fitted, name: &str) -> f64 {
    fitted.parameters().into_iter().find(|(n, _)| *n == name).expect("the template has it").1
}

#[test]
fn two_tanks_are_recovered_with_their_overflow() {
    let inputs = [Dice(3).steps(700, 40.0, 0.5, 6.0)];
    let truth = [0.06, 0.07, 0.5, 0.5, 7.0, 12.0, 0.5, 0.2, 0.0, 0.045];
    let target = readings(Template::Tanks2, &truth, &inputs, 4.0, 0.01);
    let fitted = fitted(Template::Tanks2, &target, &inputs);
    assert!(fitted.error() < 0.05);
}
