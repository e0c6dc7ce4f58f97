//! What is said when a statement can't be planned or fails.
//!
//! INVARIANT: planning may speak of the statement and the catalog; running may not speak of anything but kinds, since
//! the engine's own messages can hold values ("cannot cast 'x'").

use crate::registry::{Catalogue, Offer};
use arrow::error::ArrowError;
use datafusion::{
    common::{DataFusionError, SchemaError, utils::quote_identifier},
    sql::sqlparser::parser::ParserError,
};
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};

/// Tables named in one message.
const NAMED: usize = 20;

/// The refusal somewhere inside, if the error began as one.
fn inside(error: &DataFusionError) -> Option<Refusal> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut depth = 0;
    while let Some(current) = cause {
        if let Some(refusal) = current.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::Shared(shared)) => return inside(shared),
            Some(DataFusionError::External(external)) => {
                if let Some(refusal) = external.downcast_ref::<Refusal>() {
                    return Some(refusal.clone());
                }
                if let Some(deeper) = external.downcast_ref::<DataFusionError>() {
                    return inside(deeper);
                }
            }
            Some(DataFusionError::Context(_, deeper) | DataFusionError::Diagnostic(_, deeper)) => {
                return inside(deeper);
            }
            Some(DataFusionError::Collection(all)) => return all.iter().find_map(inside),
            Some(DataFusionError::ArrowError(arrow, _)) => {
                if let ArrowError::ExternalError(external) = arrow.as_ref() {
                    if let Some(refusal) = external.downcast_ref::<Refusal>() {
                        return Some(refusal.clone());
                    }
                    if let Some(deeper) = external.downcast_ref::<DataFusionError>() {
                        return inside(deeper);
                    }
                }
            }
            _ => {}
        }
        depth += 1;
        cause = if depth < 16 { current.source() } else { None };
    }
    None
}

/// An error's message without the engine's prefixes and back traces.
pub(super) fn plain(error: &DataFusionError) -> String {
    let text = match error {
        DataFusionError::SQL(parser, _) => match parser.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        },
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) | DataFusionError::Configuration(text) => {
            text.clone()
        }
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let shown: Vec<String> = valid_fields.iter().take(NAMED).map(|f| f.flat_name().to_string()).collect();
                let more = if valid_fields.len() > NAMED { ", .." } else { "" };
                format!("there is no column {}. There are: {}{more}", field.flat_name(), shown.join(", "))
            }
            other => other.to_string(),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => return plain(inner),
        DataFusionError::Shared(inner) => return plain(inner),
        DataFusionError::Collection(all) => {
            return all.first().map_or_else(|| "it can't be planned".to_owned(), plain);
        }
        other => other.strip_backtrace(),
    };
    text.trim().to_owned()
}

/// Why a statement can't be planned.
pub(super) fn planning(error: &DataFusionError, query: &QueryId) -> Refusal {
    if let Some(refusal) = inside(error) {
        return refusal;
    }
    match root(error) {
        DataFusionError::Internal(_) | DataFusionError::External(_) | DataFusionError::IoError(_) => {
            tracing::error!(query_id = %query, kind = kind_of(error), "a statement could not be planned");
            Refusal::new(
                Kind::Internal,
                format!(
                    "the statement can't be planned because of a fault in the hub. Tell its operator (query {query})"
                ),
            )
        }
        DataFusionError::ResourcesExhausted(_) => exhausted(query),
        _ => Refusal::new(Kind::Invalid, format!("the statement can't be planned: {}", plain(error))),
    }
}

/// Why a statement failed while it ran.
pub(crate) fn running(error: &DataFusionError, query: &QueryId) -> Refusal {
    if let Some(refusal) = inside(error) {
        return refusal;
    }
    let invalid = |message: &str| Refusal::new(Kind::Invalid, format!("the statement failed: {message}"));
    match root(error) {
        DataFusionError::ResourcesExhausted(_) => exhausted(query),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => invalid("a division by zero. Guard it with NULLIF(divisor, 0)"),
            ArrowError::CastError(_) | ArrowError::ParseError(_) => {
                invalid("a value can't be converted to the type asked for. TRY_CAST gives NULL instead")
            }
            ArrowError::ArithmeticOverflow(_) => {
                invalid("a number got too large for its type. CAST to DOUBLE or a wider DECIMAL first")
            }
            ArrowError::ComputeError(_) | ArrowError::InvalidArgumentError(_) => {
                invalid("an expression can't be computed for some row. Check conversions, dates and patterns")
            }
            _ => fault(error, query),
        },
        DataFusionError::Execution(_) => {
            tracing::warn!(query_id = %query, kind = kind_of(error), "a statement failed");
            invalid(
                "an expression can't be computed for some row. Check conversions, dates, patterns, \
                 and subqueries that must give one row",
            )
        }
        DataFusionError::NotImplemented(_) => invalid("it needs something that this service does not have"),
        _ => fault(error, query),
    }
}

fn fault(error: &DataFusionError, query: &QueryId) -> Refusal {
    tracing::error!(query_id = %query, kind = kind_of(error), "a statement failed");
    Refusal::new(
        Kind::Internal,
        format!("the statement failed because of a fault in the hub. Tell its operator (query {query})"),
    )
}

fn exhausted(query: &QueryId) -> Refusal {
    Refusal::new(
        Kind::Exhausted,
        format!(
            "the statement needs more memory or scratch space than one statement gets. Filter or aggregate earlier, \
             select fewer columns, or join to the smaller table (query {query})"
        ),
    )
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::External(external) => external.downcast_ref::<DataFusionError>().map_or(error, root),
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::ExternalError(external) => external.downcast_ref::<DataFusionError>().map_or(error, root),
            _ => error,
        },
        _ => error,
    }
}

/// For the log: a kind, since a message can hold values.
fn kind_of(error: &DataFusionError) -> &'static str {
    match root(error) {
        DataFusionError::ArrowError(..) => "arrow",
        DataFusionError::ParquetError(_) => "parquet",
        DataFusionError::ObjectStore(_) => "object store",
        DataFusionError::IoError(_) => "io",
        DataFusionError::SQL(..) => "sql",
        DataFusionError::NotImplemented(_) => "not implemented",
        DataFusionError::Internal(_) => "internal",
        DataFusionError::Plan(_) => "plan",
        DataFusionError::Configuration(_) => "configuration",
        DataFusionError::SchemaError(..) => "schema",
        DataFusionError::Execution(_) => "execution",
        DataFusionError::ExecutionJoin(_) => "join of tasks",
        DataFusionError::ResourcesExhausted(_) => "resources",
        _ => "other",
    }
}

/// There is no such table: what there is instead.
pub(super) fn no_table(named: &str, catalogue: &Catalogue) -> Refusal {
    let all: Vec<String> = catalogue
        .tables()
        .map(|t| format!("{}.{}", quote_identifier(t.controller.as_ref()), quote_identifier(t.name.as_ref())))
        .collect();
    let down: Vec<&str> = catalogue
        .offers
        .iter()
        .filter(|(_, offer)| matches!(offer, Offer::Down(_)))
        .map(|(controller, _)| controller.as_ref())
        .collect();
    let mut message = format!("there is no table {named} in project {}", catalogue.project);
    if !all.is_empty() {
        let more = if all.len() > NAMED { ", .." } else { "" };
        let shown = all.get(..all.len().min(NAMED)).unwrap_or_default().join(", ");
        message.push_str(&format!(". There are: {shown}{more}"));
    } else if down.is_empty() {
        message
            .push_str(". No controller offers it a table here: is this the right zone, and are its grants in force?");
    }
    if !down.is_empty() {
        message.push_str(&format!(". Can't be reached at the moment: {}", down.join(", ")));
    }
    Refusal::new(Kind::NotFound, message)
}
