//! One rule and its evidence: what it remembers afterwards, and which alarms come and go. Pure, but
//! for the ids that it mints.

use chrono::{DateTime, TimeDelta, Utc};

use super::store::{Behind, Sample};
use crate::alarm::machine::{Change, Judgement, Memory, Phase, Trigger};
use crate::alarm::outlook::Outlook;
use crate::alarm::rule::{Condition, Source};
use crate::asset::Interval;
use crate::clock::Clock;
use crate::ids::{AlarmId, PredictionId};
use crate::reading::instant;

/// A forecast as a rule looks at it.
#[derive(Clone, Debug)]
pub(super) struct Forecast {
    pub(super) id: PredictionId,
    /// Instant of the newest frame that it was made from.
    pub(super) state_at: DateTime<Utc>,
    /// The rule's output; none where it was not predicted.
    pub(super) outlook: Option<Outlook>,
}

/// An alarm that is raised, and perhaps cleared by later evidence of the same round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raised {
    pub(super) id: AlarmId,
    pub(super) at: DateTime<Utc>,
    pub(super) value: f64,
    pub(super) text: String,
    pub(super) expected_at: Option<DateTime<Utc>>,
    pub(super) cleared: Option<Cleared>,
}

/// The end of an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cleared {
    pub(super) at: DateTime<Utc>,
    pub(super) value: Option<f64>,
    pub(super) comment: Option<&'static str>,
}

/// What came of evaluating a rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) memory: Memory,
    pub(super) prediction: Option<PredictionId>,
    /// The end of the alarm that was active before.
    pub(super) cleared: Option<Cleared>,
    pub(super) raised: Vec<Raised>,
}

impl Outcome {
    /// Whether people hear of it.
    pub(super) fn is_heard(&self) -> bool {
        self.cleared.is_some() || !self.raised.is_empty()
    }

    fn note(&mut self, change: Change, raise: impl FnOnce(DateTime<Utc>, f64) -> Raised) {
        match change {
            Change::Raised { at, value } => self.raised.push(raise(at, value)),
            Change::Cleared { at, value } => {
                let cleared = Cleared { at, value: Some(value), comment: None };
                match self.raised.last_mut() {
                    Some(raised) => raised.cleared = Some(cleared),
                    None => self.cleared = Some(cleared),
                }
            }
        }
    }
}

/// Evaluates a rule on its evidence. `most` is how many samples one round reads of a rule: with fewer,
/// everything that there was has been seen.
pub(super) fn evaluate(
    rule: &Behind,
    samples: &[Sample],
    most: usize,
    forecast: Option<&Forecast>,
    now: DateTime<Utc>,
    clock: &Clock,
) -> Outcome {
    let mut memory = rule.memory();
    let mut outcome = Outcome { memory, prediction: rule.prediction_id, cleared: None, raised: Vec::new() };
    if !rule.enabled {
        if memory.phase == Phase::Active {
            outcome.cleared = Some(Cleared { at: now, value: None, comment: Some("the rule was switched off") });
        }
        memory.phase = Phase::Inactive;
        memory.seen_at = rule.seen_at;
    } else if rule.source == Source::Predicted {
        if let Some(forecast) = forecast {
            outcome.prediction = Some(forecast.id);
            foresee(rule, &mut memory, forecast, &mut outcome, clock);
        }
    } else if rule.condition == Condition::Missing {
        let newest = rule.newest_at.unwrap_or(rule.created_at);
        if let Some(change) = memory.listen(&rule.trigger(), newest, now) {
            outcome.note(change, |at, value| raised(at, value, silence(rule, newest), clock));
        }
    } else {
        let trigger = rule.trigger();
        let judged = rule.judgement();
        for sample in judged.iter().chain(samples) {
            if let Some(change) = memory.measure(&trigger, sample.at, sample.value, sample.good) {
                outcome.note(change, |at, value| raised(at, value, measured(rule, value), clock));
            }
        }
        if samples.len() < most {
            // Frames that retention took would otherwise be waited for.
            memory.seen_at = memory.seen_at.max(rule.newest_at);
            if let Some(change) = rule.asset_at.and_then(|at| memory.elapse(&trigger, at)) {
                outcome.note(change, |at, value| raised(at, value, measured(rule, value), clock));
            }
        }
    }
    outcome.memory = memory;
    outcome
}

/// What a forecast says about a limit. The condition is over when a breach of the limit eased by the
/// deadband is no longer probable.
fn foresee(rule: &Behind, memory: &mut Memory, forecast: &Forecast, outcome: &mut Outcome, clock: &Clock) {
    let (Some(outlook), Some(within), Some(asked)) = (&forecast.outlook, rule.within_us, rule.probability) else {
        return;
    };
    let above = rule.condition == Condition::Above;
    let until = forecast.state_at + TimeDelta::microseconds(within);
    let limit = rule.limit_value.unwrap_or_default();
    let eased = if above { limit - rule.deadband } else { limit + rule.deadband };
    let chance = outlook.chance(limit, above, until, asked);
    let easy = outlook.chance(eased, above, until, asked);
    let judgement = Judgement {
        at: forecast.state_at,
        breach: chance.probability >= asked,
        normal: easy.probability < asked,
        value: chance.probability,
    };
    let hold = TimeDelta::microseconds(rule.hold_us);
    if let Some(change) = memory.judge(hold, judgement) {
        outcome.note(change, |at, value| {
            let expected = chance.first_at.map(instant::text).unwrap_or_default();
            let side = if above { "above" } else { "below" };
            let text = format!(
                "{} is expected {side} {} at {expected}, with a probability of at least {value:.2}",
                rule.signal(),
                with_unit(rule, limit, "")
            );
            Raised { expected_at: chance.first_at, ..raised(at, value, text, clock) }
        });
    }
}

fn raised(at: DateTime<Utc>, value: f64, text: String, clock: &Clock) -> Raised {
    Raised { id: AlarmId::mint(clock), at, value, text, expected_at: None, cleared: None }
}

fn measured(rule: &Behind, value: f64) -> String {
    let limit = with_unit(rule, rule.limit_value.unwrap_or_default(), "");
    let signal = rule.signal();
    match rule.condition {
        Condition::Above => format!("{signal} is {}, above {limit}", with_unit(rule, value, "")),
        Condition::Below => format!("{signal} is {}, below {limit}", with_unit(rule, value, "")),
        Condition::RateAbove => format!("{signal} changes by {}, above {limit}", with_unit(rule, value, " a second")),
        Condition::RateBelow => format!("{signal} changes by {}, below {limit}", with_unit(rule, value, " a second")),
        Condition::Missing => String::new(),
    }
}

fn silence(rule: &Behind, newest: DateTime<Utc>) -> String {
    let hold = Interval::from_micros(rule.hold_us).map(Interval::in_words).unwrap_or_default();
    let of = if rule.signal.is_some() { format!(" of {}", rule.signal()) } else { String::new() };
    format!("no reading{of} for more than {hold} since {}", instant::text(newest))
}

fn with_unit(rule: &Behind, value: f64, per: &str) -> String {
    let unit = rule.unit.as_deref().filter(|unit| *unit != "1").map(|unit| format!(" {unit}")).unwrap_or_default();
    // Seven significant digits at most: more than any sensor has.
    let short: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    format!("{short}{unit}{per}")
}

impl Behind {
    fn signal(&self) -> String {
        match (self.source, &self.class) {
            (Source::Anomaly, _) => "the anomaly score".to_owned(),
            (Source::Health, Some(class)) => format!("the probability of {class}"),
            _ => self.signal.clone().unwrap_or_else(|| "the asset".to_owned()),
        }
    }

    /// The newest judgement about the asset, if one is watched and has not been seen.
    fn judgement(&self) -> Option<Sample> {
        let new = self.is_new() || self.newest_at > self.seen_at;
        let judged = self.newest_at.zip(self.judged).filter(|_| new);
        judged.map(|(at, value)| Sample { at, value, good: true })
    }

    fn trigger(&self) -> Trigger {
        Trigger {
            condition: self.condition,
            limit: self.limit_value.unwrap_or_default(),
            deadband: self.deadband,
            hold: TimeDelta::microseconds(self.hold_us),
        }
    }

    /// What the rule remembers. After a change of the rule the newest value is looked at again, and a
    /// silence is told again.
    fn memory(&self) -> Memory {
        let phase = match (self.phase.as_str(), self.since) {
            ("active", _) => Phase::Active,
            ("pending", Some(since)) => Phase::Pending(since),
            _ => Phase::Inactive,
        };
        let forget = self.is_new() && self.condition == Condition::Missing && phase == Phase::Inactive;
        Memory {
            phase,
            seen_at: self.seen_at.filter(|_| !self.is_new()),
            last: self.last_at.zip(self.last_value).filter(|_| !forget),
        }
    }

    /// Whether the rule was changed, or made, since it was last evaluated.
    pub(super) fn is_new(&self) -> bool {
        self.revision != self.seen_revision
    }
}
