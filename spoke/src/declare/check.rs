//! Checks of a declaration against itself and against the other tables.

use super::{
    Declarations, DeclareError,
    raw::{ColumnRole, RawColumn, RawTable},
    table::{Column, ColumnKind, Mode, PersonVia, TableDecl, TableRole},
    types::ValueType,
};
use proto::ids::TableName;
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};
use toml::Spanned;

/// Name of the person column that `person_via` adds, unless the declaration says otherwise.
const PERSON: &str = "pnr";

/// A declaration that is right in itself, and what the check against other tables needs to name lines.
pub(super) struct Part {
    decl: TableDecl,
    lines: Lines,
    /// key columns that got their domain by default
    default_domain: HashSet<String>,
    via: Range<usize>,
}

/// Turns places in a text into line numbers.
struct Lines {
    file: String,
    text: String,
}

impl Lines {
    fn wrong(&self, at: &Range<usize>, message: impl Into<String>) -> DeclareError {
        let before = self.text.get(..at.start).unwrap_or(&self.text);
        DeclareError::Wrong { file: self.file.clone(), line: before.matches('\n').count() + 1, message: message.into() }
    }
}

/// Reads one declaration; `stem` is the name that its file gives it.
pub(super) fn table(text: &str, file: &str, stem: Option<&str>) -> Result<Part, DeclareError> {
    let lines = Lines { file: file.to_owned(), text: text.to_owned() };
    let raw: RawTable = toml::from_str(text)
        .map_err(|error| lines.wrong(&error.span().unwrap_or(0..0), error.message().trim().replace('\n', " ")))?;
    let name = raw.name.get_ref().clone();
    if let Some(stem) = stem
        && stem != AsRef::<str>::as_ref(&name)
    {
        return Err(lines.wrong(
            &raw.name.span(),
            format!("name is '{name}' but the file is called {stem}.toml; give both the same name"),
        ));
    }
    if raw.source.get_ref().path.trim().is_empty() {
        return Err(lines.wrong(&raw.source.span(), "source.path is empty; write a file, a folder, a glob or a URL"));
    }

    let mut default_domain = HashSet::new();
    let mut columns = Vec::with_capacity(raw.columns.len());
    let mut names: HashSet<String> = HashSet::new();
    let mut sources: HashSet<String> = HashSet::new();
    let mut people = Vec::new();
    for column in &raw.columns {
        let at = column.name.span();
        let column_name = column.name.get_ref();
        valid_name(column_name).map_err(|message| lines.wrong(&at, message))?;
        if !names.insert(column_name.clone()) {
            return Err(lines.wrong(&at, format!("column '{column_name}' is declared twice")));
        }
        let source = column.source.as_ref().map_or(column_name, |source| source.get_ref()).clone();
        if !sources.insert(source.to_lowercase()) {
            let at = column.source.as_ref().map_or(at, Spanned::span);
            return Err(lines.wrong(
                &at,
                format!("column '{column_name}' takes source column '{source}', which another column takes already"),
            ));
        }
        let kind = kind(column, &name, &lines, &mut default_domain)?;
        if kind == ColumnKind::Person {
            people.push(at.clone());
        }
        if let Some(date) = &column.date
            && !matches!(kind, ColumnKind::Value(ValueType::Date | ValueType::Timestamp))
        {
            return Err(lines.wrong(
                &date.span(),
                format!("column '{column_name}': 'date' belongs to columns of type date or timestamp"),
            ));
        }
        columns.push(Column {
            name: column_name.clone(),
            source,
            kind,
            date: column.date.as_ref().map(|date| *date.get_ref()),
            unit: column.unit.clone(),
            codes: column.codes.clone(),
            description: column.description.clone(),
        });
    }
    if columns.is_empty() {
        return Err(lines.wrong(&raw.name.span(), "no columns are declared; add at least one [[column]]"));
    }

    let role = *raw.role.get_ref();
    people_fit_role(role, &people, &raw, &lines)?;
    if let Some(event_date) = &raw.event_date {
        let found = columns.iter().find(|column| &column.name == event_date.get_ref());
        match found.map(|column| &column.kind) {
            Some(ColumnKind::Value(ValueType::Date | ValueType::Timestamp)) => {}
            Some(_) => {
                return Err(lines.wrong(
                    &event_date.span(),
                    format!(
                        "event_date names column '{}', which is not of type date or timestamp",
                        event_date.get_ref()
                    ),
                ));
            }
            None => {
                return Err(lines.wrong(
                    &event_date.span(),
                    format!("event_date names column '{}', which is not declared", event_date.get_ref()),
                ));
            }
        }
    }
    let mut via = 0..0;
    let person_via = match &raw.person_via {
        None => None,
        Some(raw_via) => {
            via = raw_via.table.span();
            let added = raw_via.name.as_ref().map_or_else(|| PERSON.to_owned(), |name| name.get_ref().clone());
            let at = raw_via.name.as_ref().map_or_else(|| via.clone(), Spanned::span);
            valid_name(&added).map_err(|message| lines.wrong(&at, message))?;
            if names.contains(&added) {
                return Err(lines.wrong(
                    &at,
                    format!(
                        "[person_via] adds a column '{added}', but one of that name is declared; rename one of them"
                    ),
                ));
            }
            let key = raw_via.key.get_ref();
            let is_key =
                columns.iter().any(|column| &column.name == key && matches!(column.kind, ColumnKind::Key { .. }));
            if !is_key {
                return Err(lines.wrong(
                    &raw_via.key.span(),
                    format!("[person_via] key names '{key}', which is no column with role = \"key\" of this table"),
                ));
            }
            Some(PersonVia {
                table: raw_via.table.get_ref().clone(),
                key: key.clone(),
                name: added,
                parent_person: String::new(),
            })
        }
    };

    let decl = TableDecl {
        name,
        role,
        event_date: raw.event_date.map(Spanned::into_inner),
        mode: raw.mode,
        description: raw.description,
        source: raw.source.into_inner(),
        columns,
        person_via,
        file: file.to_owned(),
    };
    Ok(Part { decl, lines, default_domain, via })
}

fn kind(
    column: &RawColumn,
    table: &TableName,
    lines: &Lines,
    default_domain: &mut HashSet<String>,
) -> Result<ColumnKind, DeclareError> {
    let name = column.name.get_ref();
    let at = column.name.span();
    if let Some(domain) = &column.domain {
        if column.role.as_ref().map(|role| *role.get_ref()) != Some(ColumnRole::Key) {
            return Err(lines
                .wrong(&domain.span(), format!("column '{name}': 'domain' belongs to columns with role = \"key\"")));
        }
        let parts = domain.get_ref().split('.').all(|part| valid_name(part).is_ok());
        if !parts {
            return Err(lines.wrong(
                &domain.span(),
                format!("column '{name}': domain must be names joined by '.', such as \"lpr.kontakt\""),
            ));
        }
    }
    match (&column.role, &column.value_type) {
        (Some(role), Some(_)) => Err(lines.wrong(&role.span(), format!("column '{name}' has both a role and a type; people and keys are always published as pseudonyms, leave the type out"))),
        (Some(role), None) => Ok(match role.get_ref() {
            ColumnRole::Person => ColumnKind::Person,
            ColumnRole::Key => {
                let domain = match &column.domain {
                    Some(domain) => domain.get_ref().clone(),
                    None => {
                        default_domain.insert(name.clone());
                        format!("{table}.{name}")
                    }
                };
                ColumnKind::Key { domain }
            }
        }),
        (None, Some(value_type)) => Ok(ColumnKind::Value(*value_type)),
        (None, None) => Err(lines.wrong(&at, format!("column '{name}' has neither a type nor a role; write type = \"text\" (or int32, date ...), or role = \"person\" or \"key\""))),
    }
}

fn people_fit_role(
    role: TableRole,
    people: &[Range<usize>],
    raw: &RawTable,
    lines: &Lines,
) -> Result<(), DeclareError> {
    let at = raw.role.span();
    match (role, people) {
        (TableRole::Person, []) => return Err(lines.wrong(&at, "role is \"person\" but no column has role = \"person\"")),
        (TableRole::Person, [_, second, ..]) => return Err(lines.wrong(second, "a table has one person column; this is the second. Publish the other person in a table of its own, or leave the column out")),
        (TableRole::PersonVia | TableRole::Reference, [first, ..]) => {
            return Err(lines.wrong(first, "only a table with role = \"person\" has a column with role = \"person\""));
        }
        _ => {}
    }
    if role == TableRole::PersonVia && raw.mode == Mode::Append {
        return Err(lines.wrong(&at, "a table with role = \"person_via\" can't have mode = \"append\": rows from before would keep the people of an older parent. Use mode = \"replace\""));
    }
    match (role, &raw.person_via) {
        (TableRole::PersonVia, None) => {
            Err(lines.wrong(&at, "role is \"person_via\" but there is no [person_via] part with table and key"))
        }
        (TableRole::Person | TableRole::Reference, Some(via)) => {
            Err(lines.wrong(&via.table.span(), "[person_via] belongs to tables with role = \"person_via\""))
        }
        _ => Ok(()),
    }
}

fn valid_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if first && rest && name.len() <= 63 {
        Ok(())
    } else {
        Err(format!(
            "'{name}' is no name: start with a letter a-z and use only a-z, 0-9 and _ (at most 63). The name in the source goes to source = \"...\""
        ))
    }
}

/// Checks tables against one another and fills in what one takes from the other.
pub(super) fn together(parts: Vec<Part>) -> Result<Declarations, DeclareError> {
    let mut by_name: BTreeMap<TableName, Part> = BTreeMap::new();
    for part in parts {
        if let Some(other) = by_name.get(&part.decl.name) {
            return Err(DeclareError::Twice {
                file: part.lines.file.clone(),
                table: part.decl.name.to_string(),
                other: other.lines.file.clone(),
            });
        }
        by_name.insert(part.decl.name.clone(), part);
    }
    // Parents first, so that a domain taken from a parent is there when a child of the child asks for it.
    let order = parents_first(&by_name)?;
    for name in order {
        let Some(part) = by_name.get(&name) else { continue };
        let Some(via) = part.decl.person_via.clone() else { continue };
        let wrong = |message: String| part.lines.wrong(&part.via, message);
        let Some(parent) = by_name.get(&via.table) else {
            return Err(wrong(format!("[person_via] names table '{}', which is not declared", via.table)));
        };
        let Some(person) = parent.decl.person() else {
            return Err(wrong(format!("[person_via] names table '{}', which has no people itself", via.table)));
        };
        let Some(domain) = parent.decl.columns.iter().find(|column| column.name == via.key).and_then(key_domain) else {
            return Err(wrong(format!(
                "[person_via]: table '{}' has no column '{}' with role = \"key\"",
                via.table, via.key
            )));
        };
        let own = part.decl.columns.iter().find(|column| column.name == via.key).and_then(key_domain);
        let takes = part.default_domain.contains(&via.key);
        if !takes && own != Some(domain) {
            return Err(wrong(format!(
                "[person_via]: key '{}' has domain '{}' here and '{domain}' in table '{}'; keys match only within one domain",
                via.key,
                own.unwrap_or_default(),
                via.table
            )));
        }
        let (person, domain) = (person.to_owned(), domain.to_owned());
        let Some(part) = by_name.get_mut(&name) else { continue };
        if let Some(column) = part.decl.columns.iter_mut().find(|column| column.name == via.key) {
            column.kind = ColumnKind::Key { domain };
        }
        if let Some(own) = &mut part.decl.person_via {
            own.parent_person = person;
        }
    }
    Ok(by_name.into_iter().map(|(name, part)| (name, part.decl)).collect())
}

fn key_domain(column: &Column) -> Option<&str> {
    match &column.kind {
        ColumnKind::Key { domain } => Some(domain),
        _ => None,
    }
}

fn parents_first(parts: &BTreeMap<TableName, Part>) -> Result<Vec<TableName>, DeclareError> {
    let mut order: Vec<TableName> = Vec::with_capacity(parts.len());
    for (name, part) in parts {
        let mut chain = vec![name.clone()];
        let mut at = part;
        while let Some(via) = &at.decl.person_via {
            if chain.contains(&via.table) {
                return Err(DeclareError::Circle { file: part.lines.file.clone(), table: name.to_string() });
            }
            let Some(parent) = parts.get(&via.table) else { break };
            chain.push(via.table.clone());
            at = parent;
        }
        for name in chain.into_iter().rev() {
            if !order.contains(&name) {
                order.push(name);
            }
        }
    }
    Ok(order)
}
