//! What the demo prints: steps, tables, charts.

use std::sync::Mutex;

use anyhow::Context;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use demo::platform::Progress;
use demo::questions::PEOPLE;
use indicatif::{ProgressBar, ProgressStyle};

/// Columns of text.
const WIDTH: usize = 116;
/// Width of the longest bar.
const BAR: f64 = 44.0;
/// A bar in eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Shows how far a start has come.
pub(crate) struct Steps {
    people: u32,
    bar: Mutex<Option<ProgressBar>>,
}

impl Steps {
    pub(crate) fn new(people: u32) -> Steps {
        Steps { people, bar: Mutex::new(None) }
    }

    pub(crate) fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Step(what) => println!("· {what}"),
            Progress::Note(what) => println!("{}", indented(what)),
            Progress::People(done) => {
                let Ok(mut bar) = self.bar.lock() else { return };
                let shown = bar.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("    {bar:40} {human_pos}/{human_len} people, {eta} left");
                    let bar = ProgressBar::new(u64::from(self.people));
                    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
                });
                shown.set_position(u64::from(done));
                if done == self.people {
                    shown.finish_and_clear();
                }
            }
        }
    }
}

pub(crate) fn heading(text: &str) {
    println!("\n━━ {text} {}", "━".repeat(WIDTH.saturating_sub(text.chars().count() + 4)));
}

pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A word as a shell reads it, whatever stands in it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Long lines broken between words.
pub(crate) fn wrapped(text: &str) -> String {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_whitespace() {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH - 6 {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        out.push(current);
    }
    out.join("\n")
}

/// An answer as a table, the first `most` rows of it. What was suppressed shows as a dot, never as a zero.
pub(crate) fn answer(batch: &RecordBatch, most: usize) -> anyhow::Result<()> {
    let options = FormatOptions::new().with_null("·");
    let shown = batch.slice(0, batch.num_rows().min(most));
    println!("{}", pretty_format_batches_with_options(&[shown], &options)?);
    let more = batch.num_rows().saturating_sub(most);
    if more > 0 {
        println!("and {more} more rows");
    }
    let hidden = texts(batch, "release_status").map(|all| all.iter().filter(|s| s.contains("suppressed: ")).count());
    match hidden {
        Ok(n) if n > 0 => println!("· is a figure not shown; release_status says why"),
        _ => {}
    }
    Ok(())
}

/// A column as text.
pub(crate) fn texts(batch: &RecordBatch, column: &str) -> anyhow::Result<Vec<String>> {
    let column = batch.column_by_name(column).with_context(|| format!("the answer has no column '{column}'"))?;
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    (0..batch.num_rows()).map(|row| Ok(formatter.value(row).try_to_string()?)).collect()
}

/// A column as numbers of one kind.
fn numbers(batch: &RecordBatch, column: &str, to: &DataType) -> anyhow::Result<ArrayRef> {
    let column = batch.column_by_name(column).with_context(|| format!("the answer has no column '{column}'"))?;
    Ok(cast(column, to)?)
}

/// How many people stand behind each of the first `most` cells, one bar a cell; the first `keys` columns name it.
pub(crate) fn bars(batch: &RecordBatch, keys: usize, most: usize) -> anyhow::Result<()> {
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().take(keys).map(|field| field.name().as_str()).collect();
    let keys = names.iter().map(|name| texts(batch, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let people = numbers(batch, PEOPLE, &DataType::Float64)?;
    let people = people.as_primitive::<Float64Type>();
    let label = |row: usize| keys.iter().map(|key| key[row].as_str()).collect::<Vec<_>>().join(", ");
    // what is not shown has no name either
    let rows: Vec<(String, f64)> = (0..batch.num_rows().min(most))
        .filter(|row| people.is_valid(*row))
        .map(|row| (label(row), people.value(row)))
        .collect();
    if rows.is_empty() {
        println!("\n  nothing to draw: fewer than five people stand behind every figure");
        return Ok(());
    }
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let most = rows.iter().map(|(_, people)| *people).fold(1.0, f64::max);
    println!("\n  people by {}\n", names.join(" and "));
    for (label, people) in rows {
        println!("  {label:>width$} {} {people}", bar(people / most));
    }
    println!();
    Ok(())
}

/// HbA1c by month around the first metformin, one bar per month and region.
pub(crate) fn chart(batch: &RecordBatch) -> anyhow::Result<()> {
    let regions = texts(batch, "region")?;
    let months = numbers(batch, "month", &DataType::Int64)?;
    let means = numbers(batch, "mean_hba1c", &DataType::Float64)?;
    let (months, means) = (months.as_primitive::<Int64Type>(), means.as_primitive::<Float64Type>());
    let points: Vec<(&str, i64, f64)> = (0..batch.num_rows())
        .filter(|row| months.is_valid(*row) && means.is_valid(*row))
        .map(|row| (regions[row].as_str(), months.value(row), means.value(row)))
        .collect();
    if points.is_empty() {
        println!("\n  nothing to draw: fewer than five people stand behind every figure");
        return Ok(());
    }
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p.2), high.max(p.2)));
    // short bars show a fall better than long ones that all look alike; the axis says where it starts
    let origin = (low - 4.0).max(0.0).floor();
    println!("\n  mean HbA1c (mmol/mol) by month from the first metformin; bars start at {origin}");
    let mut names: Vec<&str> = points.iter().map(|p| p.0).collect();
    names.dedup();
    for name in names {
        println!("\n  {name}");
        let (first, last) = points.iter().filter(|p| p.0 == name).fold((0, 0), |(a, b), p| (a.min(p.1), b.max(p.1)));
        for month in first..=last {
            let mark = if month == 0 { "metformin ▶" } else { "" };
            match points.iter().find(|p| p.0 == name && p.1 == month) {
                Some((_, _, mean)) => {
                    println!("  {mark:>11} {month:>3} {} {mean:.1}", bar((mean - origin) / (high - origin).max(1.0)));
                }
                None => println!("  {mark:>11} {month:>3} · fewer than five people"),
            }
        }
    }
    println!();
    Ok(())
}

fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * BAR * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_to_be_pasted_is_one_word_for_a_shell() {
        assert_eq!(quoted("/opt/eger/demo"), "/opt/eger/demo");
        assert_eq!(quoted("/home/o'neill/my demo"), "'/home/o'\\''neill/my demo'");
    }

    #[test]
    fn bars_grow_by_eighths_and_words_wrap() {
        assert_eq!(bar(1.0).chars().count(), BAR as usize);
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5 / BAR), "▌");
        assert!(wrapped(&"word ".repeat(60)).lines().all(|line| line.len() <= WIDTH));
    }
}
