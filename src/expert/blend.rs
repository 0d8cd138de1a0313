//! Many answers, one outlook: the weighted mean, and how far the experts are apart.

use super::study::{MEMBERS, STUDIED};
use super::team::Expert;

/// A forecast in normalised units, step by step.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The weighted mean of the experts.
    pub mean: Vec<f64>,
    /// Weighted deviation of the experts around that mean; 0 where they agree.
    pub disagreement: Vec<f64>,
}

/// How much each expert counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    /// Of the bank's own experts; they sum to 1.
    pub(super) own: Vec<(Expert, f64)>,
    /// Of the members of a study, step by step; what they leave belongs to the bank's own. Empty
    /// without a study; the last step goes on.
    pub(super) studied: Vec<[f64; MEMBERS]>,
}

impl Weights {
    /// The shares of the study's members at a step, the first being 0.
    pub(super) fn studied_at(&self, step: usize) -> [f64; MEMBERS] {
        self.studied.get(step).or(self.studied.last()).copied().unwrap_or([0.0; MEMBERS])
    }

    fn own_of(&self, expert: Expert) -> f64 {
        let found = self.own.iter().find(|(e, _)| *e == expert);
        found.map_or(0.0, |(_, weight)| *weight)
    }

    /// What each answer counts among the bank's own: the weights of experts that did not answer go
    /// to the others; where none of those has weight, persistence alone answers.
    fn own_shares(&self, answers: &[(Expert, Vec<f64>)]) -> Vec<f64> {
        let mut shares: Vec<f64> = answers.iter().map(|(e, _)| self.own_of(*e)).collect();
        let total: f64 = shares.iter().sum();
        for (share, (expert, _)) in shares.iter_mut().zip(answers) {
            *share = if total > 0.0 { *share / total } else { f64::from(u8::from(*expert == Expert::Persistence)) };
        }
        shares
    }
}

/// Blends the answers: equally long, but for those of a study's members, which may be shorter.
pub(super) fn blend(answers: &[(Expert, Vec<f64>)], weights: &Weights) -> Outlook {
    let own = weights.own_shares(answers);
    let member: Vec<Option<usize>> =
        answers.iter().map(|(expert, _)| STUDIED.iter().position(|studied| studied == expert)).collect();
    let steps = answers.first().map_or(0, |(_, answer)| answer.len());
    let mut outlook = Outlook { mean: Vec::with_capacity(steps), disagreement: Vec::with_capacity(steps) };
    let mut shares = own.clone();
    for step in 0..steps {
        let mut studied = weights.studied_at(step);
        for ((_, answer), member) in answers.iter().zip(&member) {
            // A member that does not look so far leaves its share to the bank's own.
            if let Some(k) = member.filter(|_| answer.len() <= step) {
                studied[k] = 0.0;
            }
        }
        let given: f64 = member.iter().flatten().map(|k| studied[*k]).sum();
        for ((share, own), member) in shares.iter_mut().zip(&own).zip(&member) {
            *share = member.map_or((1.0 - given) * own, |k| studied[k]);
        }
        let said = || answers.iter().map(|(_, answer)| answer.get(step).copied().unwrap_or(0.0)).zip(&shares);
        let mean: f64 = said().map(|(value, share)| share * value).sum();
        let spread: f64 = said().map(|(value, share)| share * (value - mean).powi(2)).sum();
        outlook.mean.push(mean);
        outlook.disagreement.push(spread.sqrt());
    }
    outlook
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_expert_gives_its_weight_to_the_others() {
        let answers = [(Expert::ArxShort, vec![1.0, 2.0]), (Expert::Persistence, vec![3.0, 2.0])];
        let weights = [(Expert::ArxShort, 0.25), (Expert::Season, 0.5), (Expert::Persistence, 0.25)];
        let outlook = blend(&answers, &Weights { own: weights.to_vec(), studied: Vec::new() });
        assert!((outlook.mean[0] - 2.0).abs() < 1e-12);
        assert!((outlook.disagreement[0] - 1.0).abs() < 1e-12);
        assert!(outlook.disagreement[1].abs() < 1e-12);
    }

    #[test]
    fn a_study_takes_its_share_from_the_others() {
        let answers = [(Expert::ArxShort, vec![1.0, 1.0, 1.0]), (Expert::Curved, vec![3.0, 3.0])];
        let share = |first: f64| std::array::from_fn(|k| if k == 0 { first } else { 0.0 });
        let weights = Weights { own: vec![(Expert::ArxShort, 1.0)], studied: vec![share(0.25), share(1.0)] };
        let outlook = blend(&answers, &weights);
        assert_eq!(outlook.mean, [1.5, 3.0, 1.0], "a member that looks less far leaves its share");
        assert!(outlook.disagreement[1].abs() < 1e-12);
    }
}
