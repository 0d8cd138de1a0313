//! What of the network learns in an attempt: where its losses and its gradients come from.

use tch::Tensor;

use super::gradient::{penalty, pull};
use super::{Beginning, Class};
use crate::model::by_hand;
use crate::model::freeze::Freeze;
use crate::model::lesson::validate;
use crate::model::network::Head;
use crate::model::recipe::Recipe;
use crate::model::thaw::Thawed;
use crate::model::trainee::{TraineeError, dropout, paired_variables};

/// What learns under a freeze policy, and what it learns from.
pub(super) struct Pupil<'a> {
    class: &'a Class<'a>,
    beginning: &'a Beginning<'a>,
    pub(super) freeze: Freeze,
    /// What of the backbone learns with the head.
    pub(super) thawed: Thawed,
    /// All that learns, each variable beside what it was at the beginning.
    start: Vec<(Tensor, Tensor)>,
}

impl<'a> Pupil<'a> {
    /// What a policy lets learn of `head`, which is the beginning's still.
    pub(super) fn new(
        class: &'a Class<'a>,
        beginning: &'a Beginning<'a>,
        (freeze, seed): (Freeze, u64),
        head: &Head,
    ) -> Self {
        let backbone = &class.base.backbone;
        let thawed = Thawed::new(backbone, freeze, seed);
        let mut start = match freeze {
            Freeze::Head => last_beside(head, &beginning.head),
            _ => paired_variables(head.store(), beginning.head.store()),
        };
        start.extend(thawed.beside(backbone));
        Self { class, beginning, freeze, thawed, start }
    }

    /// The mean loss on the validation windows.
    pub(super) fn validation_loss(&self, recipe: &Recipe, head: &Head) -> f64 {
        match self.freeze {
            Freeze::Head => self.beginning.thoughts(self.class)[1].mean_loss(recipe, head),
            _ => validate(recipe, self.class.validation(self.freeze), &self.thawed, head),
        }
    }

    /// What is dropped in a step on so many windows.
    pub(super) fn mask(
        &self,
        draw: &mut rand_chacha::ChaCha8Rng,
        recipe: &Recipe,
        head: &Head,
        windows: usize,
    ) -> Option<Mask> {
        let future = self.class.train(self.freeze).future();
        let shape = match self.freeze {
            Freeze::Head => head.last_dropout_shape(windows, future),
            _ => head.dropout_shape(windows, future),
        };
        dropout(draw, recipe.dropout, shape.iter().product()).map(|numbers| Mask { numbers, shape })
    }

    /// The mean loss on the chosen windows, without penalties, and with them the gradient of all that learns; where the loss
    /// is not a finite number there is no gradient.
    pub(super) fn learn(
        &self,
        recipe: &Recipe,
        head: &Head,
        windows: &[usize],
        mask: Option<&Mask>,
    ) -> Result<f64, TraineeError> {
        let material = self.class.train(self.freeze);
        let numbers = mask.map(|mask| &mask.numbers[..]);
        let ((loss, gradient), variables) = match (self.freeze, &self.thawed) {
            (Freeze::Head, _) => {
                let [thoughts, _] = self.beginning.thoughts(self.class);
                (thoughts.gradient(recipe, head, windows, numbers), by_hand::last_variables(head))
            }
            (_, Thawed::Nothing) => {
                (material.reading().gradient(recipe, head, windows, numbers), by_hand::variables(head))
            }
            (_, thawed) => {
                let mask = mask.map(|mask| Tensor::from_slice(&mask.numbers).view(mask.shape.as_slice()));
                let rows = Tensor::from_slice(&windows.iter().map(|row| *row as i64).collect::<Vec<_>>());
                let features = material.features(thawed, &rows);
                let loss = material.loss(recipe, head, &features, Some(&rows), mask.as_ref());
                let value = f64::try_from(loss.detach())?;
                if value.is_finite() {
                    (loss + penalty(recipe, &self.start, thawed)).f_backward()?;
                }
                return Ok(value);
            }
        };
        if loss.is_finite() {
            by_hand::put(variables, gradient)?;
            pull(recipe, &self.start);
        }
        Ok(loss)
    }
}

/// What numbers are multiplied by so that some are dropped.
pub(super) struct Mask {
    numbers: Vec<f32>,
    shape: [i64; 4],
}

/// The variables of a head's last layer, each beside that of another.
fn last_beside(head: &Head, other: &Head) -> Vec<(Tensor, Tensor)> {
    let others = by_hand::last_variables(other).into_iter().map(|variable| variable.detach());
    by_hand::last_variables(head).into_iter().zip(others).collect()
}
