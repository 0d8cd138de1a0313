//! What must hold for any record, however hostile: bounds, causality, determinism.

use proptest::prelude::*;

use super::Dice;
use crate::expert::template::{Fitted, Record, Template};

/// A record that owns its rows.
#[derive(Clone, Debug)]
struct Owned {
    target: Vec<f64>,
    inputs: Vec<Vec<f64>>,
    starts: Vec<usize>,
    range: Option<(f64, f64)>,
}

impl Owned {
    fn record(&self) -> Record<'_> {
        Record { target: &self.target, inputs: &self.inputs, starts: &self.starts, range: self.range }
    }
}

/// What goes wrong with a row.
fn spoil(row: &mut [f64], how: usize, dice: &mut Dice) {
    let length = row.len().max(1);
    let mut places: Vec<usize> = (0..length / 5).map(|_| (dice.roll() * length as f64) as usize).collect();
    places.retain(|&t| t < row.len());
    match how {
        0 => row.fill(3.0),
        1 => places.iter().for_each(|&t| row[t] = f64::NAN),
        2 => places.iter().for_each(|&t| row[t] = 1e12),
        3 => row.iter_mut().for_each(|v| *v *= 1e90),
        4 => places.iter().for_each(|&t| row[t] = if t % 2 == 0 { f64::INFINITY } else { -1e308 }),
        5 => row.fill(f64::NAN),
        6 => row.iter_mut().for_each(|v| *v *= 1e-90),
        _ => {}
    }
}

fn any_record() -> impl Strategy<Value = Owned> {
    let kinds = (0_usize..14, 0_usize..14, 1_usize..4);
    let restarts = prop::collection::vec(0_usize..120, 0..4);
    let range = prop::option::of((-5.0_f64..5.0, -5.0_f64..5.0));
    (0_usize..120, any::<u32>(), kinds, restarts, range).prop_map(|(length, seed, kinds, starts, range)| {
        let (of_target, of_input, count) = kinds;
        let mut dice = Dice(u64::from(seed) % (1 << 31));
        let mut inputs: Vec<Vec<f64>> = (0..count).map(|_| dice.steps(length, 6.0, -1.0, 2.0)).collect();
        let mut level = 0.0;
        let mut target: Vec<f64> = (0..length)
            .map(|t| {
                level += 0.2 * (inputs[0][t] - level);
                level + 0.1 * dice.roll()
            })
            .collect();
        spoil(&mut target, of_target, &mut dice);
        spoil(&mut inputs[0], of_input, &mut dice);
        Owned { target, inputs, starts, range }
    })
}

fn any_template() -> impl Strategy<Value = Template> {
    prop::sample::select(Template::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_record_makes_an_answer_that_is_not_finite(
        owned in any_record(),
        template in any_template(),
        wild in 0_usize..8,
    ) {
        let Some(fitted) = Fitted::fit(template, &owned.record(), 24) else { return Ok(()) };
        prop_assert!(fitted.parameters().iter().all(|(_, value)| value.is_finite()));
        prop_assert!(fitted.error().is_finite());
        let mut future: Vec<Vec<f64>> = owned.inputs.iter().map(|_| vec![1.0; 30]).collect();
        spoil(&mut future[0], wild, &mut Dice(1));
        let nothing = Owned { target: vec![], inputs: vec![vec![]; owned.inputs.len()], starts: vec![], range: None };
        for recent in [&owned, &nothing] {
            let answer = fitted.answer(&fitted.stand(&recent.record()), &future, 40);
            prop_assert_eq!(answer.len(), 40);
            prop_assert!(answer.iter().all(|v| v.is_finite()), "{:?}", answer);
        }
    }

    #[test]
    fn before_the_first_differing_input_the_answers_are_bitwise_equal(
        owned in any_record(),
        template in any_template(),
        at in 0_usize..30,
        change in -3.0_f64..3.0,
    ) {
        let Some(fitted) = Fitted::fit(template, &owned.record(), 24) else { return Ok(()) };
        let state = fitted.stand(&owned.record());
        let future: Vec<Vec<f64>> = owned.inputs.iter().map(|_| Dice(3).steps(30, 4.0, -1.0, 2.0)).collect();
        let mut other = future.clone();
        for row in &mut other {
            row[at..].iter_mut().for_each(|v| *v += change);
        }
        let (a, b) = (fitted.answer(&state, &future, 30), fitted.answer(&state, &other, 30));
        prop_assert!(a[..at].iter().zip(&b[..at]).all(|(x, y)| x.to_bits() == y.to_bits()));
        let short = fitted.answer(&state, &future, at);
        prop_assert!(short.iter().zip(&a).all(|(x, y)| x.to_bits() == y.to_bits()));
    }

    #[test]
    fn equal_records_give_equal_fits(owned in any_record(), template in any_template()) {
        prop_assert_eq!(
            Fitted::fit(template, &owned.record(), 24),
            Fitted::fit(template, &owned.clone().record(), 24)
        );
    }
}

#[test]
fn too_little_to_learn_from_is_no_fit() {
    let inputs = [vec![1.0, 2.0, 1.0, 2.0, 1.0]];
    let record = Record { target: &[1.0, 1.5, 1.2, 1.4, 1.3], inputs: &inputs, starts: &[0], range: None };
    let still = Record { target: &[2.0; 400], inputs: &[vec![1.0; 400]], starts: &[0], range: None };
    let alone = Record { target: &Dice(2).steps(300, 5.0, 0.0, 1.0), inputs: &[], starts: &[0], range: None };
    for template in Template::ALL {
        assert!(Fitted::fit(template, &record, 24).is_none());
        assert!(Fitted::fit(template, &still, 24).is_none());
        assert!(Fitted::fit(template, &alone, 24).is_none());
    }
}
