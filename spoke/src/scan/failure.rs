//! What went wrong while a query ran, said without a single value.
//!
//! INVARIANT: no text of DataFusion, Arrow, Parquet or the object store goes out or into the log: they quote values
//! ("Cannot cast string '..' to value of Int32 type"), paths and literals.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};

/// What kind of failure it is; safe to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Memory,
    Spill,
    DivideByZero,
    Overflow,
    Cast,
    Arithmetic,
    Gone,
    Storage,
    File,
    Unsupported,
    Plan,
    Crashed,
    Internal,
}

/// The refusal for `error`; logs its class.
pub(crate) fn refusal(error: &DataFusionError, query: &QueryId) -> Refusal {
    // Our own words, made for whoever asks.
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(refusal) = inner.downcast_ref::<Refusal>()
    {
        return refusal.clone();
    }
    let class = classify(error);
    tracing::warn!(query = %query, class = ?class, "the query failed");
    let (kind, what) = match class {
        Class::Memory => (
            Kind::Exhausted,
            "it needs more memory than this spoke gives to queries; ask for fewer columns, or filter or aggregate more",
        ),
        Class::Spill => (
            Kind::Exhausted,
            "it needs more disk for intermediate results than this spoke gives to queries; filter or aggregate more",
        ),
        Class::DivideByZero => (Kind::Invalid, "a division by zero; exclude such rows with NULLIF(divisor, 0)"),
        Class::Overflow => (Kind::Invalid, "a number became too large for its type; CAST to a wider type"),
        Class::Cast => (Kind::Invalid, "a value can't be converted to the type asked for; use TRY_CAST"),
        Class::Arithmetic => (Kind::Invalid, "a value can't be computed; check types and functions"),
        Class::Gone => (Kind::Unavailable, "the published data changed while it ran; ask again"),
        Class::Storage => (Kind::Unavailable, "the controller's storage can't be read at the moment; ask again later"),
        Class::File => (Kind::Internal, "a published file can't be read; the controller's log has the query id"),
        Class::Unsupported => (Kind::Invalid, "it uses something that this spoke can't compute"),
        Class::Plan => (Kind::Invalid, "types or names in it don't fit together"),
        Class::Crashed | Class::Internal => {
            (Kind::Internal, "an error inside the spoke; the controller's log has the query id")
        }
    };
    Refusal::new(kind, format!("query {query} failed: {what}"))
}

/// Which class an error belongs to.
pub(crate) fn classify(error: &DataFusionError) -> Class {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(text) => {
            if text.contains("disk") || text.contains("directory") {
                Class::Spill
            } else {
                Class::Memory
            }
        }
        DataFusionError::ArrowError(error, _) => arrow(error),
        DataFusionError::ParquetError(error) => parquet(error),
        DataFusionError::ObjectStore(error) => storage(error),
        DataFusionError::IoError(_) => Class::Storage,
        DataFusionError::NotImplemented(_) => Class::Unsupported,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => Class::Plan,
        DataFusionError::Execution(_) => Class::Arithmetic,
        DataFusionError::ExecutionJoin(_) => Class::Crashed,
        DataFusionError::External(inner) => {
            if let Some(error) = inner.downcast_ref::<object_store::Error>() {
                storage(error)
            } else if let Some(error) = inner.downcast_ref::<::parquet::errors::ParquetError>() {
                parquet(error)
            } else if let Some(error) = inner.downcast_ref::<ArrowError>() {
                arrow(error)
            } else {
                Class::Internal
            }
        }
        _ => Class::Internal,
    }
}

fn arrow(error: &ArrowError) -> Class {
    match error {
        ArrowError::DivideByZero => Class::DivideByZero,
        ArrowError::ArithmeticOverflow(_) => Class::Overflow,
        ArrowError::CastError(_) | ArrowError::ParseError(_) => Class::Cast,
        ArrowError::ComputeError(_) | ArrowError::InvalidArgumentError(_) => Class::Arithmetic,
        ArrowError::NotYetImplemented(_) => Class::Unsupported,
        ArrowError::IoError(..) => Class::Storage,
        ArrowError::ParquetError(_) => Class::File,
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(error) => classify(error),
            None => inner.downcast_ref::<object_store::Error>().map_or(Class::Internal, storage),
        },
        _ => Class::Internal,
    }
}

fn parquet(error: &::parquet::errors::ParquetError) -> Class {
    match error {
        ::parquet::errors::ParquetError::External(inner) => inner
            .downcast_ref::<object_store::Error>()
            .map(storage)
            .or_else(|| inner.downcast_ref::<DataFusionError>().map(classify))
            .or_else(|| inner.downcast_ref::<ArrowError>().map(arrow))
            .unwrap_or(Class::File),
        // The footer's reader turns the store's error into text; the object store's word for a missing file is kept.
        ::parquet::errors::ParquetError::General(text) if text.contains("not found") => Class::Gone,
        _ => Class::File,
    }
}

fn storage(error: &object_store::Error) -> Class {
    match error {
        object_store::Error::NotFound { .. } => Class::Gone,
        _ => Class::Storage,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_text_of_a_library_goes_out() {
        let secret = "0101011234";
        let arrow = |error| DataFusionError::ArrowError(Box::new(error), None);
        let cases = [
            (arrow(ArrowError::CastError(secret.to_owned())), Class::Cast),
            (arrow(ArrowError::DivideByZero), Class::DivideByZero),
            (arrow(ArrowError::ArithmeticOverflow(secret.to_owned())), Class::Overflow),
            (arrow(ArrowError::ParseError(secret.to_owned())), Class::Cast),
            (arrow(ArrowError::ComputeError(secret.to_owned())), Class::Arithmetic),
            (DataFusionError::Execution(secret.to_owned()), Class::Arithmetic),
            (DataFusionError::Plan(secret.to_owned()), Class::Plan),
            (DataFusionError::Internal(secret.to_owned()), Class::Internal),
            (DataFusionError::ResourcesExhausted(format!("memory {secret}")), Class::Memory),
            (DataFusionError::ResourcesExhausted(format!("The used disk space {secret}")), Class::Spill),
            (DataFusionError::External(secret.into()), Class::Internal),
            (
                DataFusionError::ObjectStore(Box::new(object_store::Error::NotFound {
                    path: secret.to_owned(),
                    source: secret.into(),
                })),
                Class::Gone,
            ),
            (
                DataFusionError::Context(secret.to_owned(), Box::new(arrow(ArrowError::DivideByZero))),
                Class::DivideByZero,
            ),
        ];
        let query = QueryId::new();
        for (error, class) in cases {
            assert_eq!(classify(&error), class, "{error}");
            let refusal = refusal(&error, &query);
            assert!(!refusal.message.contains(secret), "{refusal}");
            assert!(refusal.message.contains(&query.to_string()), "{refusal}");
        }
    }
}
