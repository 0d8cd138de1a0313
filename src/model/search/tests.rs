//! What a search draws, and how far each candidate goes.

use serde_json::json;

use super::*;

fn recipe(given: &Value) -> Recipe {
    Recipe::parse(given.as_object().unwrap()).unwrap()
}

fn refused(given: &Value) -> Vec<String> {
    let invalid = Recipe::parse(given.as_object().unwrap()).unwrap_err();
    invalid.into_iter().map(|invalid| invalid.pointer).collect()
}

fn drawn(given: &Value) -> Vec<Recipe> {
    let recipe = recipe(given);
    recipe.search.clone().unwrap().candidates(&recipe)
}

#[test]
fn a_third_of_each_rung_goes_on_three_times_as_far() {
    let plan = |search: Search, recipe: &Recipe| {
        let rungs = search.plan(recipe, search.candidates as usize);
        rungs.into_iter().map(|rung| (rung.candidates, rung.steps)).collect::<Vec<_>>()
    };
    let usual = Recipe::default();
    assert_eq!(plan(Search::default(), &usual), [(9, 40), (3, 100)]);
    let wide = Search { candidates: 64, eta: 2, ..Search::default() };
    assert_eq!(plan(wide, &usual), [(64, 20), (32, 40), (16, 60), (8, 80), (4, 100), (2, 160)]);
    assert_eq!(plan(Search { candidates: 4, eta: 4, ..Search::default() }, &usual), [(4, 80)]);
    assert_eq!(plan(Search { candidates: 5, eta: 2, ..Search::default() }, &usual), [(5, 80), (2, 160)]);
    assert_eq!(plan(Search { rungs: Some(1), ..Search::default() }, &usual), [(9, 40)]);
    let short = Recipe { max_steps: 30, ..Recipe::default() };
    assert_eq!(plan(Search::default(), &short), [(9, 20), (3, 30)], "never beyond the last step");
}

#[test]
fn the_seed_decides_what_is_drawn() {
    let search = json!({"search": {"candidates": 12}});
    assert_eq!(drawn(&search), drawn(&search));
    let other = drawn(&json!({"search": {"candidates": 12}, "seed": 5}));
    let rates = |all: &[Recipe]| all.iter().map(|one| one.learning_rate).collect::<Vec<_>>();
    assert_ne!(rates(&drawn(&search)), rates(&other));
}

#[test]
fn the_recipe_as_asked_for_begins_and_the_others_lie_in_their_ranges() {
    let all = drawn(&json!({"search": {"candidates": 64}, "synthetic": 0.6}));
    assert_eq!(all.len(), 64);
    for (candidate, rate) in all.iter().zip(LEARNING_RATES) {
        let asked = Recipe { learning_rate: Some(rate), synthetic: 0.6, ..Recipe::default() };
        assert_eq!(*candidate, asked);
    }
    for candidate in &all {
        assert_eq!(candidate.invalid(), [], "{candidate:?}");
        assert!((1e-4..=3e-3).contains(&candidate.learning_rate.unwrap()));
        assert!((1e-3..=0.3).contains(&candidate.l2) && (1e-5..=0.1).contains(&candidate.l2_sp));
        assert!(DROPOUTS.contains(&candidate.dropout) && [0.0, 0.15, 0.3].contains(&candidate.replay));
        let read: Recipe = serde_json::from_str(&serde_json::to_string(candidate).unwrap()).unwrap();
        assert_eq!(read, *candidate, "a version's recipe is read as it was written");
    }
    let rates = drawn(&json!({"search": {"candidates": 64}, "optimizer": "sgd"}));
    assert!(rates[2..].iter().all(|candidate| (1e-2..=0.3).contains(&candidate.learning_rate.unwrap())));
}

#[test]
fn a_setting_that_a_person_set_stays_and_moves_no_other() {
    let (free, fixed) = (drawn(&json!({"search": {}})), drawn(&json!({"search": {}, "l2": 0.5})));
    assert!(fixed.iter().all(|candidate| candidate.l2 == 0.5));
    assert!(free[2..].iter().all(|candidate| candidate.l2 != 0.5));
    let but_l2 = |all: Vec<Recipe>| all.into_iter().map(|one| Recipe { l2: 0.0, ..one }).collect::<Vec<_>>();
    assert_eq!(but_l2(free), but_l2(fixed));
    let rate = drawn(&json!({"search": {}, "learning_rate": 2e-3}));
    assert!(rate.iter().all(|candidate| candidate.learning_rate == Some(2e-3)));
    assert_ne!(rate[1].l2, rate[0].l2, "one candidate as asked for, not two");
    // Named, a setting is searched from the value that the recipe gives.
    let named = drawn(&json!({"search": {"settings": ["dropout"]}, "dropout": 0.9, "learning_rate": 1e-3}));
    assert!(named[0].dropout == 0.9 && named[1..].iter().all(|one| one.dropout < 0.9 && one.l2 == named[0].l2));
}

#[test]
fn what_learns_is_searched_where_the_recipe_leaves_it_out() {
    let policies = |given: &Value| drawn(given).into_iter().map(|one| one.freeze).collect::<Vec<_>>();
    let open = policies(&json!({"search": {"candidates": 64}}));
    assert_eq!(open[..2], [None, None], "the recipe as it was asked for");
    for policy in POLICIES {
        assert!(open[2..].contains(&Some(policy)), "{policy:?}");
    }
    assert!(!open.contains(&Some(Freeze::All)));
    assert_eq!(open, policies(&json!({"search": {"candidates": 64, "budget_s": 600}})));
    let fixed = policies(&json!({"search": {"candidates": 64}, "freeze": "last_block"}));
    assert!(fixed.iter().all(|one| *one == Some(Freeze::LastBlock)));
    let large = policies(&json!({"search": {"candidates": 64}, "batch": 512}));
    assert!(large[2..].iter().all(|one| matches!(one, Some(Freeze::Head | Freeze::Decoder))));
}

#[test]
fn a_search_from_before_there_was_a_choice_is_repeated() {
    let settings = json!(["learning_rate", "l2", "l2_sp", "dropout", "replay"]);
    let without = drawn(&json!({"search": {"candidates": 16, "settings": settings}}));
    assert!(without.iter().all(|one| one.freeze.is_none()));
    let with = drawn(&json!({"search": {"candidates": 16}}));
    let but_freeze = |all: Vec<Recipe>| all.into_iter().map(|one| Recipe { freeze: None, ..one }).collect::<Vec<_>>();
    assert_eq!(but_freeze(with), without);
    let old = json!({"learning_rate": 1e-3, "l2": 0.0, "l2_sp": 0.0, "dropout": 0.0, "replay": 0.0});
    assert_eq!(serde_json::from_value::<SearchSettings>(old).unwrap().freeze, Freeze::Decoder);
}

#[test]
fn a_job_remembers_what_was_left_out_when_its_recipe_is_whole() {
    let asked = recipe(&json!({"search": {}, "replay": 0.3, "learning_rate": null}));
    let wanted = [Searched::LearningRate, Searched::L2, Searched::L2Sp, Searched::Dropout, Searched::Freeze];
    assert_eq!(asked.search.as_ref().unwrap().settings.as_deref(), Some(&wanted[..]));
    let whole = serde_json::to_value(&asked).unwrap();
    assert_eq!(serde_json::from_value::<Recipe>(whole.clone()).unwrap(), asked);
    assert_eq!(recipe(&whole), asked, "asked for again");
}

#[test]
fn every_wrong_setting_of_a_search_is_pointed_to() {
    let wrong = json!({"search": {"budget_s": 0.4, "candidates": 3, "eta": 5, "rungs": 0}});
    assert_eq!(refused(&wrong), ["/search/budget_s", "/search/candidates", "/search/eta", "/search/rungs"]);
    let nothing = json!({"learning_rate": 1e-3, "l2": 0, "l2_sp": 0, "dropout": 0, "replay": 0, "freeze": "head",
        "search": {}});
    assert_eq!(refused(&nothing), ["/search"]);
    assert_eq!(refused(&json!({"search": {"colour": 1}})), ["/search"]);
    assert_eq!(refused(&json!({"search": {"settings": ["momentum"]}})), ["/search"]);
    assert!(recipe(&json!({"search": null})).search.is_none());
}
