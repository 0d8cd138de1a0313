//! `counterpart prior`: the synthetic plants as a person sees them. One sheet per family, and what
//! the mix holds.

use std::io;
use std::path::PathBuf;

use super::sheet::{Sample, sheet};
use super::{Family, Mix, pair_of, record_of};

/// Steps of a drawn sample; longer ones would be a blot.
const STEPS: usize = 640;
/// Records that the statistics are counted on.
const COUNTED: usize = 4_000;
/// Every so many samples is a pair of futures.
const PAIR_EVERY: usize = 4;

/// What to draw.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Folder that receives FAMILY.svg.
    #[arg(long)]
    pub out: PathBuf,
    /// Seed of the plants.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Samples of each family.
    #[arg(long, default_value_t = 18)]
    pub samples: usize,
}

/// Writes the sheets; returns what the mix holds.
pub fn run(config: &Config) -> io::Result<Mix> {
    std::fs::create_dir_all(&config.out)?;
    for family in Family::all() {
        let samples: Vec<Sample> = (0..config.samples).map(|place| sample(*family, config.seed, place)).collect();
        let path = config.out.join(format!("{}.svg", family.name()));
        std::fs::write(path, sheet(*family, config.seed, &samples))?;
    }
    Ok(Mix::draw(config.seed, COUNTED, STEPS))
}

/// A record, or where there is something to intervene on now and then a pair.
fn sample(family: Family, seed: u64, place: usize) -> Sample {
    let index = place as u64;
    let pair = if (place + 1).is_multiple_of(PAIR_EVERY) { pair_of(family, seed, index, STEPS, None) } else { None };
    pair.map_or_else(|| Sample::One(record_of(family, seed, index, STEPS)), Sample::Two)
}
