//! Slow degradation of a plant: the gain of its first input fades, it leaks, or it becomes sluggish.
//!
//! Always true: before the onset a worn plant is exactly the new one, and its damage only grows.

use super::draw::Draw;

/// How far a plant is from new, at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Condition {
    /// What is left of the effect of the first input; 1 when new.
    pub(super) gain: f64,
    /// What is left of the speed of all that moves; 1 when new.
    pub(super) pace: f64,
    /// Share that leaks; 0 when new.
    pub(super) leak: f64,
}

impl Condition {
    pub(super) const NEW: Self = Self { gain: 1.0, pace: 1.0, leak: 0.0 };
}

/// What a step's health label says; the discriminants are the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// As new, or too little damage to see.
    Healthy = 0,
    /// The first input has lost part of its effect.
    WeakInput = 1,
    /// Something leaks: a tank, the insulation, the charge.
    Leaking = 2,
    /// Time constants have grown.
    Sluggish = 3,
}

/// Damage below this share is still labelled healthy.
const VISIBLE: f64 = 0.05;

/// One kind of damage that grows from an onset to the end of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wear {
    kind: Health,
    onset: usize,
    end: usize,
    /// Share lost (or leaking) at the end.
    full: f64,
    /// 1 grows steadily, more grows late.
    power: f64,
}

impl Wear {
    /// Random wear over `total` steps of the kinds that the plant knows.
    pub(super) fn draw(draw: &mut Draw, total: usize, leaks: bool, slows: bool) -> Self {
        let mut kinds = vec![Health::WeakInput];
        if leaks {
            kinds.push(Health::Leaking);
        }
        if slows {
            kinds.push(Health::Sluggish);
        }
        Self {
            kind: draw.pick(&kinds),
            onset: draw.whole(total / 10, (7 * total / 10).max(1)),
            end: total,
            full: draw.uniform(0.15, 0.6),
            power: draw.log_uniform(0.5, 3.0),
        }
    }

    /// The condition at simulated step `t`.
    pub(super) fn at(&self, t: usize) -> Condition {
        let damage = self.damage(t);
        let mut condition = Condition::NEW;
        match self.kind {
            Health::Healthy => {}
            Health::WeakInput => condition.gain = 1.0 - damage,
            Health::Leaking => condition.leak = damage,
            Health::Sluggish => condition.pace = 1.0 - damage,
        }
        condition
    }

    /// The label at simulated step `t`.
    pub(super) fn label(&self, t: usize) -> Health {
        if self.damage(t) > VISIBLE { self.kind } else { Health::Healthy }
    }

    fn damage(&self, t: usize) -> f64 {
        if t <= self.onset {
            return 0.0;
        }
        let share = (t - self.onset) as f64 / (self.end.max(self.onset + 1) - self.onset) as f64;
        self.full * share.min(1.0).powf(self.power)
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    #[test]
    fn damage_starts_at_nothing_and_only_grows() {
        for index in 0..50 {
            let mut draw = Draw::new(3, index, 0, Purpose::System);
            let wear = Wear::draw(&mut draw, 1_000, true, true);
            assert_eq!(wear.at(0), Condition::NEW);
            assert!((1..1_000).all(|t| wear.damage(t) >= wear.damage(t - 1)));
            assert_ne!(wear.label(999), Health::Healthy);
        }
    }
}
