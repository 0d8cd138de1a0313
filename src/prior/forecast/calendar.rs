//! Days, weekends and holidays of a series whose step is a fraction of a day.

use super::super::draw::Draw;

/// Steps of a day: hourly data most often, then quarters, halves and tenths of an hour.
const DAYS: [usize; 8] = [24, 24, 24, 24, 48, 96, 96, 144];

/// What kind of day it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Day {
    Work,
    Saturday,
    /// Sunday or a holiday.
    Sunday,
}

/// Which step lies where in the day and the week.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// Steps in a day.
    pub(super) day: usize,
    /// Step of the day at which the series begins.
    first: usize,
    kinds: Vec<Day>,
}

impl Calendar {
    /// A random calendar that covers `steps` steps: three of four have weekends, 40 % holidays.
    pub(super) fn draw(draw: &mut Draw, steps: usize) -> Self {
        let day = draw.pick(&DAYS);
        let (first, weekday) = (draw.whole(0, day), draw.whole(0, 7));
        let weekends = draw.chance(0.75);
        let count = (first + steps) / day + 1;
        let mut kinds: Vec<Day> = (weekday..weekday + count)
            .map(|day| match day % 7 {
                5 if weekends => Day::Saturday,
                6 if weekends => Day::Sunday,
                _ => Day::Work,
            })
            .collect();
        if draw.chance(0.4) {
            let odds = draw.uniform(0.005, 0.05);
            for kind in &mut kinds {
                if draw.chance(odds) {
                    *kind = Day::Sunday;
                }
            }
        }
        if draw.chance(0.1) {
            // A shut-down between the years.
            let (from, length) = (draw.whole(0, count), draw.whole(3, 12));
            kinds.iter_mut().skip(from).take(length).for_each(|kind| *kind = Day::Sunday);
        }
        Self { day, first, kinds }
    }

    /// Step of the day, from 0.
    pub(super) fn step_of_day(&self, t: usize) -> usize {
        (self.first + t) % self.day
    }

    /// Which day it is, counted from the first.
    pub(super) fn day_of(&self, t: usize) -> usize {
        (self.first + t) / self.day
    }

    /// What kind of day it is.
    pub(super) fn kind(&self, t: usize) -> Day {
        self.kinds.get(self.day_of(t)).copied().unwrap_or(Day::Work)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::Purpose;
    use super::*;

    #[test]
    fn holidays_are_extra_sundays_and_days_do_not_change_in_the_middle() {
        let mut extra = 0;
        for index in 0..100 {
            let mut draw = Draw::new(1, index, 0, Purpose::System);
            let calendar = Calendar::draw(&mut draw, 2_000);
            for t in 1..2_000 {
                if calendar.step_of_day(t) != 0 {
                    assert_eq!(calendar.kind(t), calendar.kind(t - 1));
                }
            }
            let sundays = calendar.kinds.iter().filter(|kind| **kind == Day::Sunday).count();
            extra += usize::from(sundays > calendar.kinds.len().div_ceil(7));
        }
        assert!((10..60).contains(&extra), "{extra} of 100 calendars have holidays");
    }
}
