//! Readings of plants whose parameters are known: they come back, and the state is found again.

use super::{Dice, fitted, readings};
use crate::expert::template::{Fitted, Record, Template};

fn parameter(fitted: &Fitted, name: &str) -> f64 {
    fitted.parameters().into_iter().find(|(n, _)| *n == name).expect("the template has it").1
}

/// The parameter values that a search found are near the truth, each within its tolerance (relative,
/// or absolute where the truth is 0).
fn near(fitted: &Fitted, expected: &[(&str, f64, f64)]) {
    for &(name, truth, tolerance) in expected {
        let found = parameter(fitted, name);
        let allowed = if truth == 0.0 { tolerance } else { tolerance * truth.abs() };
        assert!((found - truth).abs() <= allowed, "{name}: {found} instead of {truth}; {:?}", fitted.parameters());
    }
}

#[test]
fn a_tank_is_recovered() {
    let inputs = [Dice(5).steps(500, 25.0, 0.0, 5.0)];
    let truth = [0.1, 0.5, 30.0, 0.3, 0.0, 0.06];
    let target = readings(Template::Tank1, &truth, &inputs, 3.0, 0.01);
    let fitted = fitted(Template::Tank1, &target, &inputs);
    assert!(fitted.error() < 0.02, "{}", fitted.error());
    near(&fitted, &[("gain", 0.06, 0.1), ("exponent_1", 0.5, 0.15), ("outflow_1", 0.1, 0.15)]);
}

#[test]
fn two_tanks_are_recovered_with_their_overflow() {
    let inputs = [Dice(3).steps(700, 40.0, 0.5, 6.0)];
    let truth = [0.06, 0.07, 0.5, 0.5, 7.0, 12.0, 0.5, 0.2, 0.0, 0.045];
    let target = readings(Template::Tanks2, &truth, &inputs, 4.0, 0.01);
    let fitted = fitted(Template::Tanks2, &target, &inputs);
    assert!(fitted.error() < 0.05, "{}", fitted.error());
    near(&fitted, &[("capacity_1", 7.0, 0.25), ("gain", 0.045, 0.2), ("overflow_share", 0.5, 0.3)]);
}

#[test]
fn three_tanks_are_followed() {
    let inputs = [Dice(4).steps(300, 25.0, 0.5, 5.0)];
    let truth = [0.12, 0.1, 0.11, 0.5, 0.5, 0.5, 20.0, 20.0, 20.0, 0.5, 0.0, 0.0, 0.05];
    let target = readings(Template::Tanks3, &truth, &inputs, 3.0, 0.01);
    let fitted = fitted(Template::Tanks3, &target, &inputs);
    assert!(fitted.error() < 0.05, "{}", fitted.error());
}

#[test]
fn a_zone_is_recovered() {
    let outdoor: Vec<f64> = (0..800).map(|t| 5.0 + 6.0 * (0.065 * f64::from(t)).sin()).collect();
    let inputs = [Dice(6).steps(800, 20.0, 0.0, 3.0), outdoor];
    let truth = [0.2, 0.03, 0.01, 0.05, 0.25];
    let target = readings(Template::Zone2r2c, &truth, &inputs, 18.0, 0.02);
    let fitted = fitted(Template::Zone2r2c, &target, &inputs);
    assert!(fitted.error() < 0.03, "{}", fitted.error());
    near(
        &fitted,
        &[("air_rate", 0.2, 0.1), ("gain", 0.25, 0.05), ("mass_rate", 0.03, 0.15), ("outdoor_rate", 0.01, 0.15)],
    );
}

#[test]
fn a_dead_time_is_recovered() {
    let inputs = [Dice(8).steps(500, 15.0, -1.0, 1.0), Dice(9).steps(500, 15.0, 0.0, 2.0)];
    let truth = [9.0, 12.5, 40.0, 3.0, -2.0];
    let target = readings(Template::FirstOrderDeadTime, &truth, &inputs, 40.0, 0.05);
    let fitted = fitted(Template::FirstOrderDeadTime, &target, &inputs);
    near(&fitted, &[("time_constant", 9.0, 0.03), ("dead_time", 12.5, 0.02), ("offset", 40.0, 0.01)]);
    let gains: Vec<f64> = fitted.parameters().into_iter().filter(|(n, _)| *n == "gain").map(|(_, v)| v).collect();
    assert!((gains[0] - 3.0).abs() < 0.05 && (gains[1] + 2.0).abs() < 0.05, "{gains:?}");
}

#[test]
fn a_swing_is_recovered() {
    let inputs = [Dice(10).steps(500, 15.0, -1.0, 1.0)];
    let target = readings(Template::SecondOrder, &[0.3, 0.2, 1.0, 2.0], &inputs, 1.0, 0.02);
    let fitted = fitted(Template::SecondOrder, &target, &inputs);
    near(&fitted, &[("frequency", 0.3, 0.02), ("damping", 0.2, 0.05), ("offset", 1.0, 0.05), ("gain", 2.0, 0.03)]);
}

#[test]
fn a_motor_is_recovered_with_its_friction() {
    let inputs = [Dice(11).steps(600, 15.0, -12.0, 12.0), Dice(12).steps(600, 30.0, 0.0, 1.0)];
    let truth = [2.0, 1.5, 0.1, 1.5, -2.0];
    let target = readings(Template::DcMotor, &truth, &inputs, 0.0, 0.2);
    let fitted = fitted(Template::DcMotor, &target, &inputs);
    near(&fitted, &[("back_emf", 0.1, 0.03), ("inertia", 1.5, 0.05), ("friction", 1.5, 0.1), ("gain", -2.0, 0.1)]);
}

#[test]
fn the_state_is_found_from_four_readings_and_answers_what_follows() {
    let inputs = [Dice(3).steps(900, 40.0, 0.5, 6.0)];
    let truth = [0.06, 0.07, 0.5, 0.5, 7.0, 12.0, 0.5, 0.2, 0.0, 0.045];
    let target = readings(Template::Tanks2, &truth, &inputs, 4.0, 0.01);
    let known = [inputs[0][..700].to_vec()];
    let fitted = fitted(Template::Tanks2, &target[..700], &known);
    let recent = [inputs[0][700..704].to_vec()];
    let state = fitted.stand(&Record { target: &target[700..704], inputs: &recent, starts: &[0], range: None });
    let answer = fitted.answer(&state, &[inputs[0][704..].to_vec()], 196);
    let error = answer.iter().zip(&target[704..]).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 196.0;
    assert!(error.sqrt() < 0.3, "{}", error.sqrt());
}

#[test]
fn a_reading_error_that_stays_is_carried_on() {
    let inputs = [Dice(13).steps(600, 15.0, -1.0, 1.0)];
    let mut target = readings(Template::SecondOrder, &[0.3, 0.7, 1.0, 2.0], &inputs, 1.0, 0.01);
    // A slow wave that no input explains: a good state estimate follows it for a while.
    for (t, value) in target.iter_mut().enumerate() {
        *value += 0.5 * (0.02 * t as f64).sin();
    }
    let fitted = fitted(Template::SecondOrder, &target[..500], &[inputs[0][..500].to_vec()]);
    let mut sum = 0.0;
    for origin in (500..590).step_by(10) {
        let past = [inputs[0][..origin].to_vec()];
        let state = fitted.stand(&Record { target: &target[..origin], inputs: &past, starts: &[0], range: None });
        let answer = fitted.answer(&state, &[inputs[0][origin..].to_vec()], 8);
        sum += answer.iter().zip(&target[origin..]).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 8.0;
    }
    assert!((sum / 9.0).sqrt() < 0.5 * fitted.error(), "{} {}", (sum / 9.0).sqrt(), fitted.error());
}

#[test]
fn missing_readings_and_restarts_do_not_disturb_the_fit() {
    let inputs = [Dice(14).steps(600, 15.0, -1.0, 1.0)];
    let truth = [9.0, 3.0, 40.0, 3.0];
    let mut target = readings(Template::FirstOrderDeadTime, &truth, &inputs, 40.0, 0.02);
    target[50..90].fill(f64::NAN);
    target.iter_mut().step_by(7).for_each(|v| *v = f64::NAN);
    let record = Record { target: &target, inputs: &inputs, starts: &[0, 200, 201, 430], range: Some((0.0, 100.0)) };
    let fitted = Fitted::fit(Template::FirstOrderDeadTime, &record, 32).expect("there is enough left");
    near(&fitted, &[("time_constant", 9.0, 0.05), ("dead_time", 3.0, 0.1), ("gain", 3.0, 0.05)]);
}

#[test]
fn a_sensor_at_its_end_stays_there() {
    let inputs = [Dice(15).steps(600, 30.0, 0.0, 5.0)];
    let truth = [0.1, 0.5, 60.0, 0.0, 0.0, 0.08];
    let mut target = readings(Template::Tank1, &truth, &inputs, 3.0, 0.0);
    let highest = 6.0;
    target.iter_mut().for_each(|v| *v = v.min(highest));
    let fitted = fitted(Template::Tank1, &target, &inputs);
    assert!(fitted.error() < 0.1, "{}", fitted.error());
    let state = fitted.stand(&Record { target: &target, inputs: &inputs, starts: &[0], range: None });
    let answer = fitted.answer(&state, &[vec![5.0; 300]], 300);
    assert_eq!(answer[299], highest);
}

#[test]
fn a_fit_survives_its_store() {
    let inputs = [Dice(10).steps(300, 15.0, -1.0, 1.0)];
    let target = readings(Template::SecondOrder, &[0.3, 0.2, 1.0, 2.0], &inputs, 1.0, 0.02);
    let fitted = fitted(Template::SecondOrder, &target, &inputs);
    let text = serde_json::to_string(&fitted).expect("numbers are finite");
    let back: Fitted = serde_json::from_str(&text).expect("it was written by us");
    assert_eq!(back.template(), Template::SecondOrder);
    for ((name, a), (_, b)) in fitted.parameters().into_iter().zip(back.parameters()) {
        assert!((a - b).abs() <= 1e-12 * a.abs(), "{name}");
    }
}
