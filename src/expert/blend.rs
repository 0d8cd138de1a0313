//! Many answers, one outlook: the weighted mean, and how far the experts are apart.

use super::team::Expert;

/// A forecast in normalised units, step by step.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The weighted mean of the experts.
    pub mean: Vec<f64>,
    /// Weighted deviation of the experts around that mean; 0 where they agree.
    pub disagreement: Vec<f64>,
}

/// Blends the answers (equally long). The weights of experts that did not answer go to the others;
/// where none of those has weight, persistence alone answers.
pub(super) fn blend(answers: &[(Expert, Vec<f64>)], weights: &[(Expert, f64)]) -> Outlook {
    let weight = |expert: Expert| {
        let found = weights.iter().find(|(e, _)| *e == expert);
        found.map_or(0.0, |(_, weight)| *weight)
    };
    let mut shares: Vec<f64> = answers.iter().map(|(e, _)| weight(*e)).collect();
    let total: f64 = shares.iter().sum();
    for (share, (expert, _)) in shares.iter_mut().zip(answers) {
        *share = if total > 0.0 { *share / total } else { f64::from(u8::from(*expert == Expert::Persistence)) };
    }
    let steps = answers.first().map_or(0, |(_, answer)| answer.len());
    let mut mean = vec![0.0; steps];
    for ((_, answer), share) in answers.iter().zip(&shares) {
        for (sum, value) in mean.iter_mut().zip(answer) {
            *sum += share * value;
        }
    }
    let mut disagreement = vec![0.0; steps];
    for ((_, answer), share) in answers.iter().zip(&shares) {
        for ((sum, value), mean) in disagreement.iter_mut().zip(answer).zip(&mean) {
            *sum += share * (value - mean).powi(2);
        }
    }
    for value in &mut disagreement {
        *value = value.sqrt();
    }
    Outlook { mean, disagreement }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_expert_gives_its_weight_to_the_others() {
        let answers = [(Expert::ArxShort, vec![1.0, 2.0]), (Expert::Persistence, vec![3.0, 2.0])];
        let weights = [(Expert::ArxShort, 0.25), (Expert::Season, 0.5), (Expert::Persistence, 0.25)];
        let outlook = blend(&answers, &weights);
        assert!((outlook.mean[0] - 2.0).abs() < 1e-12);
        assert!((outlook.disagreement[0] - 1.0).abs() < 1e-12);
        assert!(outlook.disagreement[1].abs() < 1e-12);
    }
}
