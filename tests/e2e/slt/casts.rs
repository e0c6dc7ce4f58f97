//! `cast.slt`: each type that can travel, cast into each other as far as Arrow can. There are some 500 pairs, so the
//! statements are made here; what they give stands in the file.

use anyhow::Result;
use arrow::{
    compute::can_cast_types,
    datatypes::{DataType, IntervalUnit, TimeUnit},
};
use std::{fmt::Write as _, path::Path};

/// The types of `fragment.proto` that a value can have, as `arrow_cast` names them. Texts in three forms.
pub(super) fn types() -> Vec<(DataType, String)> {
    use DataType as D;
    let mut types = vec![
        D::Boolean,
        D::Int8,
        D::Int16,
        D::Int32,
        D::Int64,
        D::UInt8,
        D::UInt16,
        D::UInt32,
        D::UInt64,
        D::Float32,
        D::Float64,
        D::Utf8,
        D::Utf8View,
        D::LargeUtf8,
        D::Binary,
        D::FixedSizeBinary(1),
        D::Date32,
        D::Decimal128(20, 2),
        D::Interval(IntervalUnit::MonthDayNano),
    ];
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        types.push(D::Timestamp(unit, None));
        types.push(D::Duration(unit));
    }
    types.push(D::Timestamp(TimeUnit::Microsecond, Some("+02:00".into())));
    types.into_iter().map(|t| (t.clone(), name(&t))).collect()
}

fn name(kind: &DataType) -> String {
    match kind {
        DataType::Timestamp(unit, None) => format!("Timestamp({unit:?}, None)"),
        DataType::Timestamp(unit, Some(zone)) => format!("Timestamp({unit:?}, Some(\"{zone}\"))"),
        DataType::Duration(unit) => format!("Duration({unit:?})"),
        DataType::Interval(unit) => format!("Interval({unit:?})"),
        DataType::Decimal128(precision, scale) => format!("Decimal128({precision}, {scale})"),
        other => other.to_string(),
    }
}

/// A column of `dst.vals`, as a value of `from` that every type takes; texts are spelled as the wanted type wants them.
fn source(from: &DataType, name: &str, to: &DataType) -> String {
    use DataType as D;
    let column = match (from, to) {
        (D::Utf8 | D::Utf8View | D::LargeUtf8, D::Date32 | D::Timestamp(_, _)) => "CAST(day AS VARCHAR)",
        (D::Utf8 | D::Utf8View | D::LargeUtf8, D::Interval(_)) => "concat(num, ' seconds')",
        (D::Utf8 | D::Utf8View | D::LargeUtf8 | D::Binary | D::FixedSizeBinary(_), _) => "num",
        // What fits into eight bits, too: one day or one unit after 1970 began.
        (D::Date32, to) if to.is_numeric() => "small",
        (D::Timestamp(_, _), to) if to.is_numeric() => "big",
        (D::Date32, _) => "day",
        (D::Timestamp(_, _), _) => "at",
        (D::Duration(_), _) => "big",
        (D::Interval(_), _) => "concat(num, ' seconds')",
        _ => "small",
    };
    match from {
        // Arrow makes these of nothing but themselves and bytes.
        D::FixedSizeBinary(_) => format!("arrow_cast(arrow_cast({column}, 'Binary'), '{name}')"),
        _ => format!("arrow_cast({column}, '{name}')"),
    }
}

/// Every cast that there is: its two types and how it is written.
pub(super) fn pairs() -> Vec<(String, Vec<String>)> {
    let types = types();
    let into = |(from, name): &(DataType, String)| {
        let others = types.iter().filter(|(to, _)| to != from && can_cast_types(from, to));
        let casts = others.map(|(to, wanted)| format!("arrow_cast({}, '{wanted}')", source(from, name, to)));
        (name.clone(), casts.collect())
    };
    types.iter().map(into).collect()
}

/// The file's statements, with nothing that they give.
pub(super) fn write(path: &Path) -> Result<()> {
    let mut out = String::from(
        "# Casts from each type that can travel into each other, and the fragment that asks for them.\n\
         # Written by `EGER_SLT=write`: answers by the plain engine, EXPLAIN by the platform.\n",
    );
    for (name, casts) in pairs() {
        let select = format!("SELECT {} FROM dst.vals WHERE id = 1", casts.join(",\n  "));
        let _ =
            write!(out, "\n# from {name}\nquery T\n{select}\n----\n\nonlyif eger\nquery TT\nEXPLAIN {select}\n----\n");
    }
    Ok(std::fs::write(path, out)?)
}
