//! Which base model a job learns on, and which one what serves stands on.
//!
//! A type names one, or leaves the choice to its jobs: then the head that each base model came with, untaught
//! and with the asset's own experts, answers the windows that stop the training, and the least loss is learned
//! on. The windows that judge have no say in it.

use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::card::DataCard;
use super::heard::answers;
use super::learner::{Champion, LearnError};
use crate::asset::{AUTO, AssetType};
use crate::features::TargetExamples;
use crate::model::registry::{self, without_version};
use crate::model::trainee::Example;
use crate::model::{Base, BaseChoice, LEVELS, Quantiles};

/// The base models that a job has to do with.
#[derive(Clone, Debug, Default)]
pub struct Bases {
    /// Those that it may learn on, in the order that wins ties; none leaves it to the learner.
    pub tried: Vec<BaseChoice>,
    /// The one that answers where no version serves; the learner's where none is tried.
    pub without: BaseChoice,
    /// That of the version that serves; `None` without one, or where it is gone.
    pub champion: Option<BaseChoice>,
}

/// What came of trying a base model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tried {
    /// Its name.
    pub base: String,
    /// Mean loss of its untaught head on the validation windows, where CRPS is approximated in units of each
    /// window's deviation; null where it could not answer.
    pub loss: Option<f64>,
}

impl Bases {
    /// What a job on an asset of a type has to do with; otherwise why it cannot learn.
    pub(super) async fn of(
        db: &PgPool,
        asset_type: &AssetType,
        champion: Option<&Champion>,
    ) -> sqlx::Result<Result<Self, String>> {
        let wanted = asset_type.document.base_model.as_deref();
        let Some(without) = registry::find(db, without_version(wanted)).await? else {
            return Ok(Err(format!("the base model {} of its type is not there", without_version(wanted))));
        };
        let tried = if wanted == Some(AUTO) { registry::all(db).await? } else { vec![without.clone()] };
        let champion = match champion {
            Some(champion) => registry::find(db, &champion.base).await?,
            None => None,
        };
        Ok(Ok(Self { tried, without, champion }))
    }

    /// The same for a learner of one base model.
    pub(super) fn or(self, own: &BaseChoice) -> Self {
        if self.tried.is_empty() { Self { tried: vec![own.clone()], without: own.clone(), ..self } } else { self }
    }

    /// What serves, as it must be judged: the version if it can answer, and the base model that it or the
    /// asset stands on where that is another than `chosen`.
    pub(super) fn serving<'a>(
        &self,
        champion: Option<&'a Champion>,
        chosen: &Base,
    ) -> Result<(Option<&'a Champion>, Option<Base>), LearnError> {
        let name = &chosen.card.name;
        if let Some(champion) = champion {
            if champion.base == *name {
                return Ok((Some(champion), None));
            }
            let own = self.champion.as_ref().filter(|base| base.name() == champion.base);
            match own.map(BaseChoice::load) {
                Some(Ok(base)) => return Ok((Some(champion), Some(base))),
                // It cannot answer either.
                Some(Err(error)) => tracing::error!(
                    model.base = champion.base,
                    error = &error as &dyn std::error::Error,
                    "the champion's base model cannot be loaded"
                ),
                None => tracing::warn!(model.base = champion.base, "the champion's base model is unknown"),
            }
        }
        let without = if self.without.name() == name { None } else { Some(load(&self.without)?) };
        Ok((None, without))
    }
}

/// The base model to learn on, and what came of trying several. `alive` hears of each.
pub(super) fn choose(
    tried: &[BaseChoice],
    validation: &[TargetExamples],
    alive: &mut dyn FnMut() -> Result<(), LearnError>,
) -> Result<(Base, Vec<Tried>), LearnError> {
    if let [only] = tried {
        return Ok((load(only)?, Vec::new()));
    }
    let (mut best, mut told): (Option<(f64, Base)>, _) = (None, Vec::with_capacity(tried.len()));
    for choice in tried {
        alive()?;
        let base = match choice.load() {
            Ok(base) => base,
            Err(error) => {
                let name = choice.name();
                tracing::error!(model.base = name, error = &error as &dyn std::error::Error, "cannot be loaded");
                told.push(Tried { base: name.to_owned(), loss: None });
                continue;
            }
        };
        let loss = loss(&base, validation, alive)?;
        told.push(Tried { base: choice.name().to_owned(), loss: loss.is_finite().then_some(loss) });
        if loss.is_finite() && best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, base));
        }
    }
    let (_, base) = best.ok_or_else(|| LearnError::Other("no base model could answer".to_owned()))?;
    Ok((base, told))
}

fn load(choice: &BaseChoice) -> Result<Base, LearnError> {
    choice.load().map_err(|error| LearnError::Other(format!("the base model {}: {error}", choice.name())))
}

/// Mean loss of a base model's own head; infinite where it gives no answer, or there is nothing to answer.
fn loss(
    base: &Base,
    validation: &[TargetExamples],
    alive: &mut dyn FnMut() -> Result<(), LearnError>,
) -> Result<f64, LearnError> {
    let (mut sum, mut windows) = (0.0, 0.0);
    for part in validation {
        alive()?;
        let Ok(said) = answers(base, None, &part.examples) else { return Ok(f64::INFINITY) };
        let losses = part.examples.iter().zip(&said).filter_map(|(example, answer)| pinball(example, answer));
        for loss in losses {
            sum += loss;
            windows += 1.0;
        }
    }
    Ok(if windows > 0.0 { sum / windows } else { f64::INFINITY })
}

/// Mean pinball loss of an answer over levels and known steps, twice, in units of its window; `None` where
/// nothing was measured.
fn pinball(example: &Example, answer: &Quantiles) -> Option<f64> {
    let (mut sum, mut steps) = (0.0, 0.0);
    for (truth, row) in example.truth.iter().zip(answer).filter(|(truth, _)| truth.is_finite()) {
        let error = |(level, quantile): (&f64, &f64)| {
            let error = f64::from(*truth) - quantile;
            (error * level).max(error * (level - 1.0))
        };
        sum += LEVELS.iter().zip(row).map(error).sum::<f64>() / LEVELS.len() as f64;
        steps += 1.0;
    }
    (steps > 0.0).then(|| 2.0 * sum / steps / f64::from(example.unit))
}

impl DataCard {
    /// Which base model was chosen and how the others did, where several were tried.
    pub(super) fn choice_in_words(&self, chosen: &str) -> Option<String> {
        let loss = |tried: &Tried| tried.loss.map_or("no answer".to_owned(), |loss| format!("{loss:.4}"));
        let own = self.bases.iter().find(|tried| tried.base == chosen)?;
        let others: Vec<String> = self
            .bases
            .iter()
            .filter(|tried| tried.base != chosen)
            .map(|tried| format!("{} {}", tried.base, loss(tried)))
            .collect();
        Some(format!(
            "learned on the base model {chosen}, the best of {} on the validation windows (loss {}; {})",
            self.bases.len(),
            loss(own),
            others.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pretrain::synthetic;
    use crate::model::trainee;
    use crate::model::window::Window;

    fn validation() -> Vec<TargetExamples> {
        let examples = synthetic(5, 24, 64);
        let count = examples.len();
        vec![TargetExamples { target: 0, examples, origins: (0..count).collect(), scales: Vec::new() }]
    }

    #[test]
    fn one_base_model_is_not_tried() {
        let mut heard = 0;
        let mut alive = || {
            heard += 1;
            Ok(())
        };
        let (base, told) = choose(&[BaseChoice::default()], &validation(), &mut alive).unwrap();
        assert_eq!((&*base.card.name, told.len(), heard), ("small-2", 0, 0));
    }

    #[test]
    fn of_several_the_one_with_the_least_loss_is_learned_on_and_all_are_told() {
        let validation = validation();
        let tried = ["small-1", "small-2"].map(|name| BaseChoice::shipped(name).unwrap());
        let (base, told) = choose(&tried, &validation, &mut || Ok(())).unwrap();
        let losses: Vec<f64> = told.iter().map(|tried| tried.loss.unwrap()).collect();
        let least = if losses[0] <= losses[1] { "small-1" } else { "small-2" };
        assert_eq!(base.card.name, least, "{told:?}");
        let card = DataCard { bases: told, ..DataCard::default() };
        let words = card.choice_in_words(least).unwrap();
        assert!(words.contains(least) && words.contains("best of 2") && words.contains(&format!("{:.4}", losses[0])));
        assert_eq!(DataCard::default().choice_in_words("small-2"), None);
        // The loss is that by which training stops.
        let examples: Vec<&Window> = validation[0].examples.iter().map(|example| &example.window).collect();
        let said = trainee::answer(&base, None, &examples).unwrap();
        let by_hand = validation[0].examples.iter().zip(&said).filter_map(|(example, answer)| pinball(example, answer));
        let mean = by_hand.sum::<f64>() / said.len() as f64;
        assert!((mean - losses.iter().copied().fold(f64::INFINITY, f64::min)).abs() < 1e-9, "{mean} {losses:?}");
    }

    #[test]
    fn a_champion_of_another_base_model_is_judged_on_its_own() {
        let own = BaseChoice::shipped("small-1").unwrap();
        let champion = Champion {
            id: crate::ids::ModelId::mint(&crate::clock::Clock::system()),
            version: 1,
            base: "small-1".to_owned(),
            weights: trainee::untaught(&own.load().unwrap()).weights.into(),
            calibration: serde_json::Value::Null,
        };
        let chosen = BaseChoice::default().load().unwrap();
        let bases = Bases { champion: Some(own), ..Bases::default() };
        let (serves, base) = bases.serving(Some(&champion), &chosen).unwrap();
        assert_eq!((serves.map(|one| one.version), base.map(|base| base.card.name)), (Some(1), Some("small-1".into())));
        // What cannot be loaded does not serve: the base model of the type does.
        let (serves, base) = Bases::default().serving(Some(&champion), &chosen).unwrap();
        assert!(serves.is_none() && base.is_none());
        let same = own_base(&champion).load().unwrap();
        let (serves, base) = bases.serving(Some(&champion), &same).unwrap();
        assert!(serves.is_some() && base.is_none(), "nothing is loaded twice");
        // Without a version the base model of the type serves, whichever is learned on.
        let (serves, base) = bases.serving(None, &same).unwrap();
        assert_eq!((serves.is_none(), base.map(|base| base.card.name)), (true, Some("small-2".into())));
    }

    fn own_base(champion: &Champion) -> BaseChoice {
        BaseChoice::shipped(&champion.base).unwrap()
    }
}
