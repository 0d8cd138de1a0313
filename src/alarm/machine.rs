//! How a rule goes from inactive through pending to active and back. Pure.
//!
//! Event time decides: evidence older than what was seen changes nothing. A condition must hold for
//! the rule's duration before the alarm is raised (on-delay), and the value must come back inside the
//! limit by the deadband before it clears (hysteresis), as ISA-18.2 and IEC 62682 have it; so a
//! value that trembles at the limit raises one alarm, not many.

use chrono::{DateTime, TimeDelta, Utc};

use super::rule::Condition;

/// What of a rule decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// What is watched for.
    pub condition: Condition,
    /// In the unit of the signal, for rates per second.
    pub limit: f64,
    /// How far inside the limit counts as over; not negative.
    pub deadband: f64,
    /// How long the condition must hold; not negative.
    pub hold: TimeDelta,
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// All is well.
    #[default]
    Inactive,
    /// The condition holds since an instant, not yet for long enough.
    Pending(DateTime<Utc>),
    /// Its alarm is active.
    Active,
}

/// What a rule remembers from one evaluation to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Where it stands.
    pub phase: Phase,
    /// Event time of the newest evidence.
    pub seen_at: Option<DateTime<Utc>>,
    /// The newest good value and its instant.
    pub last: Option<(DateTime<Utc>, f64)>,
}

/// What a piece of evidence says about the condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Its event time.
    pub at: DateTime<Utc>,
    /// The condition holds.
    pub breach: bool,
    /// It is over, by the deadband. Never together with `breach`.
    pub normal: bool,
    /// What was compared.
    pub value: f64,
}

/// A change that people hear of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The alarm is raised.
    Raised {
        /// Event time.
        at: DateTime<Utc>,
        /// What was compared.
        value: f64,
    },
    /// The alarm clears.
    Cleared {
        /// Event time.
        at: DateTime<Utc>,
        /// What was compared.
        value: f64,
    },
}

impl Memory {
    /// Takes in one judgement. One that is older than the newest evidence is ignored.
    pub fn judge(&mut self, hold: TimeDelta, judgement: Judgement) -> Option<Change> {
        let Judgement { at, breach, normal, value } = judgement;
        if self.seen_at.is_some_and(|seen| at < seen) {
            return None;
        }
        self.seen_at = Some(at);
        match self.phase {
            Phase::Inactive if breach && hold <= TimeDelta::zero() => Some(self.raise(at, value)),
            Phase::Inactive if breach => {
                self.phase = Phase::Pending(at);
                None
            }
            Phase::Pending(_) if !breach => {
                self.phase = Phase::Inactive;
                None
            }
            Phase::Pending(since) if at - since >= hold => Some(self.raise(at, value)),
            Phase::Active if normal => {
                self.phase = Phase::Inactive;
                Some(Change::Cleared { at, value })
            }
            _ => None,
        }
    }

    /// Takes in a measured value of the signal, a good one or not: what its source calls bad is no
    /// evidence of anything.
    pub fn measure(&mut self, trigger: &Trigger, at: DateTime<Utc>, value: f64, good: bool) -> Option<Change> {
        if self.seen_at.is_some_and(|seen| at < seen) {
            return None;
        }
        if !good {
            self.seen_at = Some(at);
            return None;
        }
        let before = self.last.filter(|(before, _)| *before < at);
        let compared = match trigger.condition {
            Condition::RateAbove | Condition::RateBelow => {
                before.map(|(before, old)| (value - old) / ((at - before).as_seconds_f64()))
            }
            Condition::Above | Condition::Below | Condition::Missing => Some(value),
        };
        self.last = Some((at, value));
        match compared {
            Some(compared) => self.judge(trigger.hold, trigger.weigh(at, compared)),
            None => {
                self.seen_at = Some(at);
                None
            }
        }
    }

    /// The asset went on reporting up to an instant, but not this signal: its value counts as held.
    /// Only a frame after the whole duration tells, so that a value of the same instant that is still
    /// on its way comes first.
    pub fn elapse(&mut self, trigger: &Trigger, asset_at: DateTime<Utc>) -> Option<Change> {
        let (Phase::Pending(since), Some((_, value))) = (self.phase, self.last) else { return None };
        let holds = matches!(trigger.condition, Condition::Above | Condition::Below);
        let due = since + trigger.hold;
        if !holds || asset_at <= due {
            return None;
        }
        let at = self.seen_at.map_or(due, |seen| seen.max(due));
        Some(self.raise(at, value))
    }

    /// Nothing newer than `newest` has arrived by `now`. The alarm is raised as of the end of the
    /// duration, and once for each silence: one that a person cleared is not told again.
    pub fn listen(&mut self, trigger: &Trigger, newest: DateTime<Utc>, now: DateTime<Utc>) -> Option<Change> {
        let silent = now - newest > trigger.hold;
        let told = self.last.map(|(told, _)| told);
        match self.phase {
            Phase::Active if !silent => {
                self.phase = Phase::Inactive;
                let raised = told.map_or(newest, |told| told + trigger.hold);
                Some(Change::Cleared { at: newest.max(raised), value: (now - newest).as_seconds_f64() })
            }
            Phase::Active => {
                self.last = Some((newest, 0.0));
                None
            }
            Phase::Inactive | Phase::Pending(_) if silent && told != Some(newest) => {
                self.last = Some((newest, 0.0));
                Some(self.raise(newest + trigger.hold, (now - newest).as_seconds_f64()))
            }
            Phase::Inactive | Phase::Pending(_) => None,
        }
    }

    fn raise(&mut self, at: DateTime<Utc>, value: f64) -> Change {
        self.phase = Phase::Active;
        Change::Raised { at, value }
    }
}

impl Trigger {
    /// What a number says about the condition.
    #[must_use]
    pub fn weigh(&self, at: DateTime<Utc>, value: f64) -> Judgement {
        let (breach, normal) = match self.condition {
            Condition::Above | Condition::RateAbove => (value > self.limit, value <= self.limit - self.deadband),
            Condition::Below | Condition::RateBelow => (value < self.limit, value >= self.limit + self.deadband),
            Condition::Missing => (false, false),
        };
        Judgement { at, breach, normal, value }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).expect("an instant")
    }

    fn trigger(condition: Condition, limit: f64, deadband: f64, hold: i64) -> Trigger {
        Trigger { condition, limit, deadband, hold: TimeDelta::seconds(hold) }
    }

    /// `+5` for raised at second 5, `-7` for cleared at second 7.
    fn told(trigger: &Trigger, samples: &[(i64, f64)]) -> Vec<String> {
        let mut memory = Memory::default();
        let changes = samples.iter().filter_map(|(second, value)| memory.measure(trigger, at(*second), *value, true));
        changes.map(|change| shown(&change)).collect()
    }

    fn shown(change: &Change) -> String {
        let second = |at: &DateTime<Utc>| at.timestamp() - 1_700_000_000;
        match change {
            Change::Raised { at, .. } => format!("+{}", second(at)),
            Change::Cleared { at, .. } => format!("-{}", second(at)),
        }
    }

    /// Its name, the rule, its samples, and what is told.
    type Case = (&'static str, Trigger, &'static [(i64, f64)], &'static [&'static str]);

    #[test]
    fn alarms_come_and_go() {
        use Condition::{Above, Below, RateAbove, RateBelow};
        let cases: [Case; 13] = [
            ("at the limit is not above it", trigger(Above, 5.0, 0.0, 0), &[(0, 5.0)], &[]),
            ("above", trigger(Above, 5.0, 0.0, 0), &[(0, 4.0), (1, 6.0), (2, 7.0), (3, 5.0)], &["+1", "-3"]),
            ("below", trigger(Below, 5.0, 0.0, 0), &[(0, 6.0), (1, 4.0), (2, 5.0)], &["+1", "-2"]),
            ("hysteresis", trigger(Above, 5.0, 1.0, 0), &[(0, 6.0), (1, 4.5), (2, 6.0), (3, 4.0)], &["+0", "-3"]),
            ("hysteresis below", trigger(Below, 5.0, 1.0, 0), &[(0, 4.0), (1, 5.5), (2, 6.0)], &["+0", "-2"]),
            ("for long enough", trigger(Above, 5.0, 0.0, 2), &[(0, 6.0), (1, 6.0), (2, 6.0), (3, 4.0)], &["+2", "-3"]),
            ("not for long enough", trigger(Above, 5.0, 0.0, 2), &[(0, 6.0), (1, 5.0), (2, 6.0), (3, 6.0)], &[]),
            (
                "the deadband does not prolong the wait",
                trigger(Above, 5.0, 1.0, 2),
                &[(0, 6.0), (1, 4.5), (2, 6.0)],
                &[],
            ),
            ("a late value is ignored", trigger(Above, 5.0, 0.0, 0), &[(5, 4.0), (3, 9.0), (6, 4.0)], &[]),
            ("a late value does not clear", trigger(Above, 5.0, 0.0, 0), &[(5, 9.0), (3, 1.0)], &["+5"]),
            (
                "rate",
                trigger(RateAbove, 1.0, 0.5, 0),
                &[(0, 0.0), (2, 1.0), (4, 4.0), (6, 5.8), (8, 6.0)],
                &["+4", "-8"],
            ),
            ("falling rate", trigger(RateBelow, -1.0, 0.0, 0), &[(0, 0.0), (1, -2.0), (2, -2.5)], &["+1", "-2"]),
            ("one value has no rate", trigger(RateAbove, 1.0, 0.0, 0), &[(0, 99.0)], &[]),
        ];
        for (name, trigger, samples, expected) in &cases {
            assert_eq!(told(trigger, samples), *expected, "{name}");
        }
    }

    #[test]
    fn a_bad_value_is_no_evidence() {
        let trigger = trigger(Condition::Above, 5.0, 0.0, 0);
        let mut memory = Memory::default();
        assert_eq!(memory.measure(&trigger, at(0), 9.0, false), None);
        assert!(memory.measure(&trigger, at(1), 9.0, true).is_some());
        assert_eq!(memory.measure(&trigger, at(2), 1.0, false), None);
        assert_eq!((memory.phase, memory.seen_at), (Phase::Active, Some(at(2))));
    }

    #[test]
    fn a_value_that_is_reported_on_change_counts_as_held() {
        let trigger = trigger(Condition::Above, 5.0, 0.0, 10);
        let mut memory = Memory::default();
        memory.measure(&trigger, at(0), 9.0, true);
        assert_eq!(memory.elapse(&trigger, at(10)), None, "a value of the same instant may be on its way");
        let raised = memory.elapse(&trigger, at(11));
        assert_eq!(raised, Some(Change::Raised { at: at(10), value: 9.0 }));
        assert_eq!(memory.elapse(&trigger, at(12)), None, "once");
        // A rate that was not measured again is not known.
        let mut memory = Memory { phase: Phase::Pending(at(0)), last: Some((at(0), 1.0)), seen_at: Some(at(0)) };
        assert_eq!(memory.elapse(&Trigger { condition: Condition::RateAbove, ..trigger }, at(99)), None);
    }

    #[test]
    fn silence_is_told_once_and_ends_with_a_fresh_reading() {
        let trigger = trigger(Condition::Missing, 0.0, 0.0, 60);
        let mut memory = Memory::default();
        assert_eq!(memory.listen(&trigger, at(0), at(60)), None);
        assert_eq!(shown(&memory.listen(&trigger, at(0), at(61)).unwrap()), "+60");
        assert_eq!(memory.listen(&trigger, at(5), at(90)), None, "what arrived is too old itself");
        assert_eq!(shown(&memory.listen(&trigger, at(100), at(110)).unwrap()), "-100");
        assert_eq!(shown(&memory.listen(&trigger, at(100), at(200)).unwrap()), "+160");
        // Cleared by hand: the same silence is not told again, the next one is.
        memory.phase = Phase::Inactive;
        assert_eq!(memory.listen(&trigger, at(100), at(300)), None);
        assert_eq!(memory.listen(&trigger, at(310), at(320)), None);
        assert_eq!(shown(&memory.listen(&trigger, at(310), at(400)).unwrap()), "+370");
        // A reading that was delayed on its way ends it, not before it began.
        assert_eq!(shown(&memory.listen(&trigger, at(365), at(410)).unwrap()), "-370");
    }

    fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
        proptest::collection::vec((0_i64..60, -3.0..3.0_f64), 0..60)
    }

    proptest! {
        #[test]
        fn raised_and_cleared_alternate_and_time_goes_forward(
            given in samples(), deadband in 0.0..2.0_f64, hold in 0_i64..5, below: bool,
        ) {
            let condition = if below { Condition::Below } else { Condition::Above };
            let trigger = trigger(condition, 0.5, deadband, hold);
            let changes = told(&trigger, &given);
            for (place, change) in changes.iter().enumerate() {
                prop_assert_eq!(change.starts_with('+'), place % 2 == 0, "{:?}", &changes);
            }
            let seconds: Vec<i64> = changes.iter().map(|change| change[1..].parse().unwrap()).collect();
            prop_assert!(seconds.is_sorted(), "{:?}", changes);
        }

        #[test]
        fn a_value_that_trembles_within_the_deadband_raises_at_most_once(
            trembling in proptest::collection::vec(-1.0..1.0_f64, 1..200), hold in 0_i64..4,
        ) {
            // The limit lies at 0.5, and nothing ever goes below -1: a deadband of 1.6 is never left.
            let trigger = trigger(Condition::Above, 0.5, 1.6, hold);
            let given: Vec<(i64, f64)> = trembling.iter().enumerate().map(|(n, value)| (n as i64, *value)).collect();
            let changes = told(&trigger, &given);
            prop_assert!(changes.len() <= 1, "{:?}", changes);
        }

        #[test]
        fn late_values_change_nothing(given in samples(), hold in 0_i64..4) {
            let trigger = trigger(Condition::Above, 0.5, 0.3, hold);
            let mut newest = i64::MIN;
            let in_time: Vec<(i64, f64)> = given
                .iter()
                .copied()
                .filter(|(second, _)| { let fits = *second >= newest; newest = newest.max(*second); fits })
                .collect();
            prop_assert_eq!(told(&trigger, &given), told(&trigger, &in_time));
        }

        #[test]
        fn an_alarm_means_that_the_condition_held_for_the_whole_duration(given in samples(), hold in 0_i64..6) {
            let mut given = given;
            given.sort_by_key(|(second, _)| *second);
            given.dedup_by_key(|(second, _)| *second);
            let trigger = trigger(Condition::Above, 0.5, 0.0, hold);
            let mut memory = Memory::default();
            for (place, (second, value)) in given.iter().enumerate() {
                if let Some(Change::Raised { .. }) = memory.measure(&trigger, at(*second), *value, true) {
                    let held = given[..=place].iter().rev().take_while(|(_, value)| *value > 0.5).last();
                    prop_assert!(held.is_some_and(|(first, _)| second - first >= hold), "{:?} at {}", &given, second);
                }
            }
        }
    }
}
