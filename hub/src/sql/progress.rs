//! How far each spoke is, on the terminal of whoever waits: a line a spoke, from the second on which a statement takes.
//!
//! INVARIANT: only a terminal sees it, on standard error; what is asked never holds up the answer.

use super::client::Watcher;
use crate::watch::{Progress, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use policies::disclosure::thousands;
use std::{io::IsTerminal, time::Duration};

/// Quick statements show nothing.
const AFTER: Duration = Duration::from_secs(1);
/// How often the hub is asked.
const EVERY: Duration = Duration::from_millis(500);

/// Shows progress until dropped. Never ends by itself.
pub(super) async fn show(watcher: Option<Watcher>, quiet: bool) -> std::convert::Infallible {
    let Some(mut watcher) = watcher.filter(|_| !quiet && std::io::stderr().is_terminal()) else {
        return std::future::pending().await;
    };
    tokio::time::sleep(AFTER).await;
    let mut lines = Lines::default();
    // A hub that doesn't tell, or a statement that is over: nothing more is shown.
    while let Some(progress) = watcher.progress().await {
        lines.set(&progress);
        tokio::time::sleep(EVERY).await;
    }
    drop(lines);
    std::future::pending().await
}

/// The lines; gone from the terminal when dropped.
#[derive(Default)]
struct Lines {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Lines {
    fn set(&mut self, progress: &[Progress]) {
        while self.bars.len() < progress.len() {
            let bar = ProgressBar::no_length()
                .with_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bars.push(self.all.add(bar));
        }
        for (bar, spoke) in self.bars.iter().zip(progress) {
            bar.set_message(line(spoke));
            bar.tick();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // A terminal that is gone needs no clearing.
        let _ = self.all.clear();
    }
}

fn line(spoke: &Progress) -> String {
    let rows = if spoke.exact { thousands(spoke.rows) } else { format!("up to {}", thousands(spoke.rows)) };
    let stage = match spoke.stage {
        Stage::NotAsked => "not asked yet".to_owned(),
        Stage::WaitsForKeys => "waits for a key list".to_owned(),
        Stage::Asked => "asked".to_owned(),
        Stage::Rows => format!("{rows} rows so far"),
        Stage::Done => format!("done, {rows} rows"),
        Stage::Ended => "ended".to_owned(),
    };
    format!("{}: {stage}", spoke.controller)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_says_how_far_a_spoke_is() {
        let at = |stage, rows, exact| Progress { controller: "region-h".parse().unwrap(), stage, rows, exact };
        assert_eq!(line(&at(Stage::WaitsForKeys, 0, true)), "region-h: waits for a key list");
        assert_eq!(line(&at(Stage::Rows, 12_345, true)), "region-h: 12,345 rows so far");
        assert_eq!(line(&at(Stage::Done, 1_000, false)), "region-h: done, up to 1,000 rows");
    }
}
