//! Names that people choose for assets, asset types, signals and attributes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest key, in bytes.
const MAX: usize = 128;

/// A name of 1 to 128 letters, digits and `._:-`, beginning with a letter or digit. Upper and
/// lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// What is wrong with a text that should be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a key: 1 to 128 letters, digits and ._:- that begin with a letter or digit")]
pub struct NotAKey;

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text could be a key.
    #[must_use]
    pub fn fits(text: &str) -> bool {
        let tail = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        text.len() <= MAX && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(tail)
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Key {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        if Self::fits(&text) { Ok(Self(text)) } else { Err(NotAKey) }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl utoipa::PartialSchema for Key {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"))
            .description(Some("A name that people choose. Upper and lower case differ."))
            .examples(["pump-1"])
            .into()
    }
}

impl utoipa::ToSchema for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_plain_names() {
        for right in ["a", "7", "Tank-1", "plant:line.2_b", &"a".repeat(128)] {
            assert!(Key::fits(right), "{right} was refused");
        }
        for wrong in ["", ".", "..", "-a", "a b", "a/b", "ü", "a\0", "../../etc/passwd", &"a".repeat(129)] {
            assert!(!Key::fits(wrong), "{wrong:?} was taken");
        }
    }
}
