//! Strict JSON for bodies of configuration size.
//!
//! What serde lets pass by itself is refused here: duplicate keys, U+0000 (Postgres cannot store
//! it) and an array where an object belongs. Every fault knows the JSON pointer of its value.
//! Ingest has a parser of its own: this one builds a tree first, which is too slow there.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_json::{Map, Number, Value};

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but not what was asked for.
    #[error("{0}")]
    Shape(Fault),
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// From the innermost outwards.
    segments: Vec<String>,
    /// What is wrong.
    pub detail: String,
}

impl Fault {
    /// The JSON pointer (RFC 6901) of the value; empty for the whole document.
    #[must_use]
    pub fn pointer(&self) -> String {
        pointer(self.segments.iter().rev())
    }

    fn under(mut self, segment: impl Into<String>) -> Self {
        self.segments.push(segment.into());
        self
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { segments: Vec::new(), detail: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { segments: vec![field.to_owned()], detail: "is missing".to_owned() }
    }
}

/// Reads a document into the shape that is wanted.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let value = parse(bytes)?;
    shape(&value).map_err(JsonError::Shape)
}

/// Reads a document as a tree.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let fault = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let tree = Tree { fault: &fault, path: Vec::new() };
    let parsed = tree.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| match fault.into_inner() {
        Some(fault) => JsonError::Shape(fault),
        None if bytes.starts_with(b"\xef\xbb\xbf") => JsonError::Syntax("begins with a byte order mark".to_owned()),
        None => JsonError::Syntax(error.to_string()),
    })
}

/// Fits a tree into the shape that is wanted.
pub fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    T::deserialize(Node(value))
}

fn pointer<'a>(segments: impl Iterator<Item = &'a String>) -> String {
    segments.fold(String::new(), |mut text, segment| {
        text.push('/');
        text.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        text
    })
}

/// First pass: text to tree.
struct Tree<'a> {
    /// What was found by us rather than by the parser.
    fault: &'a RefCell<Option<Fault>>,
    path: Vec<String>,
}

impl Tree<'_> {
    fn child(&self, segment: String) -> Self {
        let mut path = self.path.clone();
        path.push(segment);
        Self { fault: self.fault, path }
    }

    fn refuse<E: de::Error>(&self, detail: &str) -> E {
        let segments = self.path.iter().rev().cloned().collect();
        *self.fault.borrow_mut() = Some(Fault { segments, detail: detail.to_owned() });
        E::custom(detail)
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse("is not a finite number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(self.refuse("contains U+0000, which cannot be stored"));
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.child(items.len().to_string()))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let child = self.child(key.clone());
            if key.contains('\0') {
                return Err(self.refuse("has a key with U+0000, which cannot be stored"));
            }
            if object.contains_key(&key) {
                return Err(child.refuse("appears twice"));
            }
            let value = map.next_value_seed(child)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Second pass: tree to shape.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

impl Node<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Null => Unexpected::Other("null"),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("a number"),
            Value::String(value) => Unexpected::Str(value),
            Value::Array(_) => Unexpected::Other("an array"),
            Value::Object(_) => Unexpected::Other("an object"),
        }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            // serde's own text for a unit would be "unit value", which nobody but a Rust programmer knows.
            Value::Null => visitor.visit_unit::<Fault>().map_err(|fault| {
                if fault.detail.starts_with("invalid type: unit value") {
                    Fault { detail: fault.detail.replacen("unit value", "null", 1), ..fault }
                } else {
                    fault
                }
            }),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(Fault::custom("is not a finite number")),
            },
            Value::String(value) => visitor.visit_str(value),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Object(object) => visitor.visit_map(Members { members: object.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.0.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(Fault::invalid_type(self.unexpected(), &visitor))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Value::Object(_) => self.0.clone().deserialize_enum(name, variants, visitor).map_err(Fault::custom),
            _ => Err(Fault::invalid_type(self.unexpected(), &visitor)),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|fault| fault.under(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members<'a> {
    members: serde_json::map::Iter<'a>,
    current: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.members.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let key_reader: de::value::StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(key_reader).map(Some).map_err(|fault| fault.under(key.clone()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self.current.take().expect("serde asks for a value after its key");
        seed.deserialize(Node(value)).map_err(|fault| fault.under(key.clone()))
    }
}

#[cfg(test)]
mod tests;
