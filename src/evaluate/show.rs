//! An evaluation as a person watches it.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Config, EvaluateError, News, demo_plant, report, run};

/// Runs the evaluation with a progress bar on a terminal, and prints each table when its set is
/// done.
pub fn show(config: &Config) -> Result<(), EvaluateError> {
    let mut terminal = std::io::stdout();
    let mut print = |text: &str| {
        let written = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
        written.map_err(|source| EvaluateError::Write { path: "the standard output".into(), source })
    };
    if let Some(path) = &config.export_demo {
        let roles = demo_plant::export(path, config.plant_seed)?;
        return print(&format!("{}\n{}\n", path.display(), roles.display()));
    }
    let style = ProgressStyle::with_template("{prefix:>22} {wide_bar} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1).with_style(style);
    let mut printed = Ok(());
    run(config, &mut |news| match news {
        News::Set(name, runs) => {
            bar.reset();
            bar.set_length(runs as u64);
            bar.set_prefix(name.to_owned());
        }
        News::Begins(run) => bar.set_message(run),
        News::Done => bar.inc(1),
        News::Finished(document) => {
            let table = bar.suspend(|| print(&format!("{}\n", report::section(document))));
            if printed.is_ok() {
                printed = table;
            }
        }
    })?;
    bar.finish_and_clear();
    printed?;
    print(&format!("{}\n", config.out.join("report.md").display()))
}
