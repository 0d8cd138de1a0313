//! Parts of classes in time, and which classifier may serve.

use super::*;

#[test]
fn parts_of_a_class_never_see_each_others_steps() {
    let steps: Vec<usize> = (100..600).chain(900..1_400).collect();
    let parts = in_time(&steps);
    assert_eq!(parts[0].first(), Some(&100));
    for pair in parts.windows(2) {
        assert!(pair[0].last().unwrap() + LOOK <= *pair[1].first().unwrap() + 1, "{pair:?}");
    }
    assert!(parts.iter().zip(MOST).all(|(part, most)| part.len() <= most && !part.is_empty()));
    assert!(in_time(&[]).iter().all(Vec::is_empty));
    assert!(in_time(&(0..60).collect::<Vec<_>>())[1].is_empty(), "nothing is left between the cuts");
}

fn cut() -> Cut {
    let part = |count: usize| (0..count).map(|k| (k, k % 2)).collect::<Vec<_>>();
    Cut {
        classes: vec!["well".into(), "ill".into()],
        left_out: vec!["dead".into()],
        known: Vec::new(),
        parts: [part(100), part(40), part(40)],
    }
}

#[test]
fn only_a_classifier_that_is_better_than_luck_replaces_another() {
    let cut = cut();
    let truths: Vec<usize> = cut.parts[2].iter().map(|(_, class)| *class).collect();
    let sure = |certainty: f64| -> Vec<Vec<f64>> {
        let row = |truth: &usize| {
            if *truth == 0 { vec![certainty, 1.0 - certainty] } else { vec![1.0 - certainty, certainty] }
        };
        truths.iter().map(row).collect()
    };
    let first = judge(&cut, &truths, &sure(0.9), None, 1);
    assert!(first.improved && first.reason.contains("accuracy 100.0 %"), "{}", first.reason);
    assert_eq!(first.left_out, ["dead"]);
    assert!(judge(&cut, &truths, &sure(0.9), Some(&sure(0.7)), 1).improved);
    let same = judge(&cut, &truths, &sure(0.9), Some(&sure(0.9)), 1);
    assert!(!same.improved && same.reason.contains("by more than luck"), "{}", same.reason);
    let useless = judge(&cut, &truths, &sure(0.4), None, 1);
    assert!(!useless.improved && useless.reason.contains("commonest class"), "{}", useless.reason);
}
