//! The weights of a version, ready to answer: its head, and its backbone where that is its own.

use super::artefact::ArtefactError;
use super::base::Base;
use super::dense::Arithmetic;
use super::lean;
use super::network::Head;
use super::thaw::own_backbone;

/// A head, laid out for answering, and the backbone that it stands on where that is not the base model's as it is.
#[derive(Debug)]
pub(super) struct Tuned {
    head: lean::Head,
    own: Option<lean::Backbone>,
}

impl Tuned {
    /// Lays out a head that was loaded from an artefact, with what else the artefact has.
    pub(super) fn new(base: &Base, head: &Head, artefact: &[u8]) -> Result<Self, ArtefactError> {
        let own = own_backbone(&base.backbone, artefact)?;
        let below = own.as_ref().unwrap_or(&base.backbone);
        let head = lean::Head::new(head, below, Arithmetic::SERVING);
        Ok(Self { head, own: own.map(|own| lean::Backbone::new(&own, Arithmetic::SERVING)) })
    }

    /// What answers, on the base model that it was laid out for.
    pub(super) fn parts<'a>(&'a self, base: &'a Base) -> (&'a lean::Backbone, &'a lean::Head) {
        (self.own.as_ref().unwrap_or(&base.lean), &self.head)
    }

    /// Whether its backbone is its own.
    pub(super) fn stands_apart(&self) -> bool {
        self.own.is_some()
    }
}
