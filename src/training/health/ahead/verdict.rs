//! How well it is told what will become of a health class, as it is kept with the version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::twin::AheadBy;

/// How well it is told what will become of the class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AheadVerdict {
    /// Who tells it, in words with numbers.
    pub reason: String,
    /// In which class the asset is, lead by lead.
    pub leads: Vec<LeadVerdict>,
    /// When it is first in each class that it is not in, by class.
    pub times: BTreeMap<String, TimeVerdict>,
}

/// How well the class at one lead is told, on labelled steps that nothing was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LeadVerdict {
    /// Steps ahead.
    pub step: usize,
    /// Who tells it; null where too few labelled steps go on for so long.
    pub by: Option<AheadBy>,
    /// Steps that judged.
    pub cases: usize,
    /// Of these, those whose class was another by then.
    pub changes: usize,
    /// The network that learned it; null where it had too little to learn from.
    pub learned: Option<AheadScore>,
    /// The probabilities of the class of now.
    pub held: Option<AheadScore>,
    /// The class of now with the rates at which classes follow one another.
    pub rates: Option<AheadScore>,
    /// How often each class comes.
    pub frequencies: Option<AheadScore>,
}

/// How well probabilities of classes did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AheadScore {
    /// Mean of minus the logarithm of the probability of what came true. This one decides.
    pub log_loss: f64,
    /// Share of the cases that were named rightly.
    pub accuracy: f64,
    /// Mean F1 of the classes that occurred or were said.
    pub macro_f1: f64,
    /// Expected calibration error.
    pub ece: f64,
}

/// How well the time to one class is told: mean of minus the logarithm of the probability of what came true,
/// on labelled steps that nothing was learned from and that were not in the class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeVerdict {
    /// Who tells it; null where too few labelled steps go on for so long.
    pub by: Option<AheadBy>,
    /// Steps that judged.
    pub cases: usize,
    /// Of these, those that were followed by the class within the last lead.
    pub reached: usize,
    /// The network that learned it; null where it had too little to learn from.
    pub learned: Option<f64>,
    /// The class of now with how often each was followed by this one.
    pub rates: Option<f64>,
    /// How often it follows at all.
    pub frequencies: Option<f64>,
}

impl LeadVerdict {
    /// Who tells the class at the lead and how well, where anybody does.
    pub(super) fn words(&self) -> Option<String> {
        let by = self.by?;
        let loss = |score: &Option<AheadScore>| score.map_or(f64::NAN, |score| score.log_loss);
        let (learned, held, rates, often) =
            (loss(&self.learned), loss(&self.held), loss(&self.rates), loss(&self.frequencies));
        let who = match by {
            AheadBy::Learned => "learned",
            AheadBy::Held => "the class of now holds",
            AheadBy::Rates => "by rates of change",
            AheadBy::Frequencies => "by how often each class comes",
        };
        let network = if learned.is_nan() { String::new() } else { format!("learned {learned:.3}, ") };
        Some(format!(
            "in {} steps {who}: logarithmic loss {network}held {held:.3}, rates {rates:.3}, frequencies {often:.3} on {} \
             labelled steps, {} of which changed",
            self.step, self.cases, self.changes
        ))
    }
}
