//! Products and what nobody measures are found.

use super::*;

/// A mass on a spring that hardens, pushed by steps: the cube of its place pulls it back.
fn spring(steps: usize) -> (Vec<f64>, Vec<f64>) {
    let mut word = 3_u32;
    let (mut push, mut place, mut speed) = (0.0, 0.0, 0.0);
    (0..steps)
        .map(|t| {
            if t % 9 == 0 {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                push = f64::from(word >> 8) / f64::from(1 << 23) - 1.0;
            }
            speed += 0.2 * (push - speed - 0.3 * place - 1.5 * place * place * place);
            place += 0.2 * speed;
            (push, place)
        })
        .unzip()
}

#[test]
fn a_spring_that_hardens_is_a_product_of_three() {
    let (push, place) = spring(3_000);
    let context = Context { target: &place, inputs: vec![&push], others: Vec::new(), segments: vec![(0, 3_000)] };
    let parts = Parts::new((1_800, 2_400, 3_000), 64, Vec::new());
    let known = context.within(0, 2_400);
    let joint = &Joint::learn(&known, &parts, 64).expect("there is enough to learn from")[parts.newest() + 1];
    assert_eq!(joint.order.degree, 3);
    let said = joint.answer(&joint.stand(&known), &context.inputs_within(2_400, 2_464), 64);
    let worst = said.iter().zip(&place[2_400..]).map(|(said, truth)| (said - truth).abs()).fold(0.0, f64::max);
    assert!(worst < 0.02, "{worst} where the place moves by about one");
}

/// A tank that fills by its input and empties by its level; from `leak_from` on it leaks.
fn tank(steps: usize, leak_from: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut word, mut flow, mut level) = (5_u32, 0.0, 0.0);
    (0..steps)
        .map(|t| {
            if t % 23 == 0 {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                flow = f64::from(word >> 8) / f64::from(1 << 23) - 1.0;
            }
            level += 0.1 * (flow - level) - if t >= leak_from { 0.03 } else { 0.0 };
            (flow, level)
        })
        .unzip()
}

#[test]
fn what_nobody_measures_is_taken_along() {
    // It leaks in the part that chooses, not in the one that teaches: equations know nothing of it.
    let (flow, level) = tank(3_000, 1_800);
    let context = Context { target: &level, inputs: vec![&flow], others: Vec::new(), segments: vec![(0, 3_000)] };
    let parts = Parts::new((1_800, 2_400, 3_000), 64, Vec::new());
    let known = context.within(0, 2_400);
    let joint = &Joint::learn(&known, &parts, 64).expect("there is enough to learn from")[parts.newest()];
    assert!(joint.observer.window > 0, "{:?}", joint.observer);
    let error = |joint: &Joint| {
        let said = joint.answer(&joint.stand(&known), &context.inputs_within(2_400, 2_464), 64);
        said.iter().zip(&level[2_400..]).map(|(said, truth)| (said - truth).powi(2)).sum::<f64>()
    };
    let blind = Joint { observer: Observer::default(), ..joint.clone() };
    assert!(error(joint) < 0.05 * error(&blind), "{} against {}", error(joint), error(&blind));
}

#[test]
fn of_equations_that_err_alike_the_smallest_are_taken() {
    let order = Order { outputs: 1, inputs: 1, degree: 1 };
    let tried = |errors: &[(f64, usize)]| {
        let joint = |weights: usize| Joint {
            order,
            weights: vec![0.0; weights],
            outputs: 1,
            reach: Vec::new(),
            observer: Observer::default(),
        };
        let all = errors.iter().map(|(error, weights)| (*error, 0.0, joint(*weights))).collect();
        smallest(all).map(|(error, _, joint)| (error, joint.weights.len()))
    };
    assert_eq!(tried(&[(1.0, 60), (1.019, 20), (1.021, 3), (1.015, 20), (1.01, 40)]), Some((1.015, 20)));
    assert_eq!(tried(&[(1.0, 60), (1.1, 20)]), Some((1.0, 60)), "more weights that are worth it");
    assert_eq!(tried(&[]), None);
}
