//! The numpy prototype's own numbers for the shared plant: every expert to six digits; weights and
//! back-tests nearly, since the direct expert's truncated fits use other rows here.

use super::{Owned, plant};
use crate::expert::{Bank, Expert};

fn near(answer: f64, truth: f64, tolerance: f64) {
    assert!((answer - truth).abs() < tolerance, "{answer} is not {truth}");
}

/// Steps 1, 8 and the last of each expert's answer.
fn compare(answers: &[(Expert, Vec<f64>)], expected: &[(Expert, [f64; 3])]) {
    for (expert, values) in expected {
        let (_, answer) = answers.iter().find(|(e, _)| e == expert).expect("the prototype fitted this expert");
        for (i, value) in [0, 7, answer.len() - 1].into_iter().zip(values) {
            near(answer[i], *value, 1e-6);
        }
    }
    let with_persistence = expected.len() + 1;
    assert_eq!(answers.len(), with_persistence);
}

fn weight(bank: &Bank, expert: Expert) -> f64 {
    let found = bank.weights().iter().find(|(e, _)| *e == expert);
    found.map_or(0.0, |(_, w)| *w)
}

#[test]
fn with_inputs_the_experts_answer_as_in_the_prototype() {
    let owned = plant(320, 7, None);
    let (past, future) = (owned.until(288), owned.future(288, 32));
    let bank = Bank::fit(&past, 32);
    compare(
        &bank.answers(&past, &future),
        &[
            (Expert::ArxShort, [-0.738_088_745_5, -0.298_183_306_3, 0.288_792_436_9]),
            (Expert::ArxLong, [-0.731_416_404_1, -0.293_010_224_8, 0.283_151_496_3]),
            (Expert::Direct, [-0.794_029_087_9, -0.287_685_475_6, 0.347_760_049_9]),
            (Expert::Season, [-0.073_014_441_4, -0.310_652_737_5, 0.354_801_320_6]),
        ],
    );
    let outlook = bank.forecast(&past, &future);
    for (i, value) in [(0, -0.759_411_597_1), (7, -0.292_378_628_3), (31, 0.311_750_294_8)] {
        near(outlook.mean[i], value, 0.02);
    }
    near(outlook.disagreement[0], 0.030_213, 0.01);
    near(bank.scale(), 0.069_441_547, 0.01);
    near(weight(&bank, Expert::ArxShort), 0.3055, 0.06);
    near(weight(&bank, Expert::Direct), 0.4158, 0.06);
    let traces = bank.traces();
    assert_eq!(traces.len(), 2);
    assert_eq!((traces[0].start_back, traces[1].start_back), (56, 32));
    assert_eq!(traces[1].values.len(), 32);
    near(traces[0].values[0], -0.846_876_99, 0.05);
    near(traces[1].values[31], -0.891_419_13, 0.05);
}

#[test]
fn without_inputs_the_experts_answer_as_in_the_prototype() {
    let owned = Owned { inputs: Vec::new(), ..plant(348, 11, Some(24.0)) };
    let past = owned.until(300);
    let bank = Bank::fit(&past, 48);
    compare(
        &bank.answers(&past, &[]),
        &[
            (Expert::ArxShort, [-0.850_056_199_5, -1.106_211_103_3, -0.415_616_718_4]),
            (Expert::ArxLong, [-0.849_636_594_5, -1.100_093_293_9, 0.059_771_399_3]),
            (Expert::Direct, [-0.725_442_945_9, -0.356_747_106_9, -0.074_868_565_5]),
            (Expert::Season, [-0.799_136_334_6, -1.815_364_142_3, 0.341_585_173_9]),
        ],
    );
    near(bank.scale(), 0.561_059_334, 0.01);
    near(weight(&bank, Expert::ArxLong), 0.3459, 0.02);
    near(weight(&bank, Expert::Season), 0.2888, 0.02);
}

#[test]
fn after_a_restart_the_experts_answer_as_in_the_prototype() {
    let owned = Owned { starts: vec![0, 160], ..plant(228, 5, None) };
    let (past, future) = (owned.until(164), owned.future(164, 64));
    let bank = Bank::fit(&past, 64);
    compare(
        &bank.answers(&past, &future),
        &[
            (Expert::ArxShort, [1.095_981_315_5, 1.346_662_884_3, -0.418_572_573_8]),
            (Expert::ArxLong, [1.053_356_384_9, 1.159_208_095_9, -0.333_703_202_1]),
            (Expert::Direct, [1.940_305_520_9, 1.688_450_048_5, -0.616_942_592]),
        ],
    );
    near(bank.scale(), 0.240_566_382, 0.01);
    near(weight(&bank, Expert::ArxShort), 0.9176, 0.05);
    let [trace] = bank.traces() else { panic!("one replayed restart") };
    assert_eq!((trace.start_back, trace.values.len()), (56, 52));
    near(trace.values[0], -0.722_354_87, 0.05);
    near(trace.values[51], 0.869_604_03, 0.05);
}
