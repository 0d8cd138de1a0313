//! Cosines of many angles at once: every wave of every step of an answer is one, and one by one the mathematical library
//! took a tenth of a fine-tune job for them.

use std::f64::consts::FRAC_1_PI;

/// Pi in three parts, of which the first two have so few digits that a whole multiple is exact (Cody and Waite 1980; the
/// split is that of Shibata and Petrogalli 2020, SLEEF).
const PI: [f64; 3] = [3.141_592_621_803_283_7, 3.178_650_942_459_171_3e-8, 1.224_646_786_410_718_9e-16];
/// Added to a small number, leaves it rounded to a whole one in the last places.
const ROUNDS: f64 = 6_755_399_441_055_744.0;
/// Of Taylor's series in the square of an angle of at most a quarter turn, from the second term on: what is left out is
/// below the last place.
const SERIES: [f64; 10] = {
    let (mut terms, mut term, mut place) = ([0.0; 10], 1.0, 0);
    while place < 10 {
        let twice = 2.0 * (place as f64 + 1.0);
        term /= -twice * (twice - 1.0);
        terms[place] = term;
        place += 1;
    }
    terms
};

/// Puts cosines in the place of angles, which are no more than a million turns. The same bits on every machine: nothing is
/// fused.
pub(super) fn cosines(angles: &mut [f64]) {
    pulp::Arch::new().dispatch(|| angles.iter_mut().for_each(|angle| *angle = cosine(*angle)));
}

#[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
#[inline(always)]
fn cosine(angle: f64) -> f64 {
    let shifted = angle * FRAC_1_PI + ROUNDS;
    let halves = shifted - ROUNDS;
    let left = ((angle - halves * PI[0]) - halves * PI[1]) - halves * PI[2];
    let square = left * left;
    let [lower @ .., highest] = SERIES;
    let series = lower.iter().rev().fold(highest, |sum, term| sum * square + term);
    let turned = series * square + 1.0;
    // An odd number of half turns changes the sign.
    f64::from_bits(turned.to_bits() ^ (shifted.to_bits() << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_of_the_mathematical_library() {
        let angles: Vec<f64> = (-400_000..400_000).map(|k| 0.001_3 * f64::from(k)).collect();
        let mut found = angles.clone();
        cosines(&mut found);
        let apart = found.iter().zip(&angles).map(|(cosine, angle)| (cosine - angle.cos()).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-14, "{apart:e}");
        let mut few = [0.0, -0.0, f64::NAN, f64::INFINITY];
        cosines(&mut few);
        assert!(few[..2] == [1.0, 1.0] && few[2].is_nan() && few[3].is_nan(), "{few:?}");
    }

    #[test]
    fn what_stands_beside_an_angle_does_not_matter() {
        let angles: Vec<f64> = (0..37).map(|k| 0.77 * f64::from(k) - 9.0).collect();
        let mut together = angles.clone();
        cosines(&mut together);
        for (angle, together) in angles.iter().zip(together) {
            let mut alone = [*angle];
            cosines(&mut alone);
            assert_eq!(alone[0].to_bits(), together.to_bits());
        }
    }
}
