//! What a resubmission changes: file by file, and cell by cell in tables.

use super::{
    Airlock, AirlockError, FileRecord, SubmissionRecord,
    check::{Table, table},
    read::blocking,
};
use policies::airlock::Output;
use std::collections::BTreeMap;

/// Cells of one file that are told.
const MOST: usize = 200;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// the earlier submission didn't have it
    New,
    /// this submission hasn't it any more
    Gone,
    /// the same bytes
    Same,
    /// other bytes
    Changed,
    /// one of the two was removed, with a submission that was withdrawn or with the data that it was made from: only its hash is
    /// known
    ChangedUnseen,
}

/// A cell that is another one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct CellChange {
    /// the row's group, or its number
    pub row: String,
    /// which column
    pub column: String,
    /// what stood there; none: nothing, or no such row
    pub before: Option<String>,
    /// what stands there
    pub after: Option<String>,
}

/// What became of one file since the earlier submission.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FileDifference {
    /// which
    pub file: String,
    /// what became of it
    pub change: FileChange,
    /// bytes before
    pub bytes_before: Option<u64>,
    /// bytes now
    pub bytes_after: Option<u64>,
    /// SHA-256 before
    pub sha256_before: Option<String>,
    /// SHA-256 now
    pub sha256_after: Option<String>,
    /// tables: the cells that differ, the first 200
    pub cells: Vec<CellChange>,
    /// how many more differ
    pub more: usize,
}

impl Airlock {
    /// What a submission changes against the one that it follows; nothing when it follows none.
    ///
    /// # Errors
    /// When something can't be read.
    pub async fn difference(&self, of: &SubmissionRecord) -> Result<Vec<FileDifference>, AirlockError> {
        let Some(earlier) = of.submission.earlier else { return Ok(Vec::new()) };
        let before = self.get(&earlier).await?;
        let now: BTreeMap<String, FileRecord> =
            self.files(&of.id).await?.into_iter().map(|file| (file.name.clone(), file)).collect();
        let then: BTreeMap<String, FileRecord> =
            self.files(&earlier).await?.into_iter().map(|file| (file.name.clone(), file)).collect();
        let mut names: Vec<&String> = now.keys().chain(then.keys()).collect();
        names.sort();
        names.dedup();
        let mut all = Vec::new();
        for name in names {
            let (old, new) = (then.get(name), now.get(name));
            let mut difference = FileDifference {
                file: name.clone(),
                change: match (old, new) {
                    (None, _) => FileChange::New,
                    (_, None) => FileChange::Gone,
                    (Some(old), Some(new)) if old.sha256 == new.sha256 => FileChange::Same,
                    _ if before.state == policies::airlock::State::Withdrawn => FileChange::ChangedUnseen,
                    _ => FileChange::Changed,
                },
                bytes_before: old.map(|file| file.bytes),
                bytes_after: new.map(|file| file.bytes),
                sha256_before: old.map(|file| file.sha256.clone()),
                sha256_after: new.map(|file| file.sha256.clone()),
                cells: Vec::new(),
                more: 0,
            };
            if let (FileChange::Changed, Some(old), Some(new), Some(output)) =
                (&difference.change, old, new, of.submission.file(name))
            {
                match (self.remaining(&before, old).await?, self.remaining(of, new).await?) {
                    (Some(then), Some(now)) => {
                        let (kinds, output) = ((old.kind, new.kind), output.clone());
                        let mut cells = blocking(move || {
                            let (old, new) = (table::read(kinds.0, &then).ok()?, table::read(kinds.1, &now).ok()?);
                            Some(compare(&output, &old, &new))
                        })
                        .await?
                        .unwrap_or_default();
                        difference.more = cells.len().saturating_sub(MOST);
                        cells.truncate(MOST);
                        difference.cells = cells;
                    }
                    _ => difference.change = FileChange::ChangedUnseen,
                }
            }
            all.push(difference);
        }
        Ok(all)
    }
}

/// Rows by their group, its columns in the order of `order`; none when groups repeat or the columns of groups differ.
fn rows(output: &Output, one: &Table, order: &Table) -> Option<BTreeMap<String, usize>> {
    let measured = |name: &&String| output.count_columns.contains(name) || output.sum_columns.contains(name);
    let names: Vec<&String> = order.columns.iter().filter(|name| !measured(name)).collect();
    let keys: Vec<usize> = names.iter().map(|name| one.at(name)).collect::<Option<_>>()?;
    if keys.is_empty() || one.columns.iter().filter(|name| !measured(name)).count() != keys.len() {
        return None;
    }
    let mut all = BTreeMap::new();
    for row in 0..one.rows.len() {
        let key: Vec<&str> = keys.iter().map(|at| one.cell(row, *at).unwrap_or_default()).collect();
        if all.insert(key.join(" | "), row).is_some() {
            return None;
        }
    }
    Some(all)
}

fn compare(output: &Output, old: &Table, new: &Table) -> Vec<CellChange> {
    let numbered = |table: &Table| (0..table.rows.len()).map(|row| (format!("{:>6}", row + 1), row)).collect();
    let (then, now): (BTreeMap<String, usize>, BTreeMap<String, usize>) =
        match (rows(output, old, new), rows(output, new, new)) {
            (Some(then), Some(now)) => (then, now),
            _ => (numbered(old), numbered(new)),
        };
    let mut columns: Vec<&String> = new.columns.iter().collect();
    columns.extend(old.columns.iter().filter(|name| new.at(name).is_none()));
    let mut keys: Vec<&String> = then.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut all = Vec::new();
    for key in keys {
        for column in &columns {
            let cell = |table: &Table, rows: &BTreeMap<String, usize>| {
                let row = rows.get(key)?;
                table.cell(*row, table.at(column)?).map(str::to_owned)
            };
            let (before, after) = (cell(old, &then), cell(new, &now));
            if before != after {
                all.push(CellChange { row: key.trim().to_owned(), column: (*column).clone(), before, after });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::airlock::Kind;

    fn changes(count: &[&str], old: &str, new: &str) -> Vec<String> {
        let form = policies::airlock::Form::from_toml(policies::airlock::EXAMPLE, "example").unwrap();
        let mut output = form.check().unwrap().files[0].clone();
        output.count_columns = count.iter().map(|name| (*name).to_owned()).collect();
        let read = |text: &str| table::read(Kind::Csv, text.as_bytes()).unwrap();
        let told = |cell: CellChange| {
            let of = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!("{} {}: {} > {}", cell.row, cell.column, of(cell.before), of(cell.after))
        };
        compare(&output, &read(old), &read(new)).into_iter().map(told).collect()
    }

    #[test]
    fn cells_are_compared_group_by_group() {
        let old = "kom,koen,n\n101,1,12\n101,2,4\n147,1,9\n";
        // Columns that moved are the same groups.
        assert_eq!(changes(&["n"], old, "koen,kom,n\n2,101,4\n1,101,12\n1,147,8\n"), ["1 | 147 n: 9 > 8"]);
        let new = "kom,koen,n\n101,2,\n101,1,12\n147,2,8\n";
        assert_eq!(
            changes(&["n"], old, new),
            [
                "101 | 2 n: 4 > -",
                "147 | 1 kom: 147 > -",
                "147 | 1 koen: 1 > -",
                "147 | 1 n: 9 > -",
                "147 | 2 kom: - > 147",
                "147 | 2 koen: - > 2",
                "147 | 2 n: - > 8"
            ]
        );
        assert_eq!(changes(&["n"], old, old), Vec::<String>::new());
    }

    #[test]
    fn tables_without_groups_are_compared_row_by_row() {
        assert_eq!(changes(&[], "a,b\n1,1\n1,1\n", "a,b\n1,1\n1,2\n"), ["2 b: 1 > 2"]);
        assert_eq!(changes(&["n"], "k,n\nx,7\n", "l,n\nx,7\n"), ["1 l: - > x", "1 k: x > -"]);
    }
}
