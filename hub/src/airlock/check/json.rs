//! JSON records as a table.
//!
//! INVARIANT: every value that stands in the text is a cell. Readers keep one of two values of one name, and not all the same one, so a
//! name that stands twice in a record would carry a value that nothing here looks at.

use super::{
    table::{MOST_COLUMNS, MOST_ROWS, Table, Unreadable},
    text,
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

/// Characters of a name that are shown.
const LONGEST_NAME: usize = 60;

/// Names and values in the order in which they stand, also those that stand twice.
struct Record(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    pairs.push((name.trim().to_owned(), value));
                }
                Ok(Record(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A list of records, whose columns are in the order in which they first stand. A record without one has a missing cell.
pub(super) fn read(bytes: &[u8]) -> Result<Table, Unreadable> {
    let records: Vec<Record> = serde_json::from_slice(bytes).map_err(|_| Unreadable::Records)?;
    if records.len() > MOST_ROWS {
        return Err(Unreadable::Large);
    }
    let mut columns: Vec<&String> = Vec::new();
    let mut at: HashMap<&String, usize> = HashMap::new();
    for (row, Record(pairs)) in records.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for (name, _) in pairs {
            if !seen.insert(name) {
                return Err(Unreadable::Doubled { row: row + 1, name: shown(name) });
            }
            at.entry(name).or_insert_with(|| {
                columns.push(name);
                columns.len() - 1
            });
        }
        if columns.len() > MOST_COLUMNS {
            return Err(Unreadable::Large);
        }
    }
    let mut table = Table::new(columns.iter().map(|name| (*name).clone()).collect())?;
    for Record(pairs) in &records {
        let mut cells: Vec<Option<String>> = vec![None; columns.len()];
        for (name, value) in pairs {
            let text = match value {
                Value::Null => None,
                Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                Value::Array(_) | Value::Object(_) => return Err(Unreadable::Records),
            };
            if let Some(cell) = at.get(name).and_then(|at| cells.get_mut(*at)) {
                *cell = text;
            }
        }
        table.push(cells)?;
    }
    Ok(table)
}

/// A name as it may be shown.
pub(super) fn shown(name: &str) -> String {
    if text::is_seen_in(name) {
        return "(not shown)".to_owned();
    }
    name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_may_lack_names_and_have_them_in_any_order() {
        let table =
            read(br#"[{"kom": "101", "n": 12}, {"n": 1.5, "more": true}, {" kom ": " 147 ", "n": null}]"#).unwrap();
        assert_eq!(table.columns, ["kom", "n", "more"]);
        let rows: Vec<Vec<&str>> =
            table.rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect()).collect();
        assert_eq!(rows, [["101", "12", "-"], ["-", "1.5", "true"], ["147", "-", "-"]]);
        for no in ["{}", "[1]", "[{\"n\": [1]}]", "[{\"n\": {\"n\": 1, \"n\": 2}}]", "[{\"n\": 1}] 2"] {
            assert_eq!(read(no.as_bytes()), Err(Unreadable::Records), "{no}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_where_it_does() {
        let doubled = |row, name: &str| Err(Unreadable::Doubled { row, name: name.to_owned() });
        assert_eq!(read(br#"[{"kom": 1, "n": 3, "n": 12}]"#), doubled(1, "n"));
        assert_eq!(read(br#"[{"n": 12}, {"n": 12, "kom": 1, "kom": 1}]"#), doubled(2, "kom"));
        // Written otherwise it is the same name.
        assert_eq!(read(br#"[{"n": 3, "\u006e": 12}]"#), doubled(1, "n"));
        assert_eq!(read(br#"[{"n ": 3, "n": 12}]"#), doubled(1, "n"));
    }
}
