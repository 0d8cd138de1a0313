use super::*;

fn trial(answers: &[(Expert, f64)], truth: f64) -> Trial {
    Trial { start_back: 20, answers: answers.iter().map(|&(e, v)| (e, vec![v; 20])).collect(), truth: vec![truth; 20] }
}

#[test]
fn a_season_that_explains_as_much_as_the_inputs_does_not_dilute_them() {
    assert!((input_share(1.0) - INPUT_SHARE_AT_PAR).abs() < 1e-12);
    assert!((input_share(0.2) - INPUT_SHARE_AT_PAR).abs() < 1e-12);
    assert!((input_share(100.0) - INPUT_SHARE).abs() < 1e-12);
    assert!(input_share(2.0) > 0.75);
    assert!((input_share(f64::INFINITY) - INPUT_SHARE).abs() < 1e-12);
}

#[test]
fn the_input_path_is_kept_however_badly_it_did() {
    let members = [Expert::ArxShort, Expert::Direct, Expert::Season];
    let answers = [(Expert::ArxShort, 9.0), (Expert::Direct, f64::NAN), (Expert::Season, 1.0)];
    let trials = [trial(&answers, 1.0)];
    let kept = weights(&members, &trials, true).own;
    assert!((kept[0].1 + kept[1].1 - 0.5).abs() < 1e-12);
    let free = weights(&members, &trials, false).own;
    assert!(free[2].1 > 0.999);
}

#[test]
fn half_the_error_weighs_sixteen_times_as_much() {
    let members = [Expert::ArxShort, Expert::ArxLong];
    let answers = [(Expert::ArxShort, 2.0), (Expert::ArxLong, 4.0)];
    let kept = weights(&members, &[trial(&answers, 0.0)], true).own;
    assert!((kept[0].1 / kept[1].1 - 16.0).abs() < 0.01);
}

#[test]
fn blocks_beyond_the_back_test_repeat_the_last_one() {
    let answers = [(Expert::Persistence, 1.5)];
    let trials = [trial(&answers, 1.0)];
    let verdict = judge(weights(&[Expert::Persistence], &trials, false), &trials, 64, None);
    assert_eq!(verdict.blocks.len(), 4);
    assert!(verdict.blocks.iter().all(|b| (b - 0.5).abs() < 1e-12));
    assert!((verdict.scale - 0.5).abs() < 1e-12);
}

#[test]
fn the_newest_windows_that_were_not_learned_from_are_compared() {
    let (target, input) = ([0.0; 900], [0.0; 900]);
    let context = |inputs: usize| Context {
        target: &target,
        inputs: vec![&input; inputs],
        others: Vec::new(),
        segments: vec![(0, 500), (500, 900)],
    };
    let (short, long) = (1_000, 4_000);
    assert_eq!(newest(&context(1), 64, 100, long), [836, 804]);
    assert_eq!(newest(&context(1), 64, 63, long), [0; 0], "not one of them is whole");
    assert_eq!(newest(&context(1), 64, 900, long).len(), 8);
    assert_eq!(newest(&context(1), 128, 900, long + 96), [772, 708, 644, 580], "none before the restart");
    assert_eq!(newest(&context(0), 64, 900, long), [0; 0]);
    assert_eq!(newest(&context(1), 64, 288, short), [836, 804, 772, 740, 708, 676, 644, 612]);
    assert_eq!(newest(&context(1), 64, 287, short), [0; 0], "a few say too little beside a short past");
}
