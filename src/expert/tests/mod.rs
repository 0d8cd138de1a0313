//! The bank as a whole: against the prototype's numbers, and what must hold for any history.

mod laws;
mod oracle;

/// A history that owns its rows.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) target: Vec<f64>,
    pub(super) inputs: Vec<Vec<f64>>,
    pub(super) starts: Vec<usize>,
}

impl Owned {
    pub(super) fn until(&self, end: usize) -> super::History<'_> {
        super::History {
            target: &self.target[..end],
            inputs: &self.inputs,
            others: &[],
            starts: &self.starts,
            silent: &[],
        }
    }

    pub(super) fn future(&self, from: usize, steps: usize) -> Vec<Vec<f64>> {
        self.inputs.iter().map(|row| row[from..from + steps].to_vec()).collect()
    }
}

/// A two-input plant with a saturating middle, the same in every language: its noise comes from
/// the C library's classic linear congruential generator. `period` adds a sine.
pub(super) fn plant(length: usize, seed: u64, period: Option<f64>) -> Owned {
    let mut state = seed;
    let mut noise = move || {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        state as f64 / f64::from(1_u32 << 31)
    };
    let (mut level, mut slow, mut fast) = (0.0, 0.0, 0.0);
    let mut owned = Owned { target: Vec::with_capacity(length), inputs: vec![Vec::new(); 2], starts: vec![0] };
    for t in 0..length {
        if t % 13 == 0 {
            level = 2.0 * noise() - 1.0;
        }
        let wave = (0.07 * t as f64).sin() + 0.6 * (noise() - 0.5);
        slow = 0.9 * slow + 0.1 * (1.2 * level - 0.7 * wave);
        fast = 0.7 * fast + 0.3 * f64::tanh(2.0 * slow);
        let season = period.map_or(0.0, |p| 0.8 * (2.0 * std::f64::consts::PI * t as f64 / p).sin());
        owned.target.push(fast + 0.1 * (noise() - 0.5) + season);
        owned.inputs[0].push(level);
        owned.inputs[1].push(wave);
    }
    owned
}
