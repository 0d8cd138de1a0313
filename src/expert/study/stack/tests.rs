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
    Evidence::of(&tried(trials, lacking), EQUALLY, None).shares(&[])
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

/// How far the correlations of the bank and one member are shrunk in windows that begin so far apart.
fn shrunk(trials: &[Trial], apart: usize) -> f64 {
    let at = |(place, trial)| Tried { trial, origin: apart * place, lacking: 0.0 };
    let tried: Vec<Tried<'_>> = trials.iter().enumerate().map(at).collect();
    shrinkage(&tried, &[0, 1], |tried| {
        let mut products = Products::default();
        products.add(tried.trial, &tried.trial.members, 0..32, &[0, 1], EQUALLY, 1.0);
        products
    })
}

#[test]
fn what_few_windows_say_of_correlations_is_believed_less() {
    let of = |trials: &[Trial]| shrunk(trials, 32);
    let (few, many, odd) = (of(&alike(4, None)), of(&alike(200, None)), of(&alike(200, Some(9))));
    assert!(many < few && many < odd && odd < 1.0, "{few} {many} {odd}");
    assert_eq!(of(&alike(2, None)), 1.0, "of two windows nothing is known");
}

#[test]
fn windows_that_overlap_are_no_more_windows() {
    let trials = alike(16, Some(3));
    assert_eq!(shrunk(&trials, 32), shrunk(&trials, 64), "apart is apart");
    assert!(shrunk(&trials, 8) > 2.0 * shrunk(&trials, 32), "{} {}", shrunk(&trials, 8), shrunk(&trials, 32));
}

#[test]
fn what_came_since_counts_beside_what_was_learned() {
    // As learned the member is far better; since then it errs far more than the bank.
    let learned = Evidence::of(&tried(&vec![trial(0.5, 0.2); 40], 0.0), EQUALLY, None);
    let since = |windows: usize| learned.shares(&vec![trial(0.5, 2.0); windows]).at(8)[0];
    let before = learned.shares(&[]).at(8)[0];
    assert!(before > 0.8, "{before}");
    assert!(
        since(1) < before - 0.1 && since(4) < since(1) - 0.1 && since(8) < 0.3,
        "{} {} {}",
        since(1),
        since(4),
        since(8)
    );
    let confirmed = learned.shares(&vec![trial(0.5, 0.2); 8]).at(8)[0];
    assert!((confirmed - before).abs() < 0.02, "{confirmed} where {before} was learned");
}

#[test]
fn a_window_that_somebody_did_not_answer_tells_nothing() {
    let learned = Evidence::of(&tried(&vec![trial(0.5, 0.2); 40], 0.0), EQUALLY, None);
    let silent = Trial { members: Default::default(), ..trial(0.5, 0.2) };
    let short = Trial { bank: vec![9.0; 16], ..trial(0.5, 2.0) };
    assert_eq!(learned.shares(&[silent, short]), learned.shares(&[]));
}

#[test]
fn a_linear_equation_answers_alone_until_the_blend_is_worth_more() {
    let of = |bank: f64, member: f64| Evidence::of(&tried(&vec![trial(bank, member); 40], 0.0), EQUALLY, Some(0));
    let as_good = of(1.0, 0.1);
    assert_eq!(as_good.shares(&[]).at(8)[0], 1.0, "the bank has nothing to add");
    let worse = of(0.5, 0.5).shares(&[]);
    assert_eq!(worse, stacked(&vec![trial(0.5, 0.5); 40], 0.0), "two that err apart are better together");
    assert!(worse.at(20)[0] < 0.7, "{worse:?}");
    let worn = as_good.shares(&vec![trial(0.1, 1.0); 8]).at(8)[0];
    assert!(worn < 0.7, "what came since speaks against it: {worn}");
}
