//! What a body says, before anybody asked whether it may: items with names and values as they came,
//! borrowed from the body where possible.

use std::borrow::Cow;
use std::ops::Range;

use crate::reading::instant::{self, InstantError};

/// A value as it came.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Number(f64),
    Bool(bool),
    Text(Cow<'a, str>),
    Null,
    Array,
    Object,
}

impl Scalar<'_> {
    /// For messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Text(_) => "a text",
            Self::Null => "null",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// An instant as it came, in microseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stamp {
    Missing,
    At(i64),
    Bad(InstantError),
    /// Neither text nor number.
    Wrong(&'static str),
}

impl From<&Scalar<'_>> for Stamp {
    fn from(scalar: &Scalar<'_>) -> Self {
        let read = match scalar {
            Scalar::Number(number) => instant::from_epoch_ms(*number),
            Scalar::Text(text) => instant::parse(text),
            other => return Self::Wrong(other.name()),
        };
        read.map_or_else(Self::Bad, Self::At)
    }
}

/// One signal's value in an item.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell<'a> {
    pub(super) signal: Cow<'a, str>,
    pub(super) value: Scalar<'a>,
}

/// Qualities of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Quality<'a> {
    #[default]
    Good,
    /// Of all its readings.
    One(Scalar<'a>),
    /// By signal; others are good.
    Each(Vec<Cell<'a>>),
}

/// How an item was written: decides what its pointers look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"ts":.., "values":{..}}`
    Frame,
    /// `{"signal":.., "ts":.., "value":..}`
    Reading,
    /// `{"temp":3.1}`, or a row of CSV.
    Plain,
}

/// Many frames of one asset, written as columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns<'a> {
    pub(super) instants: Vec<Stamp>,
    pub(super) signals: Vec<(Cow<'a, str>, Vec<Scalar<'a>>)>,
}

/// A frame, a reading or a block of columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item<'a> {
    /// Place in the body, from 0: of the array, the lines, or the rows.
    pub(super) index: usize,
    pub(super) shape: Shape,
    pub(super) asset: Option<Scalar<'a>>,
    pub(super) at: Stamp,
    /// Its part of [`Parsed::cells`].
    pub(super) cells: Range<usize>,
    pub(super) quality: Quality<'a>,
    pub(super) columns: Option<Columns<'a>>,
    /// Why it cannot be taken as a whole, at a pointer below it.
    pub(super) fault: Option<Fault>,
}

/// What is wrong with an item as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) under: String,
    pub(super) detail: String,
    /// The text itself is broken: a line that is no JSON.
    pub(super) syntax: bool,
}

impl Fault {
    pub(super) fn new(under: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { under: under.into(), detail: detail.into(), syntax: false }
    }
}

/// Where items lie in the body: what their pointers begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    /// The body is one item.
    Root,
    /// `/3`
    #[default]
    Index,
    /// `/readings/3`
    Readings,
}

/// A whole body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed<'a> {
    pub(super) base: Base,
    pub(super) items: Vec<Item<'a>>,
    pub(super) cells: Vec<Cell<'a>>,
}

/// Why a body cannot be taken at all.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// It is not of its own format.
    Syntax(String),
    /// It is, but not what is taken here.
    Form { pointer: String, detail: String },
    /// More readings than one request may bring.
    TooMany,
}

/// A name as a segment of a JSON pointer (RFC 6901), shortened if somebody sent a novel.
pub(super) fn segment(name: &str) -> String {
    shortened(name).replace('~', "~0").replace('/', "~1")
}

/// A text of the caller's, short enough for a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let mut short: String = text.chars().filter(|one| !one.is_control()).take(MOST).collect();
    if text.len() > short.len() && text.chars().count() > MOST {
        short.push('…');
    }
    short
}
