//! The sets that this command knows by name, each with the protocol of its literature.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::demo_plant;
use super::task::{Protocol, Task, Unit, asset_type, frames, signal};
use super::{Config, EvaluateError};
use crate::asset::{Role, Template};

/// A set that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// Electricity transformer, hourly: 96 steps ahead, the whole training part.
    Etth1,
    /// The same with the newest 5 % of the training windows.
    Etth1Few,
    /// Cascaded tanks: the whole test record from its inputs and first four levels.
    CascadedTanks,
    /// The same, the asset type naming the template `tanks_2`.
    CascadedTanksTemplate,
    /// Cascaded tanks: 64 steps ahead along the test record.
    CascadedTanksRolling,
    /// Stirred tank reactor: 64 steps ahead, two outputs.
    Cstr,
    /// Wiener-Hammerstein circuit: 64 steps ahead.
    WienerHammerstein,
    /// The plant of `counterpart demo`, simulated in memory.
    DemoPlant,
    /// Effects of overrides on four simulated plants whose truth is known.
    WhatIf,
    /// Outliers in a water circulation loop with faults of valves and pump.
    Skab,
    /// Fault classes of the Tennessee Eastman process from windows of 24 samples.
    Tep,
    /// Remaining useful life of turbofan engines.
    Cmapss,
}

/// Rows of `ETTh1`: 12, 4 and 4 months of 30 days.
const ETT: [usize; 3] = [8_640, 11_520, 14_400];
const ETT_CHANNELS: [&str; 7] = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"];
const ETT_LOOK_BACK: usize = 512;
const ETT_HORIZON: usize = 96;
/// Share of the training windows in the few-shot protocol.
const FEW: f64 = 0.05;
/// Samples of each record of the tanks, and the levels that a free run is given.
const TANKS: usize = 1_024;
const TANKS_GIVEN: usize = 4;
/// Where orders are chosen on the estimation record.
const TANKS_TRAIN: usize = 700;
/// Samples of the test record before the first rolling forecast.
const TANKS_CONTEXT: usize = 256;
/// The circuit: training rows, test rows at the end, and rows that are skipped there.
const CIRCUIT_TRAIN: usize = 100_000;
const CIRCUIT_TEST: usize = 78_800;
const CIRCUIT_SKIP: usize = 50;
const CIRCUIT_STRIDE: usize = 256;
/// Horizon of the sets with control inputs.
const HORIZON: usize = 64;

impl Set {
    /// All of them, in the order of the report.
    pub(super) fn all() -> &'static [Self] {
        <Self as clap::ValueEnum>::value_variants()
    }

    /// As it is written on the command line and in file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etth1 => "etth1",
            Self::Etth1Few => "etth1_few",
            Self::CascadedTanks => "cascaded_tanks",
            Self::CascadedTanksTemplate => "cascaded_tanks_template",
            Self::CascadedTanksRolling => "cascaded_tanks_rolling",
            Self::Cstr => "cstr",
            Self::WienerHammerstein => "wiener_hammerstein",
            Self::DemoPlant => "demo_plant",
            Self::WhatIf => "what_if",
            Self::Skab => "skab",
            Self::Tep => "tep",
            Self::Cmapss => "cmapss",
        }
    }

    /// Whether it lies in the data folder.
    pub(super) fn is_shared(self) -> bool {
        !matches!(self, Self::DemoPlant | Self::WhatIf)
    }

    /// Reads it; `None` for what has no forecasts to judge: the suites, the search for outliers, classes, and remaining life.
    pub(super) fn open(self, config: &Config) -> Result<Option<Task>, EvaluateError> {
        let data = |file: &str| {
            let folder = config.data.as_ref().ok_or_else(|| EvaluateError::NoData(self.name()))?;
            if folder.is_dir() { Ok(folder.join(file)) } else { Err(EvaluateError::NoFolder(folder.clone())) }
        };
        let mut task = match self {
            Self::Etth1 => etth1(self.name(), &data("ett/ETTh1.csv")?, false, config)?,
            Self::Etth1Few => etth1(self.name(), &data("ett/ETTh1.csv")?, true, config)?,
            Self::CascadedTanks => tanks(self.name(), &data("cascaded_tanks/dataBenchmark.csv")?, true, None, config)?,
            Self::CascadedTanksTemplate => {
                let named = Some(Template::Tanks2);
                tanks(self.name(), &data("cascaded_tanks/dataBenchmark.csv")?, true, named, config)?
            }
            Self::CascadedTanksRolling => {
                tanks(self.name(), &data("cascaded_tanks/dataBenchmark.csv")?, false, None, config)?
            }
            Self::Cstr => cstr(self.name(), &data("cstr_daisy/cstr.dat")?, config)?,
            Self::WienerHammerstein => circuit(self.name(), &data("wh2009/WienerHammerBenchmark.csv")?, config)?,
            Self::DemoPlant => demo_plant::task(self.name(), config)?,
            Self::WhatIf | Self::Skab | Self::Tep | Self::Cmapss => return Ok(None),
        };
        if config.look_back.is_some() {
            task.protocol.look_back = config.look_back;
        }
        Ok(Some(task))
    }
}

/// Refuses a file that is too short for its protocol.
fn long_enough(path: &Path, have: usize, need: usize) -> Result<(), EvaluateError> {
    let detail = format!("{have} rows; the protocol needs {need}");
    if have < need { Err(EvaluateError::Format { path: PathBuf::from(path), detail }) } else { Ok(()) }
}

fn etth1(name: &str, path: &Path, few: bool, config: &Config) -> Result<Task, EvaluateError> {
    let file = Columns::comma_separated(path)?;
    let channels: Vec<&[f64]> = ETT_CHANNELS.iter().map(|name| file.column(path, name)).collect::<Result<_, _>>()?;
    long_enough(path, channels[0].len(), ETT[2])?;
    let signals = ETT_CHANNELS.iter().map(|name| signal(name, Role::Output, None)).collect();
    let rows = (0..ETT[2]).map(|row| channels.iter().map(|channel| channel[row]).collect());
    let windows = ((ETT[0] - ETT_LOOK_BACK) as f64 * FEW) as usize;
    let train = if few { ETT[0] - ETT_LOOK_BACK - windows..ETT[0] } else { 0..ETT[0] };
    let part = if few {
        format!("newest {} rows of the training part (5 % of its windows)", train.len())
    } else {
        format!("{} training rows", ETT[0])
    };
    let protocol = Protocol {
        horizon: ETT_HORIZON,
        validation: ETT[0]..ETT[1],
        test: ETT[1]..ETT[2],
        stride: config.stride(),
        // A job that is to learn from few rows must not find more in the validation part.
        taught: train.start..if few { ETT[0] } else { ETT[1] },
        look_back: Some(ETT_LOOK_BACK),
        joint: false,
        season: Some(24),
        unit: Unit::TrainDeviation,
        words: format!(
            "{part}, 2,880 validation and 2,880 test rows; standardised on the 8,640 training rows; look-back 512, \
             horizon 96; seven univariate targets"
        ),
        train,
    };
    let mut task = Task::new(
        name,
        asset_type(name, 3_600.0, signals),
        frames(rows, 3_600.0, &[]),
        |_| Ok(protocol),
        config.most_windows(),
    )?;
    // The published figures are in deviations of the whole training part, few-shot or not.
    task.scales = task.layout.targets.iter().map(|t| super::task::moments(&task.grid.values[*t][..ETT[0]]).1).collect();
    Ok(task)
}

fn tanks(
    name: &str,
    path: &Path,
    free_run: bool,
    template: Option<Template>,
    config: &Config,
) -> Result<Task, EvaluateError> {
    let file = Columns::comma_separated(path)?;
    let column = |name: &str| file.column(path, name);
    let (known, asked) = ((column("uEst")?, column("yEst")?), (column("uVal")?, column("yVal")?));
    long_enough(path, known.0.len(), TANKS)?;
    let signals =
        vec![signal("pump", Role::ControlInput, Some((0.0, 10.0))), signal("level", Role::Output, Some((0.0, 10.0)))];
    let record =
        |(input, level): (&[f64], &[f64])| (0..TANKS).map(|row| vec![input[row], level[row]]).collect::<Vec<_>>();
    let rows = record(known).into_iter().chain(record(asked));
    let (first, horizon, stride) =
        if free_run { (TANKS_GIVEN, TANKS - TANKS_GIVEN, 1) } else { (TANKS_CONTEXT, HORIZON, config.stride()) };
    let protocol = Protocol {
        horizon,
        train: 0..TANKS_TRAIN,
        validation: TANKS_TRAIN + TANKS_GIVEN..TANKS,
        test: TANKS + first..2 * TANKS,
        stride,
        taught: 0..TANKS,
        look_back: None,
        joint: true,
        season: None,
        unit: Unit::Own("V"),
        words: if free_run {
            "estimation record of 1,024 samples; of the test record only the pump and the first 4 levels are given"
                .into()
        } else {
            "estimation record of 1,024 samples; 64 steps ahead from sample 256 of the test record on".into()
        },
    };
    let record = frames(rows, 4.0, &[TANKS]);
    let mut asset_type = asset_type(name, 4.0, signals);
    asset_type.document.template = template;
    Task::new(name, asset_type, record, |_| Ok(protocol), config.most_windows())
}

fn cstr(name: &str, path: &Path, config: &Config) -> Result<Task, EvaluateError> {
    let names = ["minute", "coolant", "concentration", "temperature"];
    let file = Columns::white_space(path, &names)?;
    let columns: Vec<&[f64]> = names[1..].iter().map(|name| file.column(path, name)).collect::<Result<_, _>>()?;
    let n = columns[0].len();
    long_enough(path, n, 2_000)?;
    let roles = [Role::ControlInput, Role::Output, Role::Output];
    let signals = names[1..].iter().zip(roles).map(|(name, role)| signal(name, role, None)).collect();
    let rows = (0..n).map(|row| columns.iter().map(|column| column[row]).collect());
    let (a, b) = (n * 6 / 10, n * 8 / 10);
    let protocol = Protocol {
        horizon: HORIZON,
        train: 0..a,
        validation: a..b,
        test: b..n,
        stride: config.stride(),
        taught: 0..b,
        look_back: None,
        joint: true,
        season: None,
        unit: Unit::TrainDeviation,
        words: "60/20/20 in time, 64 steps ahead, two outputs".into(),
    };
    Task::new(name, asset_type(name, 6.0, signals), frames(rows, 6.0, &[]), |_| Ok(protocol), config.most_windows())
}

fn circuit(name: &str, path: &Path, config: &Config) -> Result<Task, EvaluateError> {
    let file = Columns::comma_separated(path)?;
    let (input, output) = (file.column(path, "uBenchMark")?, file.column(path, "yBenchMark")?);
    let n = input.len();
    long_enough(path, n, CIRCUIT_TRAIN + CIRCUIT_TEST)?;
    let signals = vec![signal("voltage_in", Role::ControlInput, None), signal("voltage_out", Role::Output, None)];
    let rows = (0..n).map(|row| vec![input[row], output[row]]);
    let protocol = Protocol {
        horizon: HORIZON,
        train: 0..CIRCUIT_TRAIN * 8 / 10,
        validation: CIRCUIT_TRAIN * 8 / 10..CIRCUIT_TRAIN,
        test: n - CIRCUIT_TEST + CIRCUIT_SKIP..n,
        stride: CIRCUIT_STRIDE,
        taught: 0..CIRCUIT_TRAIN,
        look_back: None,
        joint: true,
        season: None,
        unit: Unit::TrainDeviation,
        words: "first 100,000 samples train, last 78,800 test, 50 skipped; 64 steps ahead from every 256th".into(),
    };
    // Laid out in seconds: the true 19.5 microseconds would not survive whole microseconds.
    Task::new(name, asset_type(name, 1.0, signals), frames(rows, 1.0, &[]), |_| Ok(protocol), config.most_windows())
}
