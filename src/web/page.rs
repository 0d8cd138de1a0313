//! Lists in pages, by keyset: a cursor names the last item seen, so that pages neither skip nor
//! repeat items when others are added or removed meanwhile.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// Items of a page unless the caller asks otherwise.
const DEFAULT: u32 = 100;
/// Items of a page at most.
const MAX: u32 = 1000;
/// Bytes of checksum at the front of a cursor.
const CHECK: usize = 4;

/// One page of a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

/// How many items a page has at most: 1 to 1,000, by default 100.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
pub struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=MAX).contains(&limit) { Ok(Self(limit)) } else { Err(format!("is not between 1 and {MAX}")) }
    }
}

impl Limit {
    /// Items of a page.
    #[must_use]
    pub fn items(self) -> usize {
        self.0 as usize
    }

    /// What to ask the database for: one more than a page, which tells whether there is a next.
    #[must_use]
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl<T> Page<T> {
    /// A page of `rows`, of which there may be one more than a page holds; `position` is what the
    /// next page starts after.
    #[must_use]
    pub fn of<P: Serialize>(list: &'static str, mut rows: Vec<T>, limit: Limit, position: impl Fn(&T) -> P) -> Self {
        let more = rows.len() > limit.items();
        rows.truncate(limit.items());
        let next = rows.last().filter(|_| more).map(|last| cursor(list, &position(last)));
        Self { items: rows, next }
    }

    /// The same page with each item turned into something else.
    #[must_use]
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(turn).collect(), next: self.next }
    }
}

/// A position in a list as an opaque text. `list` names the list, so that a cursor of another one
/// is refused.
#[must_use]
pub fn cursor<P: Serialize>(list: &'static str, position: &P) -> String {
    let bytes = serde_json::to_vec(position).unwrap_or_default();
    hex(&check(list, &bytes)) + &hex(&bytes)
}

/// The position that a cursor of this list names.
pub fn position<P: DeserializeOwned>(list: &'static str, cursor: &str) -> Result<P, Problem> {
    let refuse = || Problem::invalid("cursor", "is not a cursor of this list; take it from `next` as it is");
    let bytes = unhex(cursor).filter(|bytes| bytes.len() > CHECK).ok_or_else(refuse)?;
    let (sum, position) = bytes.split_at(CHECK);
    if sum != check(list, position) {
        return Err(refuse());
    }
    serde_json::from_slice(position).map_err(|_| refuse())
}

fn check(list: &'static str, bytes: &[u8]) -> [u8; CHECK] {
    let digest = Sha256::new().chain_update(list).chain_update([0]).chain_update(bytes).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        let text = cursor("assets", &("pump-1", 3));
        assert_eq!(position::<(String, i32)>("assets", &text).unwrap(), ("pump-1".to_owned(), 3));
    }

    #[test]
    fn an_altered_or_foreign_cursor_is_refused() {
        let text = cursor("assets", &"pump-1");
        let altered = text.replace('7', "6");
        assert_ne!(text, altered);
        for wrong in ["", "x", "é", "00", "abc", &altered, &text[..text.len() - 2]] {
            assert!(position::<String>("assets", wrong).is_err(), "{wrong:?} was taken");
        }
        assert!(position::<String>("types", &text).is_err());
    }

    #[test]
    fn a_page_knows_whether_there_is_more() {
        let limit = Limit::try_from(2).unwrap();
        let page = Page::of("numbers", vec![1, 2, 3], limit, |n| *n);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(position::<i32>("numbers", &page.next.unwrap()).unwrap(), 2);
        assert!(Page::of("numbers", vec![1, 2], limit, |n| *n).next.is_none());
        assert!(Limit::try_from(0).is_err() && Limit::try_from(1001).is_err());
    }
}
