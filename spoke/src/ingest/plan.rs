//! Deciding whether there is anything to do, and with which files.

use super::{
    IngestError, Run,
    source::{SourceFile, digest_of},
};
use crate::{
    declare::{Mode, TableDecl},
    publish::Snapshot,
};
use arrow::datatypes::Schema;
use std::collections::HashSet;

/// What is to be done for a table.
pub(crate) enum Plan {
    /// what is published is made of these files, under this declaration
    NothingNew,
    /// read these files
    Read(Vec<SourceFile>),
}

/// Compares what is there with what was published. Sizes alone are never trusted: a file counts as known when its
/// digest is. They only spare reading a file twice that is certainly new.
pub(crate) async fn plan(
    run: &Run<'_>,
    decl: &TableDecl,
    current: Option<&Snapshot>,
    parent: Option<&Snapshot>,
    files: Vec<SourceFile>,
) -> Result<Plan, IngestError> {
    let Some(current) = current else { return Ok(Plan::Read(files)) };
    let last = run.state.last(current).await?;
    match decl.mode {
        Mode::Replace => {
            let Some(last) = last else { return Ok(Plan::Read(files)) };
            let same_declaration =
                last.declaration == decl.digest() && last.parent_version == parent.map(|parent| parent.version);
            let known: HashSet<(&str, u64)> =
                last.sources.iter().map(|source| (source.location.as_str(), source.size)).collect();
            let same_files =
                known.len() == files.len() && files.iter().all(|file| known.contains(&(file.name.as_ref(), file.size)));
            if !(same_declaration && same_files) {
                return Ok(Plan::Read(files));
            }
            for file in &files {
                let digest = digest_of(file).await?;
                if !last.sources.iter().any(|source| source.location == *file.name && source.sha256 == digest) {
                    return Ok(Plan::Read(files));
                }
            }
            Ok(Plan::NothingNew)
        }
        Mode::Append => {
            let Some(last) = last else { return Err(IngestError::HistoryLost { table: decl.name.to_string() }) };
            if let Some(what) = difference(&current.schema, &decl.schema()) {
                return Err(IngestError::ColumnsChanged { table: decl.name.to_string(), what });
            }
            let seen = run.state.in_table(&decl.name).await?;
            let mut new = Vec::new();
            for file in files {
                let known = match seen.get(&file.size) {
                    Some(digests) => digests.contains(&digest_of(&file).await?),
                    None => false,
                };
                if !known {
                    new.push(file);
                }
            }
            // A new description is published with no new file.
            if new.is_empty() && last.declaration == decl.digest() { Ok(Plan::NothingNew) } else { Ok(Plan::Read(new)) }
        }
    }
}

/// The first difference in names, types or roles of columns.
fn difference(published: &Schema, declared: &Schema) -> Option<String> {
    if published.fields().len() != declared.fields().len() {
        return Some(format!("{} columns instead of {}", declared.fields().len(), published.fields().len()));
    }
    published.fields().iter().zip(declared.fields()).find_map(|(old, new)| {
        let role = proto::schema::ROLE;
        let same = old.name() == new.name()
            && old.data_type() == new.data_type()
            && old.metadata().get(role) == new.metadata().get(role);
        (!same).then(|| {
            format!(
                "column '{}' of type {} where '{}' of type {} was",
                new.name(),
                new.data_type(),
                old.name(),
                old.data_type()
            )
        })
    })
}
