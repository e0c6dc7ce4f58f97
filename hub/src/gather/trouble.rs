//! What is said when an answer doesn't come, or not whole.

use super::Trouble;
use crate::{
    dispatch::Broken,
    permit::Permitted,
    registry::{lost, not_connected, quoted, unreachable},
};
use arrow_flight::error::FlightError;
use proto::{
    refusal::{Kind, Refusal},
    wire,
};
use tonic::Status;

/// The spoke has not answered in time.
pub(super) fn late(question: &Permitted<wire::Fragment>) -> Refusal {
    let (controller, context) = (question.controller(), question.context());
    tracing::warn!(query_id = %context.query, %controller, "no answer in time");
    Refusal::new(
        Kind::Deadline,
        format!(
            "'{controller}' has not answered within {} s, and an answer without its rows would be wrong. \
             Ask for less (fewer columns, a shorter period), or try again when it is less busy",
            context.timeout.as_secs()
        ),
    )
}

/// Whether the trouble is with the connection, not something that the spoke said.
fn is_connection(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Broken(Broken::NoLink) | Trouble::Garbage(_) => false,
        Trouble::Broken(Broken::Said(status)) => lost(status),
        Trouble::Flight(FlightError::Tonic(status)) => lost(status),
        Trouble::Flight(FlightError::ProtocolError(_)) => true,
        Trouble::Flight(_) => false,
    }
}

/// What the caller reads. `started`: the spoke had begun to answer.
pub(super) fn refusal(question: &Permitted<wire::Fragment>, trouble: &Trouble, started: bool) -> Refusal {
    let (controller, query) = (question.controller(), question.context().query);
    tracing::warn!(query_id = %query, %controller, started, trouble = describe(trouble), "an answer broke");
    match trouble {
        Trouble::Garbage(what) => Refusal::new(
            Kind::Internal,
            format!(
                "'{controller}' answered with {what} instead of what was asked for. Run the statement again; \
                 if that doesn't help, tell the hub's operator (query {query})"
            ),
        ),
        Trouble::Broken(Broken::NoLink) => not_connected(controller),
        _ if is_connection(trouble) && started => Refusal::new(
            Kind::Unavailable,
            format!(
                "the connection to '{controller}' broke while it was answering, and the rows so far would be a wrong \
                 answer. Run the statement again in a minute"
            ),
        ),
        _ if is_connection(trouble) => unreachable(controller),
        Trouble::Broken(Broken::Said(status)) => said(question, status),
        Trouble::Flight(FlightError::Tonic(status)) => said(question, status),
        Trouble::Flight(_) => Refusal::new(
            Kind::Internal,
            format!(
                "'{controller}' answered with something that is no Arrow data. Tell the hub's operator (query {query})"
            ),
        ),
    }
}

/// For the log: a kind, never what the other side wrote.
fn describe(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Garbage(what) => what,
        Trouble::Broken(Broken::NoLink) => "no link",
        Trouble::Broken(Broken::Said(status)) => status.code().description(),
        Trouble::Flight(FlightError::Tonic(status)) => status.code().description(),
        Trouble::Flight(FlightError::ProtocolError(_)) => "no final status",
        Trouble::Flight(_) => "no Arrow data",
    }
}

fn said(question: &Permitted<wire::Fragment>, status: &Status) -> Refusal {
    let (controller, query) = (question.controller(), question.context().query);
    let refusal = quoted(status);
    match refusal.kind {
        Kind::Internal => Refusal::new(
            Kind::Internal,
            format!("'{controller}' failed while answering. Its operator finds the reason under query {query}"),
        ),
        // The hub's own identity is not good there: nothing that the caller can mend.
        Kind::Unauthenticated => Refusal::new(
            Kind::Internal,
            format!("'{controller}' does not accept this hub. Tell the hub's operator (query {query})"),
        ),
        kind => Refusal::new(kind, format!("'{controller}': {}", refusal.message)),
    }
}
