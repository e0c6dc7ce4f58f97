//! How far an ingest is: a bar on a terminal, a line every few seconds elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(5);

/// Progress of one table.
pub(crate) struct Progress {
    table: String,
    bar: Option<ProgressBar>,
    plain: bool,
    started: Instant,
    told: Instant,
    total: u64,
}

impl Progress {
    /// For a table whose sources have `total` bytes.
    pub(crate) fn new(show: bool, table: &str, total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (show && terminal).then(|| {
            let bar = ProgressBar::new(total);
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:<20} {bar:30} {bytes}/{total_bytes} {msg}, {eta} left")
            {
                bar.set_style(style);
            }
            bar.set_prefix(table.to_owned());
            bar
        });
        let now = Instant::now();
        Self { table: table.to_owned(), bar, plain: show && !terminal, started: now, told: now, total }
    }

    /// Tells how many bytes and rows were read.
    pub(crate) fn read(&mut self, bytes: u64, rows: u64) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{:.0} rows/s", rows as f64 / seconds.max(0.001)));
        } else if self.plain && self.told.elapsed() >= EVERY {
            let left = if bytes > 0 { seconds * self.total.saturating_sub(bytes) as f64 / bytes as f64 } else { 0.0 };
            let percent = bytes * 100 / self.total.max(1);
            self.line(&format!("{percent}% read, {rows} rows, {:.0} rows/s, {left:.0} s left", rows as f64 / seconds));
        }
    }

    /// Tells how many of the rows are written.
    pub(crate) fn written(&mut self, rows: u64, of: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("writing {}%", rows * 100 / of.max(1)));
            bar.tick();
        } else if self.plain && self.told.elapsed() >= EVERY {
            self.line(&format!("{rows} of {of} rows written"));
        }
    }

    fn line(&mut self, text: &str) {
        self.told = Instant::now();
        // Progress that can't be shown is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{}: {text}", self.table);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
