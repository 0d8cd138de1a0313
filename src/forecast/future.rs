//! Futures of the inputs, and what their answers share.

use super::answer::InputSource;
use crate::model::Quantiles;

/// A future of the inputs: a row for each input of the layout, in its unit, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Future {
    /// As long as whole patches need, at least the horizon.
    pub rows: Vec<Vec<f64>>,
    /// For each row.
    pub sources: Vec<InputSource>,
}

impl Future {
    /// Steps until the first at which an input differs.
    fn alike(&self, other: &Self) -> usize {
        let equal = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        self.rows.iter().zip(&other.rows).map(equal).min().unwrap_or(usize::MAX)
    }
}

/// Futures that begin as the first one does are answered as it is until they differ: nothing follows
/// from what has not happened yet, while arithmetic in another row of a batch may differ in its
/// last bit.
pub(super) fn share_beginnings(futures: &[Future], answers: &mut [Vec<Quantiles>]) {
    let (Some((first, others)), Some((shared, own))) = (futures.split_first(), answers.split_first_mut()) else {
        return;
    };
    for (future, answers) in others.iter().zip(own) {
        for (answer, shared) in answers.iter_mut().zip(shared.iter()) {
            let alike = first.alike(future).min(answer.len());
            answer[..alike].copy_from_slice(&shared[..alike]);
        }
    }
}
