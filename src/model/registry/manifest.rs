//! A base model as it is brought: card, golden answer and weights in one document, checked as far as that can
//! be done without the network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::AUTO;
use super::golden::Golden;
use crate::asset::Key;
use crate::model::artefact::{self, ArtefactError};
use crate::model::base::{BaseCard, SIZE, hex};
use crate::model::choice::BaseChoice;
use crate::model::network::Size;
use crate::web::problem::FieldError;

/// Bytes of weights at most: in base64 they fit a body with room for the rest.
pub const MAX_WEIGHTS: usize = 11 << 20;
/// Bytes of a card at most: lists show it whole.
const MAX_CARD: usize = 64 << 10;

/// A base model to be; `counterpart base pack` writes it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewBaseModel {
    /// What is known of it, as `counterpart pretrain` wrote it. Its name is what asset types will name.
    pub card: BaseCard,
    /// An input and what the weights answer to it.
    pub golden: Golden,
    /// safetensors with the size among its metadata, in base64; at most 11 MiB before.
    #[schema(format = Byte)]
    pub weights: String,
}

/// One that nothing speaks against yet.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) choice: BaseChoice,
    pub(super) golden: Golden,
    /// Of the weights.
    pub(super) sha256: [u8; 32],
}

impl NewBaseModel {
    /// Weights and their card as a document.
    pub(super) fn of(choice: &BaseChoice, golden: Golden) -> Self {
        Self { card: choice.card(), golden, weights: STANDARD.encode(choice.weights()) }
    }

    /// Checks name, size, hash, header and golden input. All faults are found, each with its JSON pointer;
    /// nothing is made in a size that has not been checked.
    pub(super) fn check(self) -> Result<Checked, Vec<FieldError>> {
        let Self { mut card, golden, weights } = self;
        let mut faults = golden.faults();
        let mut add = |pointer: &str, detail: String| faults.push(FieldError { pointer: pointer.to_owned(), detail });
        if !Key::fits(&card.name) {
            add("/card/name", crate::asset::key::NotAKey.to_string());
        } else if card.name == AUTO {
            add("/card/name", format!("is {AUTO}, by which types leave the choice to jobs"));
        }
        if serde_json::to_vec(&card).is_ok_and(|text| text.len() > MAX_CARD) {
            add("/card", format!("has more than {} KiB", MAX_CARD >> 10));
        }
        if let Err((field, detail)) = card.size.check() {
            add(&format!("/card/size/{field}"), detail);
        }
        card.sha256.make_ascii_lowercase();
        let sha256 = match decoded(&weights) {
            Err(detail) => {
                add("/weights", detail);
                None
            }
            Ok(bytes) => {
                let sha256 = artefact::digest(&bytes);
                if hex(&sha256) != card.sha256 {
                    add("/card/sha256", format!("is not that of the weights, {}", hex(&sha256)));
                }
                for (pointer, detail) in header_faults(&bytes, &card) {
                    add(pointer, detail);
                }
                Some((sha256, bytes))
            }
        };
        match sha256 {
            Some((sha256, bytes)) if faults.is_empty() => {
                Ok(Checked { choice: BaseChoice::own(card, bytes), golden, sha256 })
            }
            _ => Err(faults),
        }
    }
}

/// Weights from base64, unless they are too many.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    // Three bytes become four characters.
    if text.len() / 4 > MAX_WEIGHTS / 3 {
        return Err(format!("hold more than {} MiB", MAX_WEIGHTS >> 20));
    }
    STANDARD.decode(text).map_err(|_| "are not base64".to_owned())
}

/// What of a header does not fit a card.
fn header_faults(bytes: &[u8], card: &BaseCard) -> Vec<(&'static str, String)> {
    let read = artefact::note(bytes, SIZE).and_then(|size| Ok((size, artefact::count(bytes, "head.")?)));
    let (size, (all, head)) = match read {
        Ok(read) => read,
        Err(error) => return vec![("/weights", told(&error))],
    };
    let mut faults = Vec::new();
    match size.map(|text| serde_json::from_str::<Size>(&text)) {
        Some(Ok(size)) if size == card.size => {}
        Some(Ok(_)) => faults.push(("/card/size", "is not that among the metadata of the weights".to_owned())),
        _ => faults.push(("/weights", format!("have no {SIZE} among their metadata, as pretraining writes it"))),
    }
    let counts = [("/card/parameters", card.parameters, all), ("/card/head_parameters", card.head_parameters, head)];
    for (pointer, said, counted) in counts {
        if usize::try_from(said) != Ok(counted) {
            faults.push((pointer, format!("is {said}, and the weights hold {counted} numbers")));
        }
    }
    faults
}

/// What a reason to refuse weights is about, and the reason.
pub(super) fn fault(error: &ArtefactError) -> FieldError {
    let pointer = if *error == ArtefactError::Damaged { "/card/sha256" } else { "/weights" };
    FieldError { pointer: pointer.to_owned(), detail: told(error) }
}

/// `the weights ...` of an error, as a detail of the weights.
fn told(error: &ArtefactError) -> String {
    error.to_string().replace("the weights ", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::registry::golden::Input;

    fn copy() -> NewBaseModel {
        let expected = vec![0.0; 32 * crate::model::LEVELS.len()];
        let golden = Golden { input: Input::USUAL, expected, tolerance: 1e-4 };
        let mut new = NewBaseModel::of(&BaseChoice::default(), golden);
        "mine".clone_into(&mut new.card.name);
        new
    }

    /// Pointers of what is wrong with a copy that was changed.
    fn wrong(change: impl FnOnce(&mut NewBaseModel)) -> Vec<String> {
        let mut new = copy();
        change(&mut new);
        new.check().unwrap_err().into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_copy_of_the_shipped_one_has_no_fault() {
        let mut new = copy();
        new.card.sha256.make_ascii_uppercase();
        let checked = new.check().unwrap();
        assert_eq!(checked.choice.name(), "mine");
        assert_eq!(hex(&checked.sha256), BaseChoice::default().card().sha256);
        checked.choice.load().unwrap();
    }

    #[test]
    fn every_fault_is_told_by_its_field() {
        assert_eq!(wrong(|new| "not a key".clone_into(&mut new.card.name)), ["/card/name"]);
        assert_eq!(wrong(|new| AUTO.clone_into(&mut new.card.name)), ["/card/name"]);
        assert_eq!(wrong(|new| new.card.sha256 = "0".repeat(64)), ["/card/sha256"]);
        assert_eq!(wrong(|new| new.card.size.width = 1 << 40), ["/card/size/width", "/card/size"]);
        assert_eq!(wrong(|new| new.card.size = Size::BASE), ["/card/size"]);
        assert_eq!(wrong(|new| new.card.parameters = -1), ["/card/parameters"]);
        assert_eq!(wrong(|new| new.card.head_parameters += 1), ["/card/head_parameters"]);
        assert_eq!(wrong(|new| new.card.commit = Some("0".repeat(MAX_CARD))), ["/card"]);
        assert_eq!(wrong(|new| "%%%".clone_into(&mut new.weights)), ["/weights"]);
        assert_eq!(wrong(|new| new.weights = "A".repeat(4 * (MAX_WEIGHTS / 3) + 8)), ["/weights"]);
        let text = STANDARD.encode("weights in a language of our own");
        let sha256 = hex(&artefact::digest(b"weights in a language of our own"));
        assert_eq!(wrong(|new| (new.weights, new.card.sha256) = (text, sha256)), ["/weights"]);
        assert_eq!(wrong(|new| new.golden.tolerance = 1.0), ["/golden/tolerance"]);
    }
}
