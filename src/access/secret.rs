//! The text of a key: `cpk_`, eight characters by which people recognise it, and its secret.

use std::fmt;

use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every key begins with, so that a scanner of secrets finds one that got into the wrong hands.
pub(super) const BEGINNING: &str = "cpk_";
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the beginning that differ from key to key and are shown.
const SHOWN: usize = 8;
/// Characters of the secret: 62^43 > 2^256.
const SECRET: usize = 43;
/// Characters by which a key is recognised.
const PREFIX: usize = BEGINNING.len() + SHOWN;

/// A whole key. Shown once, to whoever asked for it; never written into a log.
#[derive(Clone)]
pub struct Secret(String);

/// SHA-256 of a key.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Secret {
    /// A new one, from the system's source of randomness.
    pub fn mint() -> Result<Self, SysError> {
        Ok(Self(format!("{BEGINNING}{}_{}", letters(SHOWN)?, letters(SECRET)?)))
    }

    /// A key as a client sends it; `None` for what no key looks like.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (prefix, secret) = text.strip_prefix(BEGINNING)?.split_once('_')?;
        let plain = |part: &str, length: usize| part.len() == length && part.bytes().all(|c| c.is_ascii_alphanumeric());
        (plain(prefix, SHOWN) && plain(secret, SECRET)).then(|| Self(text.to_owned()))
    }

    /// The characters by which people recognise it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX]
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(Sha256::digest(&self.0).into())
    }

    /// The key itself, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}_...)", self.prefix())
    }
}

impl Hash {
    /// What was kept; `None` for what is no hash.
    #[must_use]
    pub fn kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// For the database.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

/// Characters that are each as likely as any other.
fn letters(count: usize) -> Result<String, SysError> {
    // The largest multiple of 62 in a byte: what lies beyond would make the first characters likelier.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        SysRng.try_fill_bytes(&mut bytes)?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR).take(count - text.len());
        text.extend(fair.map(|byte| char::from(LETTERS[usize::from(byte % 62)])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LENGTH: usize = PREFIX + 1 + SECRET;

    #[test]
    fn keys_are_long_plain_and_never_the_same() {
        let keys: Vec<Secret> = (0..200).map(|_| Secret::mint().unwrap()).collect();
        assert!(SECRET as f64 * 62_f64.log2() >= 256.0);
        let different: HashSet<&str> = keys.iter().map(Secret::reveal).collect();
        assert_eq!(different.len(), keys.len());
        for key in &keys {
            assert_eq!(key.reveal().len(), LENGTH);
            assert_eq!(Secret::read(key.reveal()).unwrap().prefix(), key.prefix());
        }
        // All 62 characters come up in 8,600 draws unless they are drawn wrongly.
        let drawn: HashSet<u8> = keys.iter().flat_map(|key| key.reveal()[PREFIX + 1..].bytes()).collect();
        assert_eq!(drawn.len(), 62);
    }

    #[test]
    fn what_no_key_looks_like_is_none() {
        let key = Secret::mint().unwrap();
        let key = key.reveal();
        for wrong in ["", "cpk_", "cpk_aaaaaaaa_", &key[..LENGTH - 1], &format!("{key}a"), &key.replace("cpk", "cpx")] {
            assert!(Secret::read(wrong).is_none(), "{wrong} was taken");
        }
        assert!(Secret::read(&format!("{}é", &key[..LENGTH - 2])).is_none());
        assert!(
            Secret::read(&key.replacen(|c: char| c.is_ascii_digit(), "-", 1)).is_none_or(|same| same.reveal() == key)
        );
    }

    #[test]
    fn a_hash_is_that_of_the_standard_and_tells_keys_apart() {
        let key = Secret::read("cpk_aaaaaaaa_0123456789012345678901234567890123456789abc").unwrap();
        let same = Hash::kept(&Sha256::digest(key.reveal())).unwrap();
        assert!(key.hash().is(&same));
        for bit in [0, 100, 255] {
            let mut other = same.0;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.hash().is(&Hash(other)), "bit {bit}");
        }
        assert!(Hash::kept(&[0; 31]).is_none());
    }

    #[test]
    fn debug_output_hides_it() {
        let key = Secret::mint().unwrap();
        let shown = format!("{key:?} {:?}", key.hash());
        assert!(!shown.contains(&key.reveal()[PREFIX + 1..]), "{shown}");
    }
}
