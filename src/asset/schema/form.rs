//! The document of a type as people write it, and as the database keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Interval;
use crate::asset::key::Key;

/// The base model of a type whose fine-tune jobs choose among all.
pub const AUTO: &str = "auto";

/// The schema of a type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = TypeDocument)]
pub struct TypeForm {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
    /// Another type whose signals, attributes and health classes come first and need not be
    /// repeated. A signal or attribute of the same name replaces the inherited one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<Extends>,
    /// Nominal time between frames, the step of predictions: 1 ms to 1 day. Needed unless inherited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// In the order of a frame's values. 1 to 512, with the inherited ones.
    #[serde(default)]
    #[schema(max_items = 512)]
    pub signals: Vec<SignalForm>,
    /// What an asset of the type can say about itself. At most 128.
    #[serde(default)]
    #[schema(max_items = 128)]
    pub attributes: Vec<AttributeForm>,
    /// The classes that health can have. At most 64.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub health_classes: Vec<String>,
    /// Which health class is the end of a run, so that fine-tune jobs learn the time that remains until it.
    /// Inherited unless given; by default a class named `failed` or `failure`, a class named `maintenance`
    /// restoring the asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_life: Option<EndOfLife>,
    /// What happens to a reading that breaks a limit of its signal. By default `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_invalid: Option<OnInvalid>,
    /// The equations that its outputs follow, as far as known; a twin then fits their parameters and
    /// uses them where they forecast well. Inherited unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// What is known of how outputs answer inputs; a model version that answers otherwise is not
    /// promoted by itself. At most 512, with the inherited ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 512)]
    pub responses: Vec<Declared>,
    /// The base model that its assets' versions stand on: one of `GET /v1/base-models`, or `auto`, with which
    /// each fine-tune job learns on the one that does best on its validation windows. Inherited unless given;
    /// by default the one that ships with the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    pub base_model: Option<String>,
}

/// The health class that ends a run to failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct EndOfLife {
    /// One of `health_classes`: a label of this class begins at the moment of failure. Where it ends, or the
    /// next label begins, the asset is restored.
    #[schema(min_length = 1, max_length = 64)]
    pub class: String,
    /// One of `health_classes`, of the asset being maintained before it failed: where its labels end, the
    /// asset is as good as new; the run that they broke off lasted at least that long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub restored_by: Option<String>,
}

/// What is known of how an output answers an input that is raised and held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = DeclaredResponse)]
pub struct Declared {
    /// A signal with the role `control_input`.
    pub input: String,
    /// A signal with the role `output`.
    pub output: String,
    /// Which way the output goes.
    pub sign: Sign,
}

/// Which way an output goes when an input is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseSign)]
pub enum Sign {
    /// Up.
    Positive,
    /// Down.
    Negative,
}

/// A version of another type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Extends {
    /// Its key.
    pub r#type: Key,
    /// Its version; the newest one if not given. Answers always name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub version: Option<i32>,
}

/// A value that changes with time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = Signal)]
pub struct SignalForm {
    /// Unique within the type; a key as assets have.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    pub name: String,
    /// UCUM, such as `m`, `Cel`, `kW`; `1` without dimension.
    #[serde(default = "dimensionless")]
    #[schema(min_length = 1, max_length = 64)]
    pub unit: String,
    /// What its values are. By default `number`.
    #[serde(default)]
    pub kind: KindForm,
    /// The values of an enum, in order: 1 to 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 256)]
    pub labels: Vec<String>,
    /// Who sets it.
    pub role: Role,
    /// Smallest value that is possible. Numbers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value that is possible. Numbers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Fastest possible change, in units per second; positive. Numbers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// Nominal time between its values where it comes less often than frames do, such as `PT1H`
    /// for a sample from the laboratory. By default the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
}

/// What the values of a signal are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignalKind)]
pub enum KindForm {
    /// A finite number.
    #[default]
    Number,
    /// True or false.
    Boolean,
    /// One of the labels.
    Enum,
}

/// Who sets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignalRole)]
pub enum Role {
    /// We can set it; a what-if may override it.
    ControlInput,
    /// It is measured, not ours to set, and may be known ahead.
    Disturbance,
    /// It follows from the inputs; it is predicted.
    Output,
    /// It is derived or internal.
    State,
}

impl Role {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ControlInput => "control_input",
            Self::Disturbance => "disturbance",
            Self::Output => "output",
            Self::State => "state",
        }
    }
}

/// What happens to a reading that breaks a limit of its signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It is refused.
    #[default]
    Refuse,
    /// It is kept with the quality `uncertain`.
    Warn,
}

/// Equations of a kind of plant. They read the control inputs and disturbances in the order of the signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Template {
    /// A tank with gravity outflow; inputs add to its inflow, the output is its level.
    #[serde(rename = "tank_1")]
    Tank1,
    /// Two tanks in series, the upper one may overflow; the output is the level of the lower one.
    #[serde(rename = "tanks_2")]
    Tanks2,
    /// Three tanks in series, the upper ones may overflow; the output is the level of the last one.
    #[serde(rename = "tanks_3")]
    Tanks3,
    /// A room of air and mass: inputs are heat, outdoor temperature, further heats; the output is the
    /// temperature of the air.
    #[serde(rename = "zone_2r2c")]
    Zone2r2c,
    /// One time constant and a dead time.
    #[serde(rename = "first_order_dead_time")]
    FirstOrderDeadTime,
    /// Two energy stores, such as a mass on a spring with a damper.
    #[serde(rename = "second_order")]
    SecondOrder,
    /// A direct-current motor with dry friction: inputs are voltage and further torques, the output
    /// is its speed.
    #[serde(rename = "dc_motor")]
    DcMotor,
}

/// A value of an asset that does not change with time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = AttributeDefinition)]
pub struct AttributeForm {
    /// Unique within the type; a key as assets have.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    pub name: String,
    /// What its value is. By default `text`.
    #[serde(default)]
    pub kind: AttributeKind,
    /// UCUM, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub unit: Option<String>,
    /// Whether every asset must have it. By default not.
    #[serde(default)]
    pub required: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub description: Option<String>,
}

/// What the value of an attribute is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// Text of at most 4,096 characters.
    #[default]
    Text,
    /// A finite number.
    Number,
    /// True or false.
    Boolean,
}

fn dimensionless() -> String {
    "1".to_owned()
}
