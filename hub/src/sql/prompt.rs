//! The interactive prompt: statements over several lines until `;`, with history, and a few commands that begin
//! with a backslash.

use super::{Client, ClientError, Format, Outcome, answer};
use crate::login::Session;
use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use arrow_flight::IpcMessage;
use proto::schema;
use rustyline::{DefaultEditor, error::ReadlineError};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

const HELP: &str = r"\d            tables          \d TABLE     a table's columns
\l            projects        \c PROJECT   go to a project
\format NAME  table, csv or json
\timing       seconds on or off
\q            end
A statement ends with ;   Ctrl-C cancels one that runs";

struct Prompt {
    client: Client,
    /// whoever signed in with `hub login`, when that token is used
    session: Option<Session>,
    format: Format,
    timing: bool,
    quiet: bool,
}

/// Reads and runs until the end of input.
pub(super) async fn run(client: Client, session: Option<Session>, format: Format, quiet: bool) -> ExitCode {
    let mut editor = match DefaultEditor::new() {
        Ok(editor) => editor,
        Err(error) => return super::failed(&format!("no prompt: {error}"), super::exit::USAGE),
    };
    let history = history_file();
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    eprintln!("Statements end with ;   \\? helps, \\q ends");
    let mut prompt = Prompt { client, session, format, timing: true, quiet };
    let mut pending = String::new();
    loop {
        let shown = if pending.is_empty() { "eger> " } else { "  ... " };
        // Reading blocks; nothing else runs meanwhile.
        let line = tokio::task::block_in_place(|| editor.readline(shown));
        match line {
            Ok(line) => {
                let command = line.trim();
                if pending.is_empty() && command.starts_with('\\') {
                    let _ = editor.add_history_entry(command);
                    match prompt.command(command).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => eprintln!("error: {error}"),
                    }
                    continue;
                }
                pending.push_str(&line);
                pending.push('\n');
                if !ends(&pending) {
                    continue;
                }
                let text = std::mem::take(&mut pending);
                let _ = editor.add_history_entry(text.trim());
                if let Err(error) = prompt.renew().await {
                    eprintln!("error: {error}");
                    continue;
                }
                for statement in split(&text) {
                    let manner = (prompt.timing, prompt.quiet);
                    if let Err(outcome) = answer(&mut prompt.client, &statement, prompt.format, manner).await {
                        match outcome {
                            Outcome::Cancelled => eprintln!("cancelled"),
                            other => eprintln!("error: {other}"),
                        }
                        break;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                eprintln!("error: {error}");
                break;
            }
        }
        save(&mut editor, history.as_ref());
    }
    save(&mut editor, history.as_ref());
    ExitCode::SUCCESS
}

/// Statements may name people's codes: the history is the user's alone.
fn save(editor: &mut DefaultEditor, path: Option<&PathBuf>) {
    use std::os::unix::fs::OpenOptionsExt;
    let Some(path) = path else { return };
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    if std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).is_ok() {
        let _ = editor.save_history(path);
    }
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let state = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(state.join("eger/sql_history"))
}

impl Prompt {
    /// A prompt may stay open longer than a token lives.
    async fn renew(&mut self) -> Result<(), String> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let before = session.clone();
        match session.fresh().await {
            Ok(fresh) => {
                if fresh.token() != before.token() {
                    self.client.set_token(fresh.token()).map_err(|e| e.to_string())?;
                }
                self.session = Some(fresh);
                Ok(())
            }
            Err(error) => {
                self.session = Some(before);
                Err(error.to_string())
            }
        }
    }

    /// Runs a command. False: end.
    async fn command(&mut self, line: &str) -> Result<bool, String> {
        let (name, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(n, r)| (n, r.trim()));
        let said = |error: ClientError| error.to_string();
        match name {
            "\\q" => return Ok(false),
            "\\?" | "\\h" => println!("{HELP}"),
            "\\l" => {
                let batches = self.client.projects().await.map_err(said)?;
                show(&batches).map_err(|e| e.to_string())?;
            }
            "\\c" if rest.is_empty() => return Err("name a project: \\c PROJECT".to_owned()),
            "\\c" => self.client.set_project(rest.trim_end_matches(';')).map_err(said)?,
            "\\d" => {
                let batches = self.client.tables().await.map_err(said)?;
                let table = rest.trim_end_matches(';');
                let listed = if table.is_empty() { tables(&batches) } else { columns(&batches, table) };
                show(&[listed?]).map_err(|e| e.to_string())?;
            }
            "\\timing" => {
                self.timing = !self.timing;
                eprintln!("timing {}", if self.timing { "on" } else { "off" });
            }
            "\\format" => {
                self.format = match rest {
                    "table" => Format::Table,
                    "csv" => Format::Csv,
                    "json" => Format::Json,
                    other => return Err(format!("'{other}': the formats here are table, csv and json")),
                }
            }
            other => return Err(format!("there is no command {other}. \\? lists them")),
        }
        Ok(true)
    }
}

fn show(batches: &[RecordBatch]) -> std::io::Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let mut printer = super::print::Printer::new(std::io::stdout().lock(), Format::Table, &first.schema())?;
    for batch in batches {
        printer.write(batch)?;
    }
    printer.finish()
}

fn text_table(names: &[&str], rows: &[Vec<String>]) -> Result<RecordBatch, String> {
    let fields: Vec<Field> = names.iter().map(|n| Field::new(*n, DataType::Utf8, false)).collect();
    let columns = (0..names.len())
        .map(|c| Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.get(c).map_or("", String::as_str)))) as _)
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| e.to_string())
}

/// Project, controller, table and schema of each row of a table listing.
fn listed(batches: &[RecordBatch]) -> Vec<(String, String, String, Schema)> {
    let mut all = Vec::new();
    for batch in batches {
        let text = |name: &str, row: usize| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>().filter(|c| !c.is_null(row)).map(|c| c.value(row).to_owned()))
                .unwrap_or_default()
        };
        for row in 0..batch.num_rows() {
            let bytes =
                batch.column_by_name("table_schema").and_then(|c| c.as_binary_opt::<i32>()).map(|c| c.value(row));
            let found = bytes.and_then(|b| Schema::try_from(IpcMessage(b.to_vec().into())).ok());
            let (project, controller) = (text("catalog_name", row), text("db_schema_name", row));
            all.push((project, controller, text("table_name", row), found.unwrap_or_else(Schema::empty)));
        }
    }
    all
}

/// A name as it is written in a statement.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn tables(batches: &[RecordBatch]) -> Result<RecordBatch, String> {
    let rows: Vec<Vec<String>> = listed(batches)
        .into_iter()
        .map(|(project, controller, table, columns)| {
            vec![project, format!("{}.{}", quoted(&controller), quoted(&table)), columns.fields().len().to_string()]
        })
        .collect();
    text_table(&["project", "table", "columns"], &rows)
}

fn columns(batches: &[RecordBatch], named: &str) -> Result<RecordBatch, String> {
    let wanted = named.replace('"', "");
    let fits = |controller: &str, table: &str| wanted == table || wanted == format!("{controller}.{table}");
    let rows: Vec<Vec<String>> = listed(batches)
        .iter()
        .filter(|(_, controller, table, _)| fits(controller, table))
        .flat_map(|(_, controller, table, columns)| {
            columns.fields().iter().map(move |field| {
                let said = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
                let unit = [said(schema::UNIT), said(schema::CODES)].into_iter().find(|s| !s.is_empty());
                vec![
                    format!("{}.{}", quoted(controller), quoted(table)),
                    quoted(field.name()),
                    kind(field.data_type()),
                    said(schema::ROLE),
                    unit.unwrap_or_default(),
                    Some(said(schema::EN)).filter(|s| !s.is_empty()).unwrap_or_else(|| said(schema::DA)),
                ]
            })
        })
        .collect();
    if rows.is_empty() {
        return Err(format!("there is no table {named}. \\d lists them"));
    }
    text_table(&["table", "column", "type", "role", "unit or codes", "description"], &rows)
}

fn kind(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, _) => "timestamp".to_owned(),
        DataType::FixedSizeBinary(width) => format!("binary({width})"),
        other => other.to_string().to_ascii_lowercase(),
    }
}

/// Cuts a text at the `;` that end statements, not at those in strings, quoted names and comments.
pub(super) fn split(text: &str) -> Vec<String> {
    pieces(text).0
}

/// Whether the text ends a statement.
fn ends(text: &str) -> bool {
    let (_, rest) = pieces(text);
    rest.trim().is_empty()
}

/// The statements, and what follows the last `;` (which is a statement too, unless it is blank).
fn pieces(text: &str) -> (Vec<String>, String) {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut bare = String::new(); // the current piece without comments
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' => {
                if !bare.trim().is_empty() {
                    statements.push(current.trim().to_owned());
                }
                current.clear();
                bare.clear();
                continue;
            }
            '\'' | '"' | '`' => {
                current.push(c);
                bare.push(c);
                for inner in chars.by_ref() {
                    current.push(inner);
                    if inner == c {
                        break;
                    }
                }
                continue;
            }
            '-' if chars.peek() == Some(&'-') => {
                current.push(c);
                for inner in chars.by_ref() {
                    current.push(inner);
                    if inner == '\n' {
                        break;
                    }
                }
                continue;
            }
            '/' if chars.peek() == Some(&'*') => {
                current.push(c);
                let mut last = ' ';
                for inner in chars.by_ref() {
                    current.push(inner);
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
                continue;
            }
            _ => {}
        }
        current.push(c);
        bare.push(c);
    }
    let rest = bare;
    if !rest.trim().is_empty() {
        statements.push(current.trim().to_owned());
    }
    (statements, rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn statements_are_cut_where_they_end() {
        assert_eq!(
            split("SELECT 1; SELECT ';' -- ;\n, \"a;\" /* ; */;\n\n"),
            ["SELECT 1", "SELECT ';' -- ;\n, \"a;\" /* ; */"]
        );
        assert_eq!(split("SELECT 1"), ["SELECT 1"]);
        assert!(split(" ;; -- nothing\n").is_empty());
        assert!(ends("SELECT 1;\n") && !ends("SELECT 1\n") && !ends("SELECT ';\n"));
        assert!(ends("SELECT 1; -- done\n"));
    }

    #[test]
    fn tables_and_columns_are_listed() {
        let field = |name: &str, kind, role: &str| {
            Field::new(name, kind, true).with_metadata([(schema::ROLE.to_owned(), role.to_owned())].into())
        };
        let columns_of = Schema::new(vec![
            field("pnr", DataType::FixedSizeBinary(16), "person"),
            Field::new("value", DataType::Float64, true),
        ]);
        let mut builder =
            arrow_flight::sql::CommandGetTables { include_schema: true, ..Default::default() }.into_builder();
        builder.append("diabetes", "region-h", "lab_forsker", "TABLE", &columns_of).unwrap();
        let batches = [builder.build().unwrap()];
        let shown = |batch: RecordBatch| arrow::util::pretty::pretty_format_batches(&[batch]).unwrap().to_string();
        assert!(shown(tables(&batches).unwrap()).contains("\"region-h\".lab_forsker"));
        let described = shown(columns(&batches, "region-h.lab_forsker").unwrap());
        assert!(described.contains("binary(16)") && described.contains("person") && described.contains("double"));
        assert!(columns(&batches, "nothing").unwrap_err().contains("\\d lists them"));
    }
}
