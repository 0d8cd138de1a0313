//! What stands between the true output and the record: scale, unmeasured disturbance, noise,
//! quantisation, and now and then a fault.
//!
//! Always true: one sensor reads both futures of a pair with the same noise and the same scale, so
//! that their difference is the plant's alone; readings are finite.

use super::draw::Draw;
use super::signals::{coloured, moments};

/// Share of records with sensor noise at all (prototype `batch`).
const NOISY: f64 = 0.85;
/// Share of records with quantised readings.
const QUANTISED: f64 = 0.15;
/// Bound of a reading, in deviations; a plant that leaves it is drawn anew.
const LIMIT: f64 = 60.0;

/// What a step's fault label says; the discriminants are the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The reading is as good as the sensor.
    Fine = 0,
    /// The reading repeats an old one.
    Stuck = 1,
    /// The reading has wandered off.
    Drifting = 2,
    /// A single reading far off.
    Spike = 3,
    /// There was no reading: the value repeats the last good one, and is to be masked.
    Missing = 4,
}

/// One sensor for one record.
#[derive(Clone, Debug)]
pub(super) struct Sensor {
    mean: f64,
    scale: f64,
    /// Added to the truth in deviations: disturbance first, then noise.
    disturbance: Vec<f64>,
    noise: Vec<f64>,
    noise_size: f64,
    quantum: Option<f64>,
    fault: Option<FaultPlan>,
}

/// What a record asks of its sensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Noise; a series to forecast brings its own.
    pub(super) noisy: bool,
    /// A slow unmeasured disturbance on the output.
    pub(super) disturbed: bool,
    pub(super) faulty: bool,
}

impl Sensor {
    /// A sensor scaled to `output` (which becomes mean 0, deviation 1).
    pub(super) fn draw(draw: &mut Draw, output: &[f64], order: Order) -> Self {
        let steps = output.len();
        let (mean, deviation) = moments(output);
        let disturbance = if order.disturbed {
            let (size, memory) = (draw.log_uniform(0.02, 0.3), draw.log_uniform(5.0, 200.0));
            let wave = coloured(draw, steps, memory);
            wave.into_iter().map(|v| size * v).collect()
        } else {
            vec![0.0; steps]
        };
        let noise_size = if order.noisy && draw.chance(NOISY) { draw.log_uniform(0.001, 0.15) } else { 0.0 };
        let noise =
            if noise_size > 0.0 { (0..steps).map(|_| noise_size * draw.normal()).collect() } else { vec![0.0; steps] };
        let quantum = draw.chance(QUANTISED).then(|| draw.log_uniform(0.005, 0.1));
        let fault = order.faulty.then(|| FaultPlan::draw(draw, steps));
        Self { mean, scale: 1.0 / deviation.max(1e-9), disturbance, noise, noise_size, quantum, fault }
    }

    /// Whether an output is worth recording: finite, within bounds, and still moving in its second
    /// half (a plant that has gone silent teaches nothing).
    pub(super) fn accepts(&self, output: &[f64]) -> bool {
        let bounded = output.iter().all(|v| ((v - self.mean) * self.scale).abs() < LIMIT);
        let (_, late) = moments(&output[output.len() / 2..]);
        bounded && (output.len() < 64 || late * self.scale > 0.02)
    }

    /// The readings and the truth behind them (with the disturbance, without the sensor), both in
    /// deviations.
    pub(super) fn read(&self, output: &[f64]) -> (Vec<f32>, Vec<f32>) {
        let tame = |v: f64| {
            if v.is_finite() { v.clamp(-LIMIT, LIMIT) } else { 0.0 }
        };
        let truth: Vec<f64> =
            output.iter().zip(&self.disturbance).map(|(v, d)| tame((v - self.mean) * self.scale) + d).collect();
        let mut readings: Vec<f64> = truth
            .iter()
            .zip(&self.noise)
            .map(|(v, e)| {
                let seen = v + e;
                self.quantum.map_or(seen, |q| (seen / q).round() * q)
            })
            .collect();
        if let Some(fault) = &self.fault {
            fault.apply(&mut readings);
        }
        let narrow = |x: Vec<f64>| x.into_iter().map(|v| v as f32).collect();
        (narrow(readings), narrow(truth))
    }

    /// Deviation of the noise, in deviations of the truth.
    pub(super) fn noise(&self) -> f64 {
        self.noise_size
    }

    /// What readings are rounded to, in deviations of the truth.
    pub(super) fn quantum(&self) -> Option<f64> {
        self.quantum
    }

    /// One label per step, where there is a fault at all.
    pub(super) fn labels(&self) -> Option<Vec<u8>> {
        self.fault.as_ref().map(FaultPlan::labels)
    }
}

/// Where a sensor fails, and how.
#[derive(Clone, Debug)]
struct FaultPlan {
    kind: Fault,
    steps: usize,
    /// First step, length, size in deviations; in order of time.
    spans: Vec<(usize, usize, f64)>,
}

impl FaultPlan {
    fn draw(draw: &mut Draw, steps: usize) -> Self {
        let kinds = [Fault::Stuck, Fault::Drifting, Fault::Spike, Fault::Missing];
        let kind = draw.pick(&kinds);
        let count = match kind {
            Fault::Fine | Fault::Drifting => 1,
            Fault::Stuck => draw.whole(1, 4),
            Fault::Spike | Fault::Missing => draw.whole(1, 16),
        };
        let mut spans: Vec<(usize, usize, f64)> = (0..count)
            .map(|_| {
                let from = draw.whole(1, steps);
                let length = match kind {
                    Fault::Fine | Fault::Spike => 1,
                    Fault::Stuck => draw.whole(8, 200),
                    Fault::Drifting => draw.whole(steps / 8, steps / 2 + 1),
                    Fault::Missing => draw.whole(1, 40),
                };
                let size =
                    draw.sign() * if kind == Fault::Spike { draw.uniform(2.0, 8.0) } else { draw.uniform(0.5, 3.0) };
                (from, length.max(1), size)
            })
            .collect();
        spans.sort_by_key(|span| span.0);
        Self { kind, steps, spans }
    }

    fn apply(&self, readings: &mut [f64]) {
        for &(from, length, size) in &self.spans {
            let last_good = readings.get(from.saturating_sub(1)).copied();
            for (k, value) in readings.iter_mut().skip(from).take(length).enumerate() {
                match self.kind {
                    Fault::Fine => {}
                    Fault::Stuck | Fault::Missing => *value = last_good.unwrap_or(*value),
                    Fault::Drifting => *value += size * (k + 1) as f64 / length as f64,
                    Fault::Spike => *value += size,
                }
            }
        }
    }

    fn labels(&self) -> Vec<u8> {
        let mut labels = vec![Fault::Fine as u8; self.steps];
        for &(from, length, _) in &self.spans {
            for label in labels.iter_mut().skip(from).take(length) {
                *label = self.kind as u8;
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    #[test]
    fn readings_are_the_truth_with_the_noise_and_the_steps_that_are_named() {
        let output: Vec<f64> = (0..4_000).map(|t| (f64::from(t) / 40.0).sin()).collect();
        let order = Order { noisy: true, disturbed: false, faulty: false };
        for index in 0..60 {
            let sensor = Sensor::draw(&mut Draw::new(25, index, 0, Purpose::Sensor), &output, order);
            let (readings, truth) = sensor.read(&output);
            let errors: Vec<f64> = readings.iter().zip(&truth).map(|(r, t)| f64::from(r - t)).collect();
            let (_, deviation) = moments(&errors);
            // Rounding adds a twelfth of the step's square (less where steps dwarf the noise).
            let rounding = sensor.quantum().unwrap_or(0.0).powi(2) / 12.0;
            let wanted = (sensor.noise().powi(2) + rounding).sqrt();
            assert!((deviation - wanted).abs() < 0.1 * wanted + 1e-6, "{index}: {deviation} for {wanted}");
            assert!(sensor.noise() == 0.0 || (0.001..0.15).contains(&sensor.noise()));
            if let Some(quantum) = sensor.quantum() {
                let whole = |v: &f32| (f64::from(*v) / quantum - (f64::from(*v) / quantum).round()).abs() < 1e-3;
                assert!(readings.iter().all(whole), "{index}");
            }
        }
    }

    #[test]
    fn every_fault_does_what_its_label_says() {
        let clean: Vec<f64> = (0..200).map(f64::from).collect();
        let shown = |kind| {
            let mut readings = clean.clone();
            FaultPlan { kind, steps: 200, spans: vec![(50, 20, 3.0)] }.apply(&mut readings);
            assert_eq!(readings[..50], clean[..50]);
            assert_eq!(readings[70..], clean[70..]);
            readings
        };
        for kind in [Fault::Stuck, Fault::Missing] {
            assert!(shown(kind)[50..70].iter().all(|v| *v == 49.0), "the last good one is repeated");
        }
        let drifting = shown(Fault::Drifting);
        assert!(drifting[50] < clean[50] + 0.2 && (drifting[69] - clean[69] - 3.0).abs() < 1e-9);
        assert!((shown(Fault::Spike)[50] - clean[50] - 3.0).abs() < 1e-9);
    }
}
