//! Pretraining as a person watches it: a bar on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::{Config, FamilyFigures, News, PretrainError, Progress, run};

/// Steps between two lines where there is no terminal.
const LINE_EVERY: usize = 500;
/// Time between two lines of one of several networks.
const LINE_AFTER: Duration = Duration::from_secs(5);
/// The bar of a run that the clock ends is so long.
const PARTS: u64 = 1_000;

/// [`run`] as a person watches it.
pub fn show(config: &Config) -> Result<(), PretrainError> {
    let style = ProgressStyle::with_template("{msg:>14} {wide_bar} {pos}/{len}, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(config.windows as u64).with_style(style).with_message("windows");
    let mut pace = Pace { from: 0, since: Instant::now() };
    let mut paces = BTreeMap::new();
    let cards = run(config, &mut |news| match news {
        News::Windows(made, wanted) => {
            bar.set_length(wanted as u64);
            bar.set_position(made as u64);
            if made == wanted {
                pace.since = Instant::now();
                bar.set_length(config.steps as u64);
                bar.set_position(pace.from as u64);
                bar.reset_eta();
            }
        }
        News::Resumed(step) => {
            pace.from = step;
            say(&bar, &format!("taken up after {step} steps"));
        }
        News::Step(step, steps, loss) => {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}"));
            if bar.is_hidden() && (step.is_multiple_of(LINE_EVERY) || step == steps) {
                say(&bar, &format!("step {step} of {steps}, loss {loss:.4}, {}", pace.at(step, steps, config.batch)));
            }
        }
        News::Together(name, progress) => {
            bar.set_length(PARTS);
            bar.set_position((progress.share * PARTS as f64) as u64);
            bar.set_message(format!("loss {:.4}", progress.loss));
            let now = Instant::now();
            let (from, last) = paces.entry(name.to_owned()).or_insert(((progress, now), now));
            if bar.is_hidden() && last.elapsed() >= LINE_AFTER {
                let rates = rates(from, &progress, config.batch);
                let share = 100.0 * progress.share;
                say(&bar, &format!("{name}: step {}, {share:.1} %, loss {:.4}, {rates}", progress.step, progress.loss));
                (*from, *last) = ((progress, now), now);
            }
        }
        News::Validation(name, step, figures) => {
            say(&bar, &format!("{name} after {step} steps, on plants it did not see:\n{}", table(figures)));
        }
    })?;
    bar.finish_and_clear();
    for card in cards {
        say(&bar, &format!("{} written, SHA-256 {}", card.name, card.sha256));
    }
    Ok(())
}

/// How fast a network has gone on since some moment, and the windows with it.
fn rates((from, since): &(Progress, Instant), to: &Progress, batch: usize) -> String {
    let seconds = since.elapsed().as_secs_f64().max(1e-3);
    let rate = |before: usize, after: usize| after.saturating_sub(before) as f64 / seconds;
    let steps = rate(from.step, to.step);
    let drawn = rate(from.windows, to.windows);
    format!("{steps:.2} steps/s, {:.0} windows/s learned, {drawn:.0} windows/s drawn", steps * batch as f64)
}

/// How fast a run goes, counted from where it started.
struct Pace {
    from: usize,
    since: Instant,
}

impl Pace {
    fn at(&self, step: usize, steps: usize, batch: usize) -> String {
        let rate = (step - self.from) as f64 / self.since.elapsed().as_secs_f64().max(1e-3);
        let left = std::time::Duration::from_secs_f64((steps - step) as f64 / rate.max(1e-6));
        format!("{rate:.2} steps/s, {:.0} windows/s, {} left", rate * batch as f64, HumanDuration(left))
    }
}

/// Above the bar, or to standard error where there is no bar.
fn say(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        // Nothing can be done about a standard error that is closed.
        drop(writeln!(std::io::stderr(), "{text}"));
    } else {
        bar.println(text);
    }
}

fn table(figures: &[FamilyFigures]) -> String {
    let rows = figures.iter().map(|row| {
        format!(
            "{:<20}{:>8} windows   bank {:.4}   network {:.4}   80 % band holds {:.3}\n",
            row.family, row.windows, row.bank_pinball, row.network_pinball, row.coverage_80
        )
    });
    rows.collect()
}
