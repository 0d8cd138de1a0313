//! The fields of a JSON item.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::anything::{AnyScalar, Name, otherwise};
use super::item::{Cell, Columns, Fault, Item, Quality, Scalar, Shape, Stamp, segment};
use super::json::Sink;

/// Puts a field in its place, or notes that it came twice.
fn put<T>(place: &mut Option<T>, value: T, name: &str, fault: &mut Option<Fault>) {
    if place.replace(value).is_some() {
        fault.get_or_insert_with(|| Fault::new(format!("/{name}"), "appears twice"));
    }
}

/// An item while its fields come in.
#[derive(Default)]
pub(super) struct Building<'a> {
    start: usize,
    /// Names that are no fields of an item: signals of the plain form, or faults.
    strangers: usize,
    first_stranger: Option<String>,
    asset: Option<Scalar<'a>>,
    at: Option<Stamp>,
    signal: Option<Scalar<'a>>,
    value: Option<Scalar<'a>>,
    values: Option<()>,
    quality: Option<Quality<'a>>,
    timestamps: Option<Vec<Stamp>>,
    columns: Vec<(Cow<'a, str>, Vec<Scalar<'a>>)>,
    fault: Option<Fault>,
}

impl<'a> Building<'a> {
    pub(super) fn begin(sink: &Sink<'a>) -> Self {
        Self { start: sink.parsed.cells.len(), ..Self::default() }
    }

    /// Whether no field came yet.
    pub(super) fn is_empty(&self) -> bool {
        self.strangers == 0 && !self.has_fields()
    }

    fn has_fields(&self) -> bool {
        self.asset.is_some()
            || self.at.is_some()
            || self.signal.is_some()
            || self.value.is_some()
            || self.values.is_some()
            || self.quality.is_some()
            || self.timestamps.is_some()
    }

    /// Takes in one field.
    pub(super) fn field<A: MapAccess<'a>>(
        &mut self,
        sink: &mut Sink<'a>,
        key: Cow<'a, str>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        match &*key {
            "asset" => put(&mut self.asset, fields.next_value_seed(AnyScalar)?, &key, &mut self.fault),
            "ts" | "observed_at" => {
                let at = Stamp::from(&fields.next_value_seed(AnyScalar)?);
                put(&mut self.at, at, &key, &mut self.fault);
            }
            "signal" => put(&mut self.signal, fields.next_value_seed(AnyScalar)?, &key, &mut self.fault),
            "value" => put(&mut self.value, fields.next_value_seed(AnyScalar)?, &key, &mut self.fault),
            "values" => {
                put(&mut self.values, (), &key, &mut self.fault);
                let seed = ValuesSeed { sink, columns: &mut self.columns };
                if let Some(given) = fields.next_value_seed(seed)? {
                    let detail = format!("must be an object of signals, not {}", given.name());
                    self.fault.get_or_insert_with(|| Fault::new("/values", detail));
                }
            }
            "quality" => {
                let quality = fields.next_value_seed(QualitySeed)?;
                put(&mut self.quality, quality, &key, &mut self.fault);
            }
            "timestamps" => {
                let instants = fields.next_value_seed(StampsSeed(sink))?;
                if instants.is_none() {
                    self.fault.get_or_insert_with(|| Fault::new("/timestamps", "must be an array of instants"));
                }
                put(&mut self.timestamps, instants.unwrap_or_default(), &key, &mut self.fault);
            }
            _ => {
                let value = fields.next_value_seed(AnyScalar)?;
                self.strangers += 1;
                self.first_stranger.get_or_insert_with(|| format!("/{}", segment(&key)));
                sink.parsed.cells.push(Cell { signal: key, value });
            }
        }
        Ok(())
    }

    /// The item, with a fault if its fields do not go together.
    pub(super) fn finish(mut self, sink: &mut Sink<'a>, index: usize) -> Item<'a> {
        let mut fault = self.fault.take().or_else(|| self.mismatch());
        let shape = match (self.signal.take(), self.value.take()) {
            (Some(Scalar::Text(signal)), Some(value)) => {
                if fault.is_none() {
                    sink.parsed.cells.push(Cell { signal, value });
                }
                Shape::Reading
            }
            (None, None) if self.strangers > 0 => Shape::Plain,
            (None, None) => Shape::Frame,
            (Some(_), Some(_)) => {
                fault.get_or_insert_with(|| Fault::new("/signal", "must be a text"));
                Shape::Reading
            }
            _ => Shape::Reading,
        };
        let columns = self.timestamps.map(|instants| Columns { instants, signals: self.columns });
        Item {
            index,
            shape,
            asset: self.asset,
            at: self.at.unwrap_or(Stamp::Missing),
            cells: self.start..sink.parsed.cells.len(),
            quality: self.quality.unwrap_or_default(),
            columns,
            fault,
        }
    }

    fn mismatch(&self) -> Option<Fault> {
        let fault = |under: &str, detail: &str| Some(Fault::new(under, detail));
        if self.strangers > 0 {
            let under = self.first_stranger.clone().unwrap_or_default();
            return self
                .has_fields()
                .then(|| Fault::new(under, "is no field of an item; signals belong into `values`"));
        }
        if self.is_empty() {
            return fault("", "is empty");
        }
        if self.timestamps.is_some() {
            return match (&self.at, self.signal.is_some() || self.value.is_some(), self.values) {
                (Some(_), _, _) => fault("/ts", "stands beside `timestamps`"),
                (None, true, _) => fault("", "`signal` and `value` stand beside `timestamps`"),
                (None, false, None) => fault("/values", "is missing"),
                (None, false, Some(())) => None,
            };
        }
        if !self.columns.is_empty() {
            return fault("/timestamps", "is missing; values that are arrays need it");
        }
        match (self.signal.is_some(), self.value.is_some(), self.values.is_some()) {
            (true, true, false) | (false, false, true) => None,
            (true, false, false) => fault("/value", "is missing"),
            (false, true, false) => fault("/signal", "is missing"),
            (false, false, false) => fault("/values", "is missing"),
            (_, _, true) => fault("/values", "stands beside `signal` or `value`"),
        }
    }
}

/// `values`: cells of a frame, or columns.
struct ValuesSeed<'s, 'a> {
    sink: &'s mut Sink<'a>,
    columns: &'s mut Vec<(Cow<'a, str>, Vec<Scalar<'a>>)>,
}

impl<'a> DeserializeSeed<'a> for ValuesSeed<'_, 'a> {
    /// What stood there, if it was no object.
    type Value = Option<Scalar<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> ValuesSeed<'_, 'a> {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature that `otherwise` calls")]
    fn other<E: Error>(self, given: Scalar<'a>) -> Result<Option<Scalar<'a>>, E> {
        Ok(Some(given))
    }
}

impl<'a> Visitor<'a> for ValuesSeed<'_, 'a> {
    type Value = Option<Scalar<'a>>;
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<Self::Value, A::Error> {
        AnyScalar.visit_seq(elements).map(Some)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while let Some(signal) = fields.next_key_seed(Name)? {
            let mut column = Vec::new();
            match fields.next_value_seed(CellSeed { column: &mut column, sink: &mut *self.sink })? {
                Scalar::Array => {
                    // An empty column costs memory too.
                    self.sink.in_columns += usize::from(column.is_empty());
                    self.columns.push((signal, column));
                }
                value => self.sink.parsed.cells.push(Cell { signal, value }),
            }
            self.sink.check_limit()?;
        }
        Ok(None)
    }
}

/// A value of a frame, or a column.
struct CellSeed<'s, 'a> {
    column: &'s mut Vec<Scalar<'a>>,
    sink: &'s mut Sink<'a>,
}

impl<'a> DeserializeSeed<'a> for CellSeed<'_, 'a> {
    type Value = Scalar<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> CellSeed<'_, 'a> {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature that `otherwise` calls")]
    fn other<E: Error>(self, given: Scalar<'a>) -> Result<Scalar<'a>, E> {
        Ok(given)
    }
}

impl<'a> Visitor<'a> for CellSeed<'_, 'a> {
    type Value = Scalar<'a>;
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while let Some(value) = elements.next_element_seed(AnyScalar)? {
            self.column.push(value);
            self.sink.in_columns += 1;
            self.sink.check_limit()?;
        }
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<Self::Value, A::Error> {
        AnyScalar.visit_map(fields)
    }
}

/// Signals of a `quality` that are kept: no type has more.
const MOST_QUALITIES: usize = 10_000;

/// `quality`: one for all, or by signal.
struct QualitySeed;

impl<'a> DeserializeSeed<'a> for QualitySeed {
    type Value = Quality<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl QualitySeed {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature that `otherwise` calls")]
    fn other<'a, E: Error>(self, given: Scalar<'a>) -> Result<Quality<'a>, E> {
        Ok(Quality::One(given))
    }
}

impl<'a> Visitor<'a> for QualitySeed {
    type Value = Quality<'a>;
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<Self::Value, A::Error> {
        AnyScalar.visit_seq(elements).map(Quality::One)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut each = Vec::new();
        while let Some(signal) = fields.next_key_seed(Name)? {
            let value = fields.next_value_seed(AnyScalar)?;
            if each.len() < MOST_QUALITIES {
                each.push(Cell { signal, value });
            }
        }
        Ok(Quality::Each(each))
    }
}

/// `timestamps`: none when it is no array.
struct StampsSeed<'s, 'a>(&'s mut Sink<'a>);

impl<'a> DeserializeSeed<'a> for StampsSeed<'_, 'a> {
    type Value = Option<Vec<Stamp>>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> StampsSeed<'_, 'a> {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature that `otherwise` calls")]
    fn other<E: Error>(self, _: Scalar<'a>) -> Result<Option<Vec<Stamp>>, E> {
        Ok(None)
    }
}

impl<'a> Visitor<'a> for StampsSeed<'_, 'a> {
    type Value = Option<Vec<Stamp>>;
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut instants = Vec::new();
        while let Some(given) = elements.next_element_seed(AnyScalar)? {
            instants.push(Stamp::from(&given));
            self.0.check_stamps(instants.len())?;
        }
        Ok(Some(instants))
    }

    fn visit_map<A: MapAccess<'a>>(self, fields: A) -> Result<Self::Value, A::Error> {
        AnyScalar.visit_map(fields).map(|_| None)
    }
}
