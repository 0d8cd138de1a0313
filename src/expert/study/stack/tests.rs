use super::*;

const EQUALLY: [f64; MEMBERS] = [1.0; MEMBERS];

fn trial(bank: f64, member: f64) -> Trial {
    let truth: Vec<f64> = (0..32).map(|t| (0.4 * f64::from(t)).sin()).collect();
    let wrong = |by: f64, rate: f64| truth.iter().enumerate().map(|(t, v)| v + by * (rate * t as f64).cos()).collect();
    let members: [_; MEMBERS] = std::array::from_fn(|k| (k == 0).then(|| wrong(member, 2.3)));
    let learned = std::array::from_fn(|k| (k == 0).then(|| wrong(0.5 * member, 2.3)));
    Trial { bank: wrong(bank, 0.9), members, learned, truth }
}

/// Trials that follow each other, as what is judged alike.
fn tried(trials: &[Trial], lacking: f64) -> Vec<Tried<'_>> {
    trials.iter().enumerate().map(|(place, trial)| Tried { trial, origin: 32 * place, lacking }).collect()
}

fn stacked(trials: &[Trial], lacking: f64) -> Shares {
    Shares::stack(&tried(trials, lacking), EQUALLY)
}

#[test]
fn the_better_one_is_trusted_and_equals_share() {
    let clear = stacked(&[trial(1.0, 0.1)], 0.0);
    assert!(clear.at(4)[0] > 0.9, "{clear:?}");
    let equal = stacked(&[trial(0.5, 0.5)], 0.0);
    assert!((equal.at(20)[0] - 0.5).abs() < 0.1, "{equal:?}");
    let hopeless = stacked(&[trial(0.05, 2.0)], 0.0);
    assert!(hopeless.at(0)[0] < 0.05, "{hopeless:?}");
}

#[test]
fn who_gains_by_more_samples_is_trusted_more() {
    let trials = [trial(0.5, 0.5)];
    let share = |lacking: f64| stacked(&trials, lacking).at(20)[0];
    assert!(share(0.0) < share(0.4) && share(0.4) < share(0.8), "{} {} {}", share(0.0), share(0.4), share(0.8));
}

/// Two candidates that err alike, the member a little less, but for one window in which it errs far more.
fn alike(windows: usize, odd: Option<usize>) -> Vec<Trial> {
    let one = |window: usize| {
        let truth = vec![0.0; 32];
        let common: Vec<f64> = (0..32).map(|t| ((window * 32 + t) as f64 * 0.7).sin()).collect();
        let times = if odd == Some(window) { 4.0 } else { 0.8 };
        let member: Vec<f64> = common.iter().map(|v| times * v).collect();
        let members: [_; MEMBERS] = std::array::from_fn(|k| (k == 0).then(|| member.clone()));
        Trial { bank: common, learned: members.clone(), members, truth }
    };
    (0..windows).map(one).collect()
}

#[test]
fn what_few_windows_say_of_correlations_is_believed_less() {
    let of = |trials: &[Trial]| {
        let tried = tried(trials, 0.0);
        shrinkage(&tried, &[0, 1], |tried| {
            let mut products = Products::default();
            products.add(tried.trial, &tried.trial.members, 0..32, &[0, 1], EQUALLY, 1.0);
            products
        })
    };
    let (few, many, odd) = (of(&alike(4, None)), of(&alike(200, None)), of(&alike(200, Some(9))));
    assert!(many < few && many < odd && odd < 1.0, "{few} {many} {odd}");
    assert_eq!(of(&alike(2, None)), 1.0, "of two windows nothing is known");
}

#[test]
fn windows_that_overlap_are_no_more_windows() {
    let trials = alike(16, Some(3));
    let of = |apart: usize| {
        let tried: Vec<Tried<'_>> = trials
            .iter()
            .enumerate()
            .map(|(place, trial)| Tried { trial, origin: apart * place, lacking: 0.0 })
            .collect();
        Shares::stack(&tried, EQUALLY).at(8)[0]
    };
    assert_eq!(of(32), of(64));
    assert!(of(8) != of(32), "{} {}", of(8), of(32));
}

#[test]
fn optimism_is_what_knowing_the_answers_saves() {
    let mut twice = trial(1.0, 0.4);
    twice.truth[3] = f64::NAN;
    let measured = optimism(&tried(&[twice], 0.0));
    assert!((measured[0] - 4.0).abs() < 1e-9 && measured[1..].iter().all(|times| *times == 1.0), "{measured:?}");
}

#[test]
fn absent_members_and_gaps_count_for_nothing() {
    let mut gap = trial(1.0, 0.1);
    gap.truth[3] = f64::NAN;
    let shares = stacked(&[gap], 0.0).at(0);
    assert!(shares[0] > 0.8 && shares[1..].iter().all(|share| *share == 0.0), "{shares:?}");
    assert_eq!(stacked(&[], 0.0).at(5), [0.0; MEMBERS]);
}

#[test]
fn a_trial_without_a_member_that_later_ones_have_is_left_out() {
    let mut early = trial(1.0, 0.1);
    early.members[0] = None;
    let trials = [early, trial(0.1, 1.0), trial(0.1, 1.0)];
    assert_eq!(stacked(&trials, 0.0).at(0), stacked(&trials[1..], 0.0).at(0));
}
