//! Pretraining as a person watches it.

use indicatif::{ProgressBar, ProgressStyle};

use super::{Config, FamilyFigures, News, PretrainError, run};

/// [`run`] with a progress bar on a terminal, and the figures in the log.
pub fn show(config: &Config) -> Result<(), PretrainError> {
    let style = ProgressStyle::with_template("{msg:>8} {wide_bar} {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(config.windows as u64).with_style(style).with_message("windows");
    let card = run(config, &mut |news| match news {
        News::Windows(made, _) => bar.set_position(made as u64),
        News::Step(step, steps, loss) => {
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            bar.set_message(format!("{loss:.4}"));
        }
        News::Validation(step, figures) => {
            bar.println(format!("after {step} steps, on plants it did not see:\n{}", table(figures)));
        }
    })?;
    bar.finish_and_clear();
    tracing::info!(sha256 = card.sha256, "base model written");
    Ok(())
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
