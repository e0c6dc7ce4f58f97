//! The `.slt` files speak of everything that a fragment can say: each function and each kind stands in a fragment that
//! some `EXPLAIN` there shows at a spoke. What `proto` gains without a statement here fails.

use super::{casts, engine::Column, files};
use anyhow::{Context, Result, ensure};
use sqllogictest::{QueryExpect, Record, parse_file};
use std::{collections::BTreeMap, path::Path};

/// What the fragments look like that the files expect, one line each: `controller | SELECT ..`.
fn fragments() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files()? {
        for record in parse_file::<Column>(&file)? {
            if let Record::Query { sql, expected: QueryExpect::Results { results, .. }, .. } = record
                && sql.trim_start().starts_with("EXPLAIN")
            {
                lines.extend(results.into_iter().filter(|line| !line.starts_with("hub |")));
            }
        }
    }
    Ok(lines)
}

/// The members of each `oneof` and the values of each `enum` of `fragment.proto`, by `Message` or `Enum`.
fn kinds() -> Result<BTreeMap<String, Vec<String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto/eger/v1/fragment.proto");
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut around, mut open) = (String::new(), false);
    for line in std::fs::read_to_string(path)?.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("message"), Some(name)) => around = name.to_owned(),
            (Some("enum"), Some(name)) => (around, open) = (name.to_owned(), true),
            (Some("oneof"), Some("kind")) => open = true,
            (Some("}"), _) => open = false,
            (Some("reserved"), _) => {}
            (Some(first), Some(second)) if open => {
                let name = if second == "=" { first } else { second };
                if !name.ends_with("UNSPECIFIED") {
                    kinds.entry(around.clone()).or_default().push(name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(kinds)
}

/// How a kind shows in the text of a fragment: one of these. Nothing for what has no text of its own.
fn marks(of: &str, kind: &str) -> Option<&'static [&'static str]> {
    Some(match (of, kind) {
        ("Rel", "read" | "project") => &["SELECT "],
        ("Rel", "filter") => &[" WHERE "],
        ("Rel", "join") => &[" JOIN "],
        ("Rel", "aggregate") => &[" GROUP BY "],
        ("Rel", "sort_limit") => &[" ORDER BY "],
        ("JoinKind", "INNER") => &[" AS l JOIN ("],
        ("JoinKind", "LEFT") => &["LEFT JOIN"],
        ("JoinKind", "SEMI") => &["LEFT SEMI JOIN"],
        ("JoinKind", "ANTI") => &["LEFT ANTI JOIN"],
        ("MeasureKind", "COUNT") => &["count(*)"],
        ("MeasureKind", "SUM") => &["sum("],
        ("MeasureKind", "MIN") => &["min("],
        ("MeasureKind", "MAX") => &["max("],
        ("MeasureKind", "AVG") => &["avg("],
        ("MeasureKind", "VAR_SAMP") => &["var_samp("],
        ("MeasureKind", "VAR_POP") => &["var_pop("],
        ("MeasureKind", "STDDEV_SAMP") => &["stddev_samp("],
        ("MeasureKind", "STDDEV_POP") => &["stddev_pop("],
        ("MeasureKind", "COUNT_DISTINCT") => &["count(DISTINCT "],
        // Only the open zone's rewriting of a statement asks for it; its answers aren't rows of a file.
        ("MeasureKind", "PERSONS" | "CONTRIBUTIONS" | "CONTRIBUTIONS_MEAN" | "CONTRIBUTIONS_SPREAD") => &[],
        ("Expr", "column") => &["SELECT "],
        ("Expr", "literal") => &[" = '", " > 1"],
        ("Expr", "compare") => &[" = "],
        ("Expr", "logic") => &[" AND "],
        ("Expr", "arithmetic") => &[" + "],
        ("Expr", "in_list") => &[" IN ('", " IN (1"],
        // The engine writes two comparisons.
        ("Expr", "between") => &[],
        ("Expr", "like") => &[" LIKE "],
        ("Expr", "is_null") => &[" IS NULL"],
        ("Expr", "case") => &["CASE WHEN "],
        ("Expr", "cast") => &["CAST("],
        ("Expr", "call") => &["upper("],
        ("Expr", "negative") => &["-(small)", "-small", "- small"],
        ("Expr", "not") => &["NOT "],
        // Comes with a running join only, when the build side's keys are known: `IN (key list 0)` in the spoke's log.
        ("Expr", "in_keys") => &[],
        ("CompareOp", "EQ") => &[" = "],
        ("CompareOp", "NOT_EQ") => &[" <> "],
        ("CompareOp", "LT") => &[" < "],
        ("CompareOp", "LT_EQ") => &[" <= "],
        ("CompareOp", "GT") => &[" > "],
        ("CompareOp", "GT_EQ") => &[" >= "],
        ("CompareOp", "IS_DISTINCT") => &[" IS DISTINCT FROM "],
        ("CompareOp", "IS_NOT_DISTINCT") => &[" IS NOT DISTINCT FROM "],
        ("LogicOp", "AND") => &[" AND "],
        ("LogicOp", "OR") => &[" OR "],
        ("ArithmeticOp", "ADD") => &[" + "],
        ("ArithmeticOp", "SUBTRACT") => &[" - "],
        ("ArithmeticOp", "MULTIPLY") => &[" * "],
        ("ArithmeticOp", "DIVIDE") => &[" / "],
        ("ArithmeticOp", "MODULO") => &[" % "],
        ("ArithmeticOp", "TEXT_CONCAT") => &[" || "],
        // NULL is a constant's type; nothing is cast to it.
        ("TypeKind", "NULL") => &[],
        ("TypeKind", "BOOLEAN") => &[" AS BOOLEAN)"],
        ("TypeKind", "INT8") => &[" AS INT8)"],
        ("TypeKind", "INT16") => &[" AS INT16)"],
        ("TypeKind", "INT32") => &[" AS INT32)"],
        ("TypeKind", "INT64") => &[" AS INT64)"],
        ("TypeKind", "UINT8") => &[" AS UINT8)"],
        ("TypeKind", "UINT16") => &[" AS UINT16)"],
        ("TypeKind", "UINT32") => &[" AS UINT32)"],
        ("TypeKind", "UINT64") => &[" AS UINT64)"],
        ("TypeKind", "FLOAT32") => &[" AS FLOAT32)"],
        ("TypeKind", "FLOAT64") => &[" AS FLOAT64)"],
        ("TypeKind", "UTF8") => &[" AS UTF8)"],
        ("TypeKind", "UTF8_VIEW") => &[" AS UTF8_VIEW)"],
        ("TypeKind", "LARGE_UTF8") => &[" AS LARGE_UTF8)"],
        ("TypeKind", "BINARY") => &[" AS BINARY)"],
        ("TypeKind", "FIXED_SIZE_BINARY") => &[" AS FIXED_SIZE_BINARY("],
        ("TypeKind", "DATE32") => &[" AS DATE32)"],
        ("TypeKind", "TIMESTAMP") => &[" AS TIMESTAMP("],
        ("TypeKind", "DECIMAL128") => &[" AS DECIMAL("],
        ("TypeKind", "INTERVAL_MONTH_DAY_NANO") => &[" AS INTERVAL_MONTH_DAY_NANO)"],
        ("TypeKind", "DURATION") => &[" AS DURATION("],
        ("TimeUnit", "SECOND") => &["(s)"],
        ("TimeUnit", "MILLISECOND") => &["(ms)"],
        ("TimeUnit", "MICROSECOND") => &["(us)"],
        ("TimeUnit", "NANOSECOND") => &["(ns)"],
        _ => return None,
    })
}

#[test]
fn slt_files_push_every_function_and_kind_to_a_spoke() -> Result<()> {
    let fragments = fragments()?;
    ensure!(!fragments.is_empty(), "no EXPLAIN in any file");
    let mut missing = Vec::new();
    // The engine writes these in other words before there is a fragment: CASE, LIKE, a constant.
    // No statement says `coarse`: the hub puts it around columns in the open zone.
    let reworded = ["coalesce", "coarse", "nvl", "pi", "starts_with"];
    for function in proto::fragment::functions::all() {
        if reworded.contains(&function.name) {
            continue;
        }
        let call = regex::Regex::new(&format!(r"\b{}\(", function.name))?;
        if !fragments.iter().any(|line| call.is_match(line)) {
            missing.push(format!("function {}", function.name));
        }
    }
    let kinds = kinds()?;
    ensure!(kinds.len() == 9, "fragment.proto has other enums and oneofs than this test knows: {:?}", kinds.keys());
    for (of, kinds) in &kinds {
        for kind in kinds {
            let marks = marks(of, kind).with_context(|| {
                format!(
                    "{of} has a kind that no .slt file covers: {kind}. Add a statement with EXPLAIN, and its mark here"
                )
            })?;
            if !marks.is_empty() && !fragments.iter().any(|line| marks.iter().any(|mark| line.contains(mark))) {
                missing.push(format!("{of} {kind}"));
            }
        }
    }
    ensure!(missing.is_empty(), "no EXPLAIN of a .slt file shows these at a spoke: {}", missing.join(", "));
    Ok(())
}

#[test]
fn slt_files_cast_every_pair_of_types() -> Result<()> {
    let text = std::fs::read_to_string(super::folder().join("cast.slt"))?;
    let pairs = casts::pairs();
    ensure!(pairs.iter().map(|(_, casts)| casts.len()).sum::<usize>() > 300, "there are more casts than that");
    for (from, casts) in pairs {
        for cast in casts {
            // once for the answer, once for the fragment
            ensure!(text.matches(&cast).count() >= 2, "from {from}: {cast} is not in cast.slt; run EGER_SLT=write");
        }
    }
    Ok(())
}
