//! Turns a fragment into one that may be sent: [`Permitted`] can be made nowhere else, and `dispatch` takes nothing
//! else.
//!
//! What is checked here is what the hub knows: the caller is a member, the project asks this controller under a permit
//! that counts, and the controller offers these columns of this table to this project, user and zone. The controller
//! checks its own permit again; nothing said here can widen it.

pub(crate) mod rules;

use crate::{registry::TableOffer, request::RequestContext};
use proto::{
    ids::ControllerId,
    refusal::{Kind, Refusal},
    wire,
};
use std::sync::Arc;

/// Something that may be sent to one controller, in one request.
#[derive(Debug, Clone)]
pub struct Permitted<T> {
    value: T,
    offer: Arc<TableOffer>,
    context: Arc<RequestContext>,
}

impl<T> Permitted<T> {
    /// What may be sent.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.value
    }

    /// To whom.
    #[must_use]
    pub fn controller(&self) -> &ControllerId {
        &self.offer.controller
    }

    /// The table it reads.
    #[must_use]
    pub fn offer(&self) -> &Arc<TableOffer> {
        &self.offer
    }

    /// In which request.
    #[must_use]
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }
}

/// Permits `fragment`, which reads `offer`'s table, in this request.
///
/// # Errors
/// When the caller is no member, the controller not the project's, or the fragment reads anything but offered columns.
pub fn fragment(
    context: &Arc<RequestContext>,
    offer: &Arc<TableOffer>,
    fragment: wire::Fragment,
) -> Result<Permitted<wire::Fragment>, Refusal> {
    let project = &context.project;
    if !project.has(&context.caller.user, Some(&context.caller.issuer))
        || !project.controllers.contains_key(&offer.controller)
    {
        return Err(Refusal::new(
            Kind::Denied,
            format!("project '{}' may not ask '{}' for this user", project.project, offer.controller),
        ));
    }
    rules::project(&context.caller, rules::asks(context.caller.zone), project)?;
    let root = fragment.root.as_ref().ok_or_else(|| Refusal::new(Kind::Internal, "an empty fragment"))?;
    reads(root, offer)?;
    Ok(Permitted { value: fragment, offer: Arc::clone(offer), context: Arc::clone(context) })
}

/// Everything else in a fragment speaks of the columns of its `Read`.
fn reads(rel: &wire::Rel, offer: &TableOffer) -> Result<(), Refusal> {
    use wire::rel::Kind as Rel;
    let input = match rel.kind.as_ref() {
        Some(Rel::Read(read)) => {
            let unknown = read.columns.iter().find(|c| offer.schema.column_with_name(c).is_none());
            return match unknown {
                Some(column) => Err(Refusal::new(
                    Kind::Denied,
                    format!("'{}' does not offer column '{column}' of '{}'", offer.controller, offer.name),
                )),
                None if read.table != offer.name.as_ref() => Err(Refusal::new(
                    Kind::Denied,
                    format!("'{}' does not offer table '{}'", offer.controller, read.table),
                )),
                None => Ok(()),
            };
        }
        Some(Rel::Filter(filter)) => filter.input.as_deref(),
        Some(Rel::Project(project)) => project.input.as_deref(),
        Some(Rel::Aggregate(aggregate)) => aggregate.input.as_deref(),
        Some(Rel::SortLimit(sort)) => sort.input.as_deref(),
        None => None,
    };
    match input {
        Some(input) => reads(input, offer),
        None => Err(Refusal::new(Kind::Internal, "a fragment that reads no table")),
    }
}
