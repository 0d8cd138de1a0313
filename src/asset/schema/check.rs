//! The checks of a type's document and of an asset's attributes. All faults are reported at once.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::form::{AttributeForm, Declared, EndOfLife, KindForm, Role, SignalForm, TypeForm};
use super::{Attribute, AttributeKind, Extends, Signal, TypeDocument};
use crate::asset::key::Key;
use crate::web::problem::FieldError;

const MAX_SIGNALS: usize = 512;
const MAX_ATTRIBUTES: usize = 128;
const MAX_HEALTH_CLASSES: usize = 64;
const MAX_LABELS: usize = 256;
const MAX_RESPONSES: usize = 512;
/// Characters of a unit, a label or a health class.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 2000;
const MAX_TEXT: usize = 4096;
/// Shortest and longest step, in microseconds: 1 ms and 1 day.
const STEP: std::ops::RangeInclusive<i64> = 1_000..=86_400_000_000;
/// The model computes in single precision: what lies beyond would be infinite there.
const MAX_MAGNITUDE: f64 = 1e30;

/// What was found so far.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    fn unless(&mut self, holds: bool, pointer: impl Into<String>, detail: impl Into<String>) {
        if !holds {
            self.add(pointer, detail);
        }
    }

    fn count(&mut self, count: usize, max: usize, pointer: &str) {
        self.unless(count <= max, pointer, format!("has {count} entries; at most {max} are taken"));
    }

    /// A short text for people: not blank, no control characters.
    fn label(&mut self, text: &str, pointer: impl Into<String>) {
        let length = text.chars().count();
        let fits = (1..=MAX_NAME).contains(&length) && text.trim() == text && !text.chars().any(char::is_control);
        self.unless(
            fits,
            pointer,
            format!("must have 1 to {MAX_NAME} characters, no blank at either end and no control characters"),
        );
    }

    fn description(&mut self, text: Option<&str>, at: &str) {
        let fits = text.is_none_or(|text| text.chars().count() <= MAX_DESCRIPTION);
        self.unless(fits, format!("{at}/description"), format!("has more than {MAX_DESCRIPTION} characters"));
    }

    fn key(&mut self, name: &str, at: &str) {
        if let Err(error) = name.parse::<Key>() {
            self.add(format!("{at}/name"), error.to_string());
        }
    }

    fn done<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// See [`TypeDocument::build`].
pub(super) fn document(
    form: &TypeForm,
    parent: Option<(Extends, &TypeDocument)>,
) -> Result<TypeDocument, Vec<FieldError>> {
    let mut faults = Faults::default();
    faults.description(form.description.as_deref(), "");
    match form.interval {
        Some(interval) => faults.unless(STEP.contains(&interval.micros()), "/interval", "must be 1 ms to 1 day"),
        None => faults.unless(parent.is_some(), "/interval", "is missing"),
    }
    let mut names = HashSet::new();
    for (index, signal) in form.signals.iter().enumerate() {
        let at = format!("/signals/{index}");
        faults.unless(names.insert(signal.name.as_str()), format!("{at}/name"), "is the name of two signals");
        self::signal(&mut faults, signal, &at);
    }
    let mut names = HashSet::new();
    for (index, attribute) in form.attributes.iter().enumerate() {
        let at = format!("/attributes/{index}");
        faults.unless(names.insert(attribute.name.as_str()), format!("{at}/name"), "is the name of two attributes");
        self::attribute(&mut faults, attribute, &at);
    }
    unique_labels(&mut faults, &form.health_classes, "/health_classes");
    if let Some(Err(error)) = form.base_model.as_deref().map(str::parse::<Key>) {
        faults.add("/base_model", error.to_string());
    }

    let document = inherit(form, parent);
    faults.unless(!document.signals.is_empty(), "/signals", "must have at least one signal");
    faults.count(document.signals.len(), MAX_SIGNALS, "/signals");
    faults.count(document.attributes.len(), MAX_ATTRIBUTES, "/attributes");
    faults.count(document.health_classes.len(), MAX_HEALTH_CLASSES, "/health_classes");
    faults.count(document.responses.len(), MAX_RESPONSES, "/responses");
    if let Some(end) = &form.end_of_life {
        end_of_life(&mut faults, &document, end);
    }
    for (index, declared) in form.responses.iter().take(MAX_RESPONSES).enumerate() {
        response(&mut faults, form, &document, declared, index);
    }
    for (index, interval) in form.signals.iter().map(|signal| signal.interval).enumerate() {
        let fits = interval.is_none_or(|own| own >= document.interval);
        faults.unless(fits, format!("/signals/{index}/interval"), "is shorter than the type's");
    }
    faults.done(document)
}

/// The classes of a declared end are of the type, and two.
fn end_of_life(faults: &mut Faults, document: &TypeDocument, end: &EndOfLife) {
    let classes = [("class", Some(&end.class)), ("restored_by", end.restored_by.as_ref())];
    for (field, class) in classes.into_iter().filter_map(|(field, class)| Some((field, class?))) {
        let known = document.health_classes.contains(class);
        faults.unless(known, format!("/end_of_life/{field}"), "is not a health class of the type");
    }
    let two = end.restored_by.as_ref() != Some(&end.class);
    faults.unless(two, "/end_of_life/restored_by", "is the class that ends the run");
}

/// A declared response is about a control input and an output, and is declared once.
fn response(faults: &mut Faults, form: &TypeForm, document: &TypeDocument, declared: &Declared, index: usize) {
    let at = format!("/responses/{index}");
    for (field, name, role) in
        [("input", &declared.input, Role::ControlInput), ("output", &declared.output, Role::Output)]
    {
        let pointer = format!("{at}/{field}");
        match document.signals.iter().find(|signal| signal.name == *name) {
            None => faults.add(pointer, "is not a signal of the type"),
            Some(signal) => faults.unless(
                signal.role == role,
                pointer,
                format!("has the role {}; it must be {}", signal.role.name(), role.name()),
            ),
        }
    }
    let same = |other: &&Declared| other.input == declared.input && other.output == declared.output;
    faults.unless(!form.responses[..index].iter().any(|other| same(&other)), at, "is declared twice");
}

/// See [`TypeDocument::check_attributes`].
pub fn attributes(document: &TypeDocument, values: &Map<String, Value>) -> Result<(), Vec<FieldError>> {
    let mut faults = Faults::default();
    for (name, value) in values {
        let at = format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
        let Some(attribute) = document.attributes.iter().find(|attribute| attribute.name == *name) else {
            faults.add(at, "is not an attribute of the asset's type");
            continue;
        };
        match (attribute.kind, value) {
            (AttributeKind::Boolean, Value::Bool(_)) | (AttributeKind::Number, Value::Number(_)) => {}
            (AttributeKind::Text, Value::String(text)) => {
                faults.unless(text.chars().count() <= MAX_TEXT, at, format!("has more than {MAX_TEXT} characters"));
            }
            (AttributeKind::Boolean, _) => faults.add(at, "must be true or false"),
            (AttributeKind::Number, _) => faults.add(at, "must be a number"),
            (AttributeKind::Text, _) => faults.add(at, "must be a text"),
        }
    }
    for attribute in document.attributes.iter().filter(|attribute| attribute.required) {
        let given = values.contains_key(&attribute.name);
        faults.unless(given, format!("/attributes/{}", attribute.name), "is required by the asset's type");
    }
    faults.done(())
}

fn signal(faults: &mut Faults, signal: &SignalForm, at: &str) {
    faults.key(&signal.name, at);
    faults.label(&signal.unit, format!("{at}/unit"));
    faults.description(signal.description.as_deref(), at);

    let limits = [("min", signal.min), ("max", signal.max), ("max_rate", signal.max_rate)];
    for (name, limit) in limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))) {
        let pointer = format!("{at}/{name}");
        if signal.kind == KindForm::Number {
            let fits = limit.is_finite() && limit.abs() <= MAX_MAGNITUDE;
            faults.unless(fits, pointer, format!("must lie between -{MAX_MAGNITUDE:e} and {MAX_MAGNITUDE:e}"));
        } else {
            faults.add(pointer, "is for signals of the kind number");
        }
    }
    if let (Some(min), Some(max)) = (signal.min, signal.max) {
        faults.unless(min <= max, format!("{at}/max"), "is below min");
    }
    faults.unless(signal.max_rate.is_none_or(|rate| rate > 0.0), format!("{at}/max_rate"), "must be positive");

    let labels = format!("{at}/labels");
    if signal.kind == KindForm::Enum {
        faults.unless(!signal.labels.is_empty(), labels.as_str(), "an enum needs at least one label");
        faults.count(signal.labels.len(), MAX_LABELS, &labels);
        unique_labels(faults, &signal.labels, &labels);
    } else {
        faults.unless(signal.labels.is_empty(), labels, "is for signals of the kind enum");
    }
}

fn attribute(faults: &mut Faults, attribute: &AttributeForm, at: &str) {
    faults.key(&attribute.name, at);
    faults.description(attribute.description.as_deref(), at);
    if let Some(unit) = &attribute.unit {
        faults.label(unit, format!("{at}/unit"));
        faults.unless(attribute.kind == AttributeKind::Number, format!("{at}/unit"), "is for numbers");
    }
}

fn unique_labels(faults: &mut Faults, labels: &[String], at: &str) {
    let mut seen = HashSet::new();
    for (index, label) in labels.iter().enumerate() {
        let pointer = format!("{at}/{index}");
        faults.label(label, pointer.as_str());
        faults.unless(seen.insert(label), pointer, "appears twice");
    }
}

/// Adds what the parent has and the form does not say. What is inherited comes first and keeps
/// its place, so that frames of the parent are the beginning of ours.
fn inherit(form: &TypeForm, parent: Option<(Extends, &TypeDocument)>) -> TypeDocument {
    let mut own = TypeDocument { extends: None, ..TypeDocument::stored(form.clone()) };
    let Some((extends, parent)) = parent else { return own };
    own.extends = Some(extends);
    own.signals = layered(&parent.signals, own.signals, |signal: &Signal| &signal.name);
    own.attributes = layered(&parent.attributes, own.attributes, |attribute: &Attribute| &attribute.name);
    own.health_classes = layered(&parent.health_classes, own.health_classes, |class: &String| class);
    own.interval = form.interval.unwrap_or(parent.interval);
    own.on_invalid = form.on_invalid.unwrap_or(parent.on_invalid);
    own.template = form.template.or(parent.template);
    own.base_model = form.base_model.clone().or_else(|| parent.base_model.clone());
    own.end_of_life = form.end_of_life.clone().or_else(|| parent.end_of_life.clone());
    let redeclared =
        |known: &&Declared| form.responses.iter().any(|own| own.input == known.input && own.output == known.output);
    let inherited = parent.responses.iter().filter(|known| !redeclared(known)).cloned();
    own.responses = inherited.chain(own.responses).collect();
    own
}

fn layered<T: Clone>(inherited: &[T], own: Vec<T>, name: impl Fn(&T) -> &String) -> Vec<T> {
    let mut all = inherited.to_vec();
    for item in own {
        match all.iter_mut().find(|other| name(other) == name(&item)) {
            Some(place) => *place = item,
            None => all.push(item),
        }
    }
    all
}

#[cfg(test)]
mod tests;
