//! What must hold of the engine whatever it is given: a number that is none never comes out, and
//! one caller's bad window never spoils another's answer.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::engine::{Config, Engine, EngineError, HeadArtefact};
use super::window::{CONTEXT, Window};
use super::{Base, BaseChoice, artefact, digest};
use crate::clock::Clock;
use crate::ids::ModelId;

const FUTURE: usize = 32;

/// One engine for all cases, and a runtime to ask it from.
static ENGINE: LazyLock<(Engine, tokio::runtime::Runtime)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    (Engine::start(&Config { model_inbox: 64 }).expect("the shipped weights load"), runtime)
});

fn healthy(phase: u8) -> Window {
    let wave = |step: usize| ((step + usize::from(phase)) as f32 * 0.07).sin();
    let row = |length: usize| (0..length).map(wave).collect::<Vec<_>>();
    Window {
        context: CONTEXT,
        future: FUTURE,
        target: row(CONTEXT),
        known: vec![1.0; CONTEXT],
        bank: row(CONTEXT + FUTURE),
        spread: vec![0.1; CONTEXT + FUTURE],
        inputs: vec![row(CONTEXT + FUTURE); 2],
        restart: None,
        scale: 0.2,
    }
}

/// Puts `value` somewhere into a window.
fn poison(window: &mut Window, field: u8, at: usize, value: f32) {
    let row = match field % 6 {
        0 => &mut window.target,
        1 => &mut window.known,
        2 => &mut window.bank,
        3 => &mut window.spread,
        4 => &mut window.inputs[at % 2],
        _ => {
            window.scale = value;
            return;
        }
    };
    let length = row.len();
    row[at % length] = value;
}

/// One at least of each: what is no number at all, and what is one but overflows on the way.
fn unusable() -> impl Strategy<Value = f32> {
    prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(f32::MAX), Just(f32::MIN)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_bad_window_gives_no_answer_or_a_finite_one_and_its_neighbour_is_answered(
        field in any::<u8>(), at in any::<usize>(), value in unusable(), phase in any::<u8>(),
    ) {
        let (engine, runtime) = &*ENGINE;
        let mut bad = healthy(phase);
        poison(&mut bad, field, at, value);
        let base = BaseChoice::default();
        let (bad, good) = runtime.block_on(async {
            tokio::join!(engine.answer(&base, vec![bad], None), engine.answer(&base, vec![healthy(phase)], None))
        });
        let finite = |answer: &[super::Quantiles]| answer.iter().flatten().flatten().all(|value| value.is_finite());
        match bad {
            Ok(answer) => prop_assert!(value.is_finite() && finite(&answer)),
            Err(error) => prop_assert!(matches!(error, EngineError::NotFinite), "{}", error),
        }
        prop_assert!(finite(&good.expect("a healthy window is answered")));
    }
}

#[test]
fn weights_that_overflow_give_an_error_and_no_number() {
    let (engine, runtime) = &*ENGINE;
    let base = Base::shipped().expect("the shipped weights load");
    let head = base.fresh_head();
    tch::no_grad(|| {
        for (name, mut variable) in head.store().variables() {
            if name == "out.weight" {
                let _ = variable.fill_(f64::from(f32::MAX));
            }
        }
    });
    let weights = artefact::save(&[("head", head.store())]);
    let sha256 = digest(&weights).to_vec();
    let head = Arc::new(HeadArtefact { id: ModelId::mint(&Clock::system()), weights, sha256 });
    let answer = runtime.block_on(engine.answer(&BaseChoice::default(), vec![healthy(0)], Some(head)));
    assert!(matches!(answer, Err(EngineError::NotFinite)), "{answer:?}");
}
