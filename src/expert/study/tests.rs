use super::super::Bank;
use super::*;

/// A filter, a saturation and another filter, driven by steps of an input; the second output follows
/// the first.
struct Plant {
    input: Vec<Vec<f64>>,
    outputs: [Vec<f64>; 2],
}

fn plant(steps: usize) -> Plant {
    let mut word = 7_u32;
    let (mut u, mut x, mut y, mut z) = (0.0, 0.0, 0.0, 0.0);
    let mut plant = Plant { input: vec![Vec::new()], outputs: [Vec::new(), Vec::new()] };
    for t in 0..steps {
        if t % 7 == 0 {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u = f64::from(word >> 8) / f64::from(1 << 23) - 1.0;
        }
        x = 0.6 * x + 0.4 * u;
        y = 0.8 * y + 0.2 * (4.0 * x).tanh().max(-0.2);
        z = 0.9 * z + 0.1 * y;
        plant.input[0].push(40.0 + 10.0 * u);
        plant.outputs[0].push(300.0 + 5.0 * y);
        plant.outputs[1].push(z);
    }
    plant
}

fn learned(plant: &Plant, until: usize) -> Studies {
    let others = [plant.outputs[1][..until].to_vec()];
    let history = History {
        target: &plant.outputs[0][..until],
        inputs: &plant.input,
        others: &others,
        starts: &[0],
        silent: &[],
    };
    let aim = Aim { horizon: 32, validation: until * 3 / 4, judging: until, ..Aim::default() };
    Studies::learn(&[history], &aim).remove(0).expect("there is enough to learn from")
}

/// The bank of the newest samples before `origin`, alone or with a study; its answer and the truth in
/// the target's unit.
fn answer(
    plant: &Plant,
    study: Option<&Arc<Study>>,
    origin: usize,
    steps: usize,
    push: Option<usize>,
) -> (Vec<f64>, Vec<f64>) {
    answer_of(plant, study.map(|study| (study, 64)), origin, steps, push)
}

/// The same by a study that has not learned from so many of the newest samples.
fn answer_of(
    plant: &Plant,
    study: Option<(&Arc<Study>, usize)>,
    origin: usize,
    steps: usize,
    push: Option<usize>,
) -> (Vec<f64>, Vec<f64>) {
    let from = origin - 600;
    let scale = |row: &[f64]| Scale::of(&row[from..origin], None);
    let scales = (scale(&plant.outputs[0]), [scale(&plant.input[0])], [scale(&plant.outputs[1])]);
    let row = |row: &[f64], scale: &Scale, from: usize, to: usize| {
        row[from..to].iter().map(|v| scale.input(*v)).collect::<Vec<f64>>()
    };
    let target: Vec<f64> = plant.outputs[0][from..origin].iter().map(|v| scales.0.target(*v)).collect();
    let (inputs, others) =
        ([row(&plant.input[0], &scales.1[0], from, origin)], [row(&plant.outputs[1], &scales.2[0], from, origin)]);
    let history = History { target: &target, inputs: &inputs, others: &others, starts: &[0], silent: &[] };
    let seen = study.and_then(|(study, unseen)| study.seen(scales.0, &scales.1, &scales.2, unseen));
    assert_eq!(seen.is_some(), study.is_some());
    let bank = Bank::fit_with(&history, steps, 600, seen.as_ref());
    let mut future = row(&plant.input[0], &scales.1[0], origin, origin + steps);
    for value in future.iter_mut().skip(push.unwrap_or(steps)) {
        *value += 1.0;
    }
    let said = bank.forecast(&history, &[future]).mean.into_iter().map(|v| scales.0.undo(v)).collect();
    (said, plant.outputs[0][origin..origin + steps].to_vec())
}

fn error(plant: &Plant, study: Option<&Arc<Study>>, until: usize) -> f64 {
    let squares: Vec<f64> = (until..until + 400)
        .step_by(40)
        .flat_map(|origin| {
            let (said, truth) = answer(plant, study, origin, 32, None);
            said.into_iter().zip(truth).map(|(a, b)| (a - b).powi(2)).collect::<Vec<_>>()
        })
        .collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

fn weighed(plant: &Plant, until: usize) -> Studies {
    let mut studies = learned(plant, until);
    let trials: Vec<(usize, Trial)> = (until * 3 / 4..until - 32)
        .step_by(50)
        .map(|origin| {
            let study = studies.blind_to(origin);
            let (bank, truth) = answer(plant, None, origin, 32, None);
            let mut trusted = (**study).clone();
            trusted.evidence = Evidence::of_one(0, 32);
            let (curved, _) = answer(plant, Some(&Arc::new(trusted)), origin, 32, None);
            let members: [_; MEMBERS] = std::array::from_fn(|k| (k == 0).then(|| curved.clone()));
            (origin, Trial { bank, learned: members.clone(), members, truth })
        })
        .collect();
    studies.weigh(&trials);
    studies
}

#[test]
fn a_saturation_between_two_filters_is_learned_and_trusted() {
    let plant = plant(2_600);
    let studies = weighed(&plant, 2_000);
    assert!(studies.whole().shares()[0] > 0.7, "{:?}", studies.whole().shares());
    let (alone, with) = (error(&plant, None, 2_000), error(&plant, Some(studies.whole()), 2_000));
    let known: Vec<f64> = (0..2).map(|block| studies.whole().errors[block]).collect();
    assert!(known.iter().all(|error| (0.5 * with..2.0 * with).contains(error)), "{known:?} is known, {with} came");
    assert!(with < 0.8 * alone, "{with} of the study, {alone} of the bank alone");
}

#[test]
fn a_study_answers_no_later_input_and_equal_futures_alike() {
    let plant = plant(1_900);
    let study = weighed(&plant, 1_600).whole().clone();
    let base = answer(&plant, Some(&study), 1_700, 32, None).0;
    let pushed = answer(&plant, Some(&study), 1_700, 32, Some(20)).0;
    assert_eq!(base, answer(&plant, Some(&study), 1_700, 32, None).0);
    assert_eq!(base[..20], pushed[..20]);
    assert!(pushed[31] > base[31], "more input is more output");
}

#[test]
fn learning_twice_gives_the_same_study() {
    let plant = plant(1_600);
    let (one, other) = (learned(&plant, 1_600), learned(&plant, 1_600));
    let said = |studies: &Studies| {
        let mut trusted = (**studies.whole()).clone();
        trusted.evidence = Evidence::of_one(0, 32);
        answer(&plant, Some(&Arc::new(trusted)), 1_500, 32, None).0
    };
    assert_eq!(said(&one), said(&other));
}

#[test]
fn every_stretch_has_a_study_that_is_blind_to_it() {
    let plant = plant(1_600);
    let studies = learned(&plant, 1_600);
    let at = |step: usize| Arc::as_ptr(studies.blind_to(step));
    let bounds = [0, 200, 400, 600, 800, 1_000, 1_200, 1_600];
    for pair in bounds.windows(2) {
        assert_eq!(at(pair[0]), at(pair[1] - 1), "{pair:?}");
        assert_eq!(studies.learned_before(pair[1] - 1), pair[0].checked_sub(1), "{pair:?}");
    }
    assert_eq!(at(1_600), Arc::as_ptr(studies.whole()));
    assert_eq!(studies.learned_before(1_700), Some(1_599));
    let mut all = bounds.map(at).to_vec();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), bounds.len(), "one for every stretch, and one that knows everything");
}

#[test]
fn a_plant_that_has_changed_since_is_seen_to_have() {
    let mut plant = plant(3_000);
    let study = weighed(&plant, 2_000).whole().clone();
    plant.outputs[0][2_000..].iter_mut().for_each(|value| *value = 300.0 + 2.0 * (*value - 300.0));
    let error = |unseen: usize| {
        let squares = (2_600..2_960).step_by(40).flat_map(|origin| {
            let (said, truth) = answer_of(&plant, Some((&study, unseen)), origin, 32, None);
            said.into_iter().zip(truth).map(|(a, b)| (a - b).powi(2)).collect::<Vec<_>>()
        });
        squares.sum::<f64>()
    };
    let (anew, learned) = (error(600), error(16));
    assert!(anew < 0.98 * learned, "{anew} when compared anew, {learned} as learned");
}

#[test]
fn a_map_from_lags_keeps_constants_and_continues_cycles() {
    let wave = |phase: f64| -> Vec<f64> {
        (0..1_400)
            .map(|t| {
                20.0 + (f64::from(t) / 24.0 * std::f64::consts::TAU + phase).sin()
                    + 0.1 * (0.7 * f64::from(t * t % 97)).cos()
            })
            .collect()
    };
    let rows = [wave(0.0), wave(1.0)];
    let histories =
        rows.each_ref().map(|row| History { target: row, inputs: &[], others: &[], starts: &[0], silent: &[] });
    let studies: Vec<Studies> =
        Studies::learn(&histories, &Aim { horizon: 24, validation: 1_000, judging: 1_400, ..Aim::default() })
            .into_iter()
            .map(|s| s.expect("long enough"))
            .collect();
    let pooled = studies[0].whole().pooled.as_ref().expect("no inputs");
    let still = pooled.answer(&vec![0.7; pooled.lags()], 24);
    assert!(still.iter().all(|value| (value - 0.7).abs() < 1e-4), "{still:?}");
    let scale = studies[0].whole().target;
    let newest: Vec<f64> = rows[0][1_300 - pooled.lags()..1_300].iter().map(|v| scale.target(*v)).collect();
    let worst = pooled
        .answer(&newest, 24)
        .iter()
        .zip(&rows[0][1_300..])
        .map(|(said, truth)| (scale.undo(*said) - truth).abs())
        .fold(0.0, f64::max);
    assert!(worst < 0.25, "{worst}");
}

#[test]
fn too_little_teaches_nothing_and_hostile_values_do_no_harm() {
    let short = plant(60);
    let history = History { target: &short.outputs[0], inputs: &short.input, others: &[], starts: &[0], silent: &[] };
    assert!(
        Studies::learn(&[history], &Aim { horizon: 32, validation: 40, judging: 60, ..Aim::default() })[0].is_none()
    );
    let still = vec![5.0; 1_600];
    let inputs = [vec![1.0; 1_600]];
    let history = History { target: &still, inputs: &inputs, others: &[], starts: &[0, 800], silent: &[] };
    if let Some(studies) =
        &Studies::learn(&[history], &Aim { horizon: 32, validation: 1_200, judging: 1_600, ..Aim::default() })[0]
    {
        let scale = studies.whole().target;
        let seen = studies.whole().seen(scale, &studies.whole().inputs, &[], 0).expect("the same signals");
        let rows = [vec![0.0; 300]];
        let history = History { target: &[0.0; 300], inputs: &rows, others: &[], starts: &[0], silent: &[] };
        let bank = Bank::fit_with(&history, 32, 300, Some(&seen));
        assert!(bank.forecast(&history, &[vec![9.0; 32]]).mean.iter().all(|v| v.is_finite()));
    }
}
