//! What an asset type says: its signals in a fixed order, its attributes, its health classes.
//!
//! [`TypeForm`](form::TypeForm) is the document as people write it and the database keeps it;
//! [`TypeDocument`] is the same after the checks, with everything inherited in place.

mod check;
pub mod form;

use std::collections::HashMap;

use serde_json::{Map, Value};

pub use super::interval::Interval;
use crate::web::problem::FieldError;
use form::{AttributeForm, KindForm, SignalForm, TypeForm};

pub use check::attributes as check_attributes;
pub use form::{AUTO, AttributeKind, Declared, EndOfLife, Extends, OnInvalid, Role, Sign, Template};

/// The schema of a type, checked and complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeDocument {
    /// For people.
    pub description: Option<String>,
    /// The version of another type that it inherits from.
    pub extends: Option<Extends>,
    /// Nominal time between frames: the step of predictions.
    pub interval: Interval,
    /// In the order of a frame's values.
    pub signals: Vec<Signal>,
    /// What an asset of the type can say about itself.
    pub attributes: Vec<Attribute>,
    /// The classes that health can have.
    pub health_classes: Vec<String>,
    /// The class that ends a run, where the type says so itself.
    pub end_of_life: Option<EndOfLife>,
    /// What happens to a reading that breaks a limit.
    pub on_invalid: OnInvalid,
    /// The equations that its outputs follow, as far as known.
    pub template: Option<Template>,
    /// How outputs are known to answer inputs.
    pub responses: Vec<Declared>,
    /// The base model that versions stand on, or [`AUTO`]; `None` is the one that ships with the server.
    pub base_model: Option<String>,
}

/// A value that changes with time.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Unique within the type.
    pub name: String,
    /// UCUM; `1` without dimension.
    pub unit: String,
    /// What its values are.
    pub kind: Kind,
    /// Who sets it.
    pub role: Role,
    /// Smallest value that is possible, in its unit.
    pub min: Option<f64>,
    /// Largest value that is possible, in its unit.
    pub max: Option<f64>,
    /// Fastest possible change, in its unit per second.
    pub max_rate: Option<f64>,
    /// Nominal time between its values where it comes less often than frames do.
    pub interval: Option<Interval>,
    /// For people.
    pub description: Option<String>,
}

/// What the values of a signal are. All travel as numbers inside the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A finite number.
    Number,
    /// 0 or 1.
    Boolean,
    /// The index of a label.
    Enum {
        /// In order.
        labels: Vec<String>,
    },
}

/// A value of an asset that does not change with time.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Unique within the type.
    pub name: String,
    /// What its value is.
    pub kind: AttributeKind,
    /// UCUM, for numbers.
    pub unit: Option<String>,
    /// Whether every asset must have it.
    pub required: bool,
    /// For people.
    pub description: Option<String>,
}

impl TypeDocument {
    /// Checks a document, with everything of `parent` that it does not say itself. All faults are
    /// found, each with its JSON pointer.
    #[expect(clippy::needless_pass_by_value, reason = "a form is used up by what is built of it")]
    pub fn build(form: TypeForm, parent: Option<(Extends, &Self)>) -> Result<Self, Vec<FieldError>> {
        check::document(&form, parent)
    }

    /// Reads a stored document, which was checked when it was written.
    #[must_use]
    pub fn stored(form: TypeForm) -> Self {
        Self {
            description: form.description,
            extends: form.extends,
            interval: form.interval.unwrap_or_default(),
            signals: form.signals.into_iter().map(Signal::from).collect(),
            attributes: form.attributes.into_iter().map(Attribute::from).collect(),
            health_classes: form.health_classes,
            end_of_life: form.end_of_life,
            on_invalid: form.on_invalid.unwrap_or_default(),
            template: form.template,
            responses: form.responses,
            base_model: form.base_model,
        }
    }

    /// Whether frames of the two can be read alike: the same signals with the same unit, kind and
    /// role in the same order.
    #[must_use]
    pub fn frames_match(&self, other: &Self) -> bool {
        let essence = |signal: &Signal| (signal.name.clone(), signal.unit.clone(), signal.kind.clone(), signal.role);
        self.signals.iter().map(essence).eq(other.signals.iter().map(essence))
    }

    /// Checks the attributes of an asset. Pointers begin with `/attributes`.
    pub fn check_attributes(&self, attributes: &Map<String, Value>) -> Result<(), Vec<FieldError>> {
        check::attributes(self, attributes)
    }

    /// The class that ends a run: declared, or known by its name. `None` where there is none.
    #[must_use]
    pub fn end_of_life(&self) -> Option<EndOfLife> {
        let named = |names: &[&str]| self.health_classes.iter().find(|class| names.contains(&class.as_str())).cloned();
        let by_name =
            || Some(EndOfLife { class: named(&["failed", "failure"])?, restored_by: named(&["maintenance"]) });
        self.end_of_life.clone().or_else(by_name)
    }

    /// Nominal time between the values of a signal: its own, or that of the frames.
    #[must_use]
    pub fn interval_of(&self, signal: &Signal) -> Interval {
        signal.interval.map_or(self.interval, |own| own.max(self.interval))
    }

    /// Where each signal stands in a frame.
    #[must_use]
    pub fn positions(&self) -> HashMap<String, usize> {
        self.signals.iter().enumerate().map(|(at, signal)| (signal.name.clone(), at)).collect()
    }
}

impl From<TypeDocument> for TypeForm {
    fn from(document: TypeDocument) -> Self {
        Self {
            description: document.description,
            extends: document.extends,
            interval: Some(document.interval),
            signals: document.signals.into_iter().map(SignalForm::from).collect(),
            attributes: document.attributes.into_iter().map(AttributeForm::from).collect(),
            health_classes: document.health_classes,
            end_of_life: document.end_of_life,
            on_invalid: Some(document.on_invalid),
            template: document.template,
            responses: document.responses,
            base_model: document.base_model,
        }
    }
}

impl From<SignalForm> for Signal {
    fn from(form: SignalForm) -> Self {
        Self {
            name: form.name,
            unit: form.unit,
            kind: match form.kind {
                KindForm::Number => Kind::Number,
                KindForm::Boolean => Kind::Boolean,
                KindForm::Enum => Kind::Enum { labels: form.labels },
            },
            role: form.role,
            min: form.min,
            max: form.max,
            max_rate: form.max_rate,
            interval: form.interval,
            description: form.description,
        }
    }
}

impl From<Signal> for SignalForm {
    fn from(signal: Signal) -> Self {
        let (kind, labels) = match signal.kind {
            Kind::Number => (KindForm::Number, Vec::new()),
            Kind::Boolean => (KindForm::Boolean, Vec::new()),
            Kind::Enum { labels } => (KindForm::Enum, labels),
        };
        Self {
            name: signal.name,
            unit: signal.unit,
            kind,
            labels,
            role: signal.role,
            min: signal.min,
            max: signal.max,
            max_rate: signal.max_rate,
            interval: signal.interval,
            description: signal.description,
        }
    }
}

impl From<AttributeForm> for Attribute {
    fn from(form: AttributeForm) -> Self {
        let AttributeForm { name, kind, unit, required, description } = form;
        Self { name, kind, unit, required, description }
    }
}

impl From<Attribute> for AttributeForm {
    fn from(attribute: Attribute) -> Self {
        let Attribute { name, kind, unit, required, description } = attribute;
        Self { name, kind, unit, required, description }
    }
}
