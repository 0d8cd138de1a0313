//! Secrets and signatures, as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, in base64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::Sha256;

/// What every secret begins with.
const BEGINNING: &str = "whsec_";
/// Random bytes of a secret.
const BYTES: usize = 32;

/// What events for one receiver are signed with. Shown once; never written into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one, from the system's source of randomness.
    pub fn mint() -> Result<Self, SysError> {
        let mut bytes = [0; BYTES];
        SysRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(format!("{BEGINNING}{}", STANDARD.encode(bytes))))
    }

    /// One that was kept.
    #[must_use]
    pub(super) fn kept(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: for the one answer that shows it, and for the database.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The signature of a message, as it stands in the header: `v1,` and base64.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let encoded = self.0.strip_prefix(BEGINNING).unwrap_or(&self.0);
        // What was kept is always base64; anything else would sign as it stands.
        let key = STANDARD.decode(encoded).unwrap_or_else(|_| encoded.as_bytes().to_vec());
        let mut code = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
        code.update(format!("{id}.{timestamp}.").as_bytes());
        code.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The vector of the reference libraries.
        let secret = Secret::kept("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_long_never_the_same_and_hidden_in_logs() {
        let (one, other) = (Secret::mint().unwrap(), Secret::mint().unwrap());
        assert_ne!(one, other);
        let bytes = STANDARD.decode(one.reveal().strip_prefix(BEGINNING).unwrap()).unwrap();
        assert_eq!(bytes.len(), BYTES);
        assert_eq!(format!("{one:?}"), "Secret(..)");
        assert_ne!(one.sign("a", 1, "b"), other.sign("a", 1, "b"));
        assert_ne!(one.sign("a", 1, "b"), one.sign("a", 2, "b"));
    }
}
