//! What a check says of a value: the flags of QARTOD, with its numbers.

use serde::{Deserialize, Serialize};

/// A QARTOD flag (IOOS 2020, Manual for Real-Time Oceanographic Data Quality Control Flags, version 1.2).
/// In the order of what counts most when several tests look at one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Flag {
    /// 9: there is no value.
    Missing,
    /// 2: the test could not be carried out or does not fit the signal.
    NotEvaluated,
    /// 1: nothing is wrong.
    Pass,
    /// 3: of interest or doubtful; it stays.
    Suspect,
    /// 4: it cannot be true; it is not learned from.
    Fail,
}

/// How many values have each flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = FlagCounts)]
pub struct Counts {
    /// Flag 1.
    pub pass: usize,
    /// Flag 2.
    pub not_evaluated: usize,
    /// Flag 3.
    pub suspect: usize,
    /// Flag 4.
    pub fail: usize,
    /// Flag 9.
    pub missing: usize,
}

impl Flag {
    /// Its number in QARTOD.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Pass => 1,
            Self::NotEvaluated => 2,
            Self::Suspect => 3,
            Self::Fail => 4,
            Self::Missing => 9,
        }
    }
}

impl From<Flag> for u8 {
    fn from(flag: Flag) -> Self {
        flag.number()
    }
}

impl TryFrom<u8> for Flag {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        let all = [Self::Pass, Self::NotEvaluated, Self::Suspect, Self::Fail, Self::Missing];
        all.into_iter().find(|flag| flag.number() == number).ok_or_else(|| format!("{number} is no QARTOD flag"))
    }
}

impl Counts {
    /// Counts flags.
    pub fn of<'a>(flags: impl IntoIterator<Item = &'a Flag>) -> Self {
        let mut counts = Self::default();
        for flag in flags {
            *counts.slot(*flag) += 1;
        }
        counts
    }

    /// The flag that counts most among those that there are.
    #[must_use]
    pub fn worst(mut self) -> Flag {
        let falling = [Flag::Fail, Flag::Suspect, Flag::Pass, Flag::NotEvaluated];
        falling.into_iter().find(|flag| *self.slot(*flag) > 0).unwrap_or(Flag::Missing)
    }

    fn slot(&mut self, flag: Flag) -> &mut usize {
        match flag {
            Flag::Pass => &mut self.pass,
            Flag::NotEvaluated => &mut self.not_evaluated,
            Flag::Suspect => &mut self.suspect,
            Flag::Fail => &mut self.fail,
            Flag::Missing => &mut self.missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_travel_as_their_numbers() {
        for number in [1_u8, 2, 3, 4, 9] {
            assert_eq!(u8::from(Flag::try_from(number).unwrap()), number);
        }
        assert!(Flag::try_from(5).is_err());
    }

    #[test]
    fn the_worst_flag_is_the_one_that_counts_most() {
        assert_eq!(Counts::of(&[Flag::Missing, Flag::Pass, Flag::NotEvaluated]).worst(), Flag::Pass);
        assert_eq!(Counts::of(&[Flag::Suspect, Flag::Fail, Flag::Missing]).worst(), Flag::Fail);
        assert_eq!(Counts::of(&[]).worst(), Flag::Missing);
    }
}
