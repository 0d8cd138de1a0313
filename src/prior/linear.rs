//! Wiener-Hammerstein plants: per input a nonlinearity, a dead time, up to three linear filters with
//! perhaps another nonlinearity between them, and a gain; the branches add up, perhaps bent.
//!
//! Always true: every filter is stable with gain 1, and what goes into an inner nonlinearity has
//! about mean 0 and deviation 1, because the chain was calibrated on its own inputs once.

use super::draw::Draw;
use super::filters::{DeadTime, Filter, Shape};
use super::run::{Row, Step, System};
use super::signals::moments;
use super::wear::Condition;

/// The sum of some branches, one per input.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    branches: Vec<Branch>,
    output: f64,
}

impl Blocks {
    /// A random plant for these inputs.
    pub(super) fn draw(draw: &mut Draw, rows: &[Row]) -> Self {
        let branches = rows.iter().map(|row| Branch::draw(draw, &row.values));
        Self { branches: branches.collect(), output: 0.0 }
    }
}

impl System for Blocks {
    const SLOWS: bool = false;

    fn restart(&mut self, weather: &mut Draw) {
        for branch in &mut self.branches {
            for stage in &mut branch.stages {
                stage.filter.rest_at(weather.normal());
            }
        }
    }

    fn output(&self) -> f64 {
        self.output
    }

    fn advance(&mut self, inputs: &Step, _: Condition, _: &mut Draw) {
        self.output = self.branches.iter_mut().zip(inputs).map(|(branch, input)| branch.step(*input)).sum();
    }
}

/// Takes off a mean and a deviation that were measured once.
#[derive(Clone, Copy, Debug)]
struct Level {
    mean: f64,
    scale: f64,
}

impl Level {
    fn of(values: &[f64]) -> Self {
        let (mean, deviation) = moments(values);
        Self { mean, scale: 1.0 / (deviation + 1e-3) }
    }

    fn apply(self, x: f64) -> f64 {
        (x - self.mean) * self.scale
    }
}

#[derive(Clone, Debug)]
struct Stage {
    filter: Filter,
    bend: Option<(Level, Shape)>,
}

impl Stage {
    fn step(&mut self, x: f64) -> f64 {
        let y = self.filter.step(x);
        match self.bend {
            Some((level, shape)) => shape.of(level.apply(y)),
            None => y,
        }
    }
}

#[derive(Clone, Debug)]
struct Branch {
    entry: Shape,
    dead_time: DeadTime,
    stages: Vec<Stage>,
    level: Level,
    gain: f64,
    exit: Shape,
}

impl Branch {
    fn draw(draw: &mut Draw, input: &[f64]) -> Self {
        let entry = Shape::draw(draw);
        let count = draw.whole(1, 4);
        let dead_time = if draw.chance(0.4) { draw.log_uniform(1.0, 30.0) as usize - 1 } else { 0 };
        let mut signal: Vec<f64> = input.iter().map(|v| entry.of(*v)).collect();
        let mut stages = Vec::with_capacity(count);
        for _ in 0..count {
            let filter = draw_filter(draw, count == 1);
            let bent = draw.chance(0.2).then(|| Shape::draw(draw));
            let mut stage = Stage { filter, bend: None };
            let mut trial = stage.clone();
            for v in &mut signal {
                *v = trial.step(*v);
            }
            if let Some(shape) = bent {
                let level = Level::of(&signal);
                for v in &mut signal {
                    *v = shape.of(level.apply(*v));
                }
                stage.bend = Some((level, shape));
            }
            stages.push(stage);
        }
        Self {
            entry,
            dead_time: DeadTime::new(dead_time),
            stages,
            level: Level::of(&signal),
            gain: draw.sign() * draw.log_uniform(0.3, 1.5),
            exit: if draw.chance(0.4) { Shape::draw(draw) } else { Shape::Straight },
        }
    }

    fn step(&mut self, input: f64) -> f64 {
        let delayed = self.dead_time.step(self.entry.of(input));
        let filtered = self.stages.iter_mut().fold(delayed, |x, stage| stage.step(x));
        self.exit.of(self.gain * self.level.apply(filtered))
    }
}

/// A lag, sometimes a lead-lag; a resonance in 30 % of the longer chains.
fn draw_filter(draw: &mut Draw, alone: bool) -> Filter {
    if alone || draw.chance(0.7) {
        let steps = draw.log_uniform(1.5, 200.0);
        if draw.chance(0.2) { Filter::lead_lag(steps) } else { Filter::lag(steps) }
    } else {
        Filter::resonance(draw.log_uniform(6.0, 300.0), draw.uniform(0.05, 0.9))
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    #[test]
    fn nothing_answers_before_its_dead_time_and_everything_settles() {
        let mut delayed = 0;
        for index in 0..200 {
            let mut draw = Draw::new(21, index, 0, Purpose::System);
            let input: Vec<f64> = (0..600).map(|_| draw.normal()).collect();
            let branch = Branch::draw(&mut draw, &input);
            let wait = branch.dead_time.steps();
            let (mut still, mut moved) = (branch.clone(), branch);
            let gaps: Vec<f64> = (0..3_000)
                .map(|t| {
                    let input = if t == 0 { 0.0 } else { 0.8 };
                    (still.step(0.0) - moved.step(input)).abs()
                })
                .collect();
            assert!(gaps[..=wait].iter().all(|gap| *gap == 0.0), "branch {index} answers too early");
            assert!((gaps[2_999] - gaps[2_900]).abs() < 1e-3, "branch {index} does not settle");
            delayed += usize::from(wait > 0);
        }
        assert!((40..110).contains(&delayed), "{delayed} of 200 have a dead time");
    }
}
