//! JSON values that are not asked what they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::item::Scalar;

/// Visitor methods for all that is neither array nor object: they end in `self.other(scalar)`.
macro_rules! otherwise {
    ($a:lifetime) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON")
        }

        fn visit_bool<E: Error>(self, given: bool) -> Result<Self::Value, E> {
            self.other(Scalar::Bool(given))
        }

        fn visit_i64<E: Error>(self, given: i64) -> Result<Self::Value, E> {
            self.other(Scalar::Number(given as f64))
        }

        fn visit_u64<E: Error>(self, given: u64) -> Result<Self::Value, E> {
            self.other(Scalar::Number(given as f64))
        }

        fn visit_f64<E: Error>(self, given: f64) -> Result<Self::Value, E> {
            self.other(Scalar::Number(given))
        }

        fn visit_borrowed_str<E: Error>(self, given: &$a str) -> Result<Self::Value, E> {
            self.other(Scalar::Text(std::borrow::Cow::Borrowed(given)))
        }

        fn visit_str<E: Error>(self, given: &str) -> Result<Self::Value, E> {
            self.other(Scalar::Text(std::borrow::Cow::Owned(given.to_owned())))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            self.other(Scalar::Null)
        }
    };
}
pub(super) use otherwise;

/// A name of a field.
pub(super) struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Any value; arrays and objects are read to their end and named.
pub(super) struct AnyScalar;

impl<'a> DeserializeSeed<'a> for AnyScalar {
    type Value = Scalar<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl AnyScalar {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature that `otherwise` calls")]
    fn other<'a, E: Error>(self, given: Scalar<'a>) -> Result<Scalar<'a>, E> {
        Ok(given)
    }
}

impl<'a> Visitor<'a> for AnyScalar {
    type Value = Scalar<'a>;
    otherwise!('a);

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_key_seed(Name)?.is_some() {
            fields.next_value_seed(Self)?;
        }
        Ok(Scalar::Object)
    }
}
