//! One to three tanks in series: gravity outflow `k x^e` (Torricelli: e = 1/2), overflow of an upper
//! tank partly into the next one, and a level sensor with an offset on the last.
//!
//! Contents are counted in the level of the last tank, so what leaves one tank arrives in the
//! next undiminished and areas need no parameters. Source of the overflow: the Cascaded Tanks benchmark.

use super::coordinate::Parameter;
use super::evidence::Evidence;
use super::law::{Hidden, Law, ORDER};

/// Explicit steps per sample.
const SUBSTEPS: u32 = 2;

/// First guess of the last tank's capacity, as a multiple of the highest content: where readings
/// pile up at the highest value, and where nothing shows an end.
const BRIM: f64 = 1.06;
const UNSEEN: f64 = 3.0;
const OUTFLOW: [&str; ORDER] = ["outflow_1", "outflow_2", "outflow_3"];
const EXPONENT: [&str; ORDER] = ["exponent_1", "exponent_2", "exponent_3"];
const CAPACITY: [&str; ORDER] = ["capacity_1", "capacity_2", "capacity_3"];
/// Parameters that each tank has.
const PER_TANK: usize = 3;

/// One tank.
#[derive(Clone, Copy, Debug)]
struct Tank {
    outflow: f64,
    exponent: f64,
    capacity: f64,
}

impl Tank {
    /// What leaves in one sample at this content.
    fn leaving(&self, content: f64) -> f64 {
        self.outflow * content.powf(self.exponent)
    }

    /// The content at which so much leaves.
    fn content(&self, leaving: f64) -> f64 {
        (leaving / self.outflow).powf(1.0 / self.exponent).min(self.capacity)
    }
}

/// Tanks in series with their parameters set.
#[derive(Debug)]
pub(super) struct Tanks {
    line: Vec<Tank>,
    share: f64,
    offset: f64,
    base: f64,
    gains: Vec<f64>,
}

impl Tanks {
    /// The names of the parameters that are not gains.
    pub(super) fn names(count: usize) -> impl Iterator<Item = &'static str> {
        let per_tank = [OUTFLOW, EXPONENT, CAPACITY].into_iter().flat_map(move |names| names.into_iter().take(count));
        let share = (count > 1).then_some("overflow_share");
        per_tank.chain(share).chain(["offset", "base_inflow"])
    }

    /// First guesses: `pace` is the time constant of one tank in samples, `room` the capacity of the upper
    /// tanks as a multiple of the highest content of the last.
    pub(super) fn guesses(count: usize, evidence: &Evidence, pace: f64, room: f64) -> Vec<Parameter> {
        let target = evidence.target_statistics();
        let span = target.high - target.low;
        let offset = if target.low >= 0.0 && target.low < 0.5 * target.high { 0.0 } else { target.low - 0.1 * span };
        let content = (target.mean - offset).max(0.05 * span);
        let outflow = content.sqrt() / (0.5 * pace);
        let throughput = outflow * content.sqrt();
        let highest = target.high - offset;
        let mut guesses: Vec<Parameter> = Vec::new();
        guesses.extend((0..count).map(|_| Parameter::positive(outflow)));
        guesses.extend((0..count).map(|_| Parameter::between(0.2, 0.9, 0.5)));
        guesses.extend((1..count).map(|_| Parameter::positive(room * highest)));
        let full = if evidence.limits().1.is_some() { BRIM } else { UNSEEN };
        guesses.push(Parameter::positive(full * highest));
        if count > 1 {
            guesses.push(Parameter::between(0.0, 1.0, 0.5));
        }
        guesses.push(Parameter::signed(offset, 0.3 * span));
        guesses.push(Parameter::signed(0.0, throughput));
        let inputs = evidence.input_statistics();
        let fair = throughput / inputs.len().max(1) as f64;
        guesses.extend(inputs.iter().map(|input| {
            let step = fair / input.deviation.max(0.2 * input.mean.abs());
            let guess = if input.mean.abs() > 0.2 * input.deviation { fair / input.mean } else { 0.2 * step };
            Parameter::signed(guess, step)
        }));
        guesses
    }

    /// The law with these parameters, in the order of [`Self::guesses`].
    pub(super) fn new(count: usize, values: &[f64]) -> Self {
        let tank = |i: usize| Tank { outflow: values[i], exponent: values[count + i], capacity: values[2 * count + i] };
        // A tank alone has no next one that an overflow could share in.
        let (share, rest) = values[PER_TANK * count..].split_at(usize::from(count > 1));
        Self {
            line: (0..count).map(tank).collect(),
            share: share.first().copied().unwrap_or(0.0),
            offset: rest[0],
            base: rest[1],
            gains: rest[2..].to_vec(),
        }
    }
}

impl Law for Tanks {
    fn order(&self) -> usize {
        self.line.len()
    }

    fn advance(&self, state: &mut Hidden, inputs: &[f64]) {
        let driven: f64 = self.gains.iter().zip(inputs).map(|(gain, input)| gain * input).sum();
        let part = 1.0 / f64::from(SUBSTEPS);
        let inflow = (self.base + driven).max(0.0) * part;
        for _ in 0..SUBSTEPS {
            let mut into = inflow;
            for (tank, content) in self.line.iter().zip(state.iter_mut()) {
                let held = content.clamp(0.0, tank.capacity);
                let out = (tank.leaving(held) * part).min(held + into);
                let filled = held + into - out;
                *content = filled.min(tank.capacity);
                into = out + self.share * (filled - *content);
            }
        }
    }

    fn shown(&self) -> usize {
        self.line.len() - 1
    }

    fn read(&self, state: &Hidden) -> f64 {
        state[self.shown()] + self.offset
    }

    fn rest(&self, reading: f64) -> Hidden {
        let shown = self.shown();
        let last = self.line[shown];
        let content = (reading - self.offset).clamp(0.0, last.capacity);
        let flow = last.leaving(content);
        let mut state = [0.0; ORDER];
        for (content, tank) in state.iter_mut().zip(&self.line) {
            *content = tank.content(flow);
        }
        state[shown] = content;
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Tanks {
        Tanks::new(2, &[0.2, 0.3, 0.5, 0.5, 4.0, 9.0, 0.5, 1.0, 0.0, 0.1])
    }

    #[test]
    fn at_rest_nothing_moves() {
        let tanks = two();
        let mut state = tanks.rest(2.5);
        let flow = 0.3 * 1.5_f64.sqrt();
        assert!((tanks.read(&state) - 2.5).abs() < 1e-12);
        tanks.advance(&mut state, &[flow / 0.1]);
        assert!((tanks.read(&state) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn what_overflows_goes_on_by_its_share() {
        let tanks = two();
        let mut state = [4.0, 1.0, 0.0];
        let leaves = 0.2 * 2.0;
        tanks.advance(&mut state, &[(leaves + 1.0) / 0.1]);
        assert!((state[0] - 4.0).abs() < 1e-12);
        let expected = 1.0 + leaves + 0.5 - 0.3 * 1.2_f64;
        assert!((state[1] - expected).abs() < 0.05, "{state:?}");
    }
}
