//! What a series to forecast knows ahead: something that is planned and acts through a lag, a
//! temperature that acts when it is cold or hot, another channel of the same site.
//!
//! Always true: only what is planned can be set by a person.

use super::super::draw::Draw;
use super::super::filters::Filter;
use super::super::run::Row;
use super::calendar::Calendar;
use super::load::sibling;
use super::weather::weather;

/// How a covariate acts on the series.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    /// In proportion.
    Straight,
    /// Below the first bound (heating) and above the second (cooling).
    Degrees(f64, f64),
    /// Not at all: it only shares causes.
    None,
}

/// One covariate with its memory.
#[derive(Clone, Debug)]
pub(super) struct Covariate {
    action: Action,
    gain: f64,
    filter: Filter,
}

impl Covariate {
    /// A random covariate with its row.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, calendar: &Calendar, site: &[f64]) -> (Self, Row) {
        let filter = Filter::lag(draw.log_uniform(1.0, 30.0));
        let gain = 0.7 * draw.normal();
        match draw.whole(0, 20) {
            0..7 => {
                let cold = draw.uniform(-1.5, 0.5);
                let action = Action::Degrees(cold, cold + draw.uniform(0.3, 2.5));
                let row = Row::given(weather(signals, calendar.day, site.len()));
                (Self { action, gain: gain.abs() + 0.2, filter }, row)
            }
            7..11 => {
                let row = Row::given(sibling(signals, calendar, site));
                (Self { action: Action::None, gain: 0.0, filter }, row)
            }
            _ => (Self { action: Action::Straight, gain, filter }, Row::free(signals, site.len())),
        }
    }

    /// What it adds to the series, after this value.
    pub(super) fn step(&mut self, value: f64) -> f64 {
        let felt = self.filter.step(value);
        let acting = match self.action {
            Action::Straight => felt,
            Action::Degrees(cold, hot) => (cold - felt).max(0.0) + (felt - hot).max(0.0),
            Action::None => 0.0,
        };
        self.gain * acting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heating_and_cooling_both_cost_and_mild_days_do_not() {
        let at = |temperature: f64| {
            let mut covariate = Covariate { action: Action::Degrees(-0.5, 0.5), gain: 1.0, filter: Filter::lag(2.0) };
            (0..200).fold(0.0, |_, _| covariate.step(temperature))
        };
        assert!(at(0.0).abs() < 1e-9);
        assert!((at(-1.5) - 1.0).abs() < 1e-6 && (at(2.0) - 1.5).abs() < 1e-6);
    }
}
