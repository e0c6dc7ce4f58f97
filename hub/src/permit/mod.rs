//! Turns a fragment into one that may be sent: [`Permitted`] can be made nowhere else, and `dispatch` takes nothing
//! else.
//!
//! What is checked here is what the hub knows: the caller is a member, the project asks this controller under a permit
//! that counts, and the controller offers these columns of this table to this project, user and zone. The controller
//! checks its own permit again; nothing said here can widen it.

pub(crate) mod rules;

use crate::{
    registry::{TableOffer, Terms},
    request::RequestContext,
};
use proto::{
    fragment,
    ids::{ControllerId, QueryId},
    plan, quick,
    refusal::{Kind, Refusal},
    schema, wire,
};
use std::sync::Arc;

/// Something that may be sent to one controller, in one request.
#[derive(Debug, Clone)]
pub struct Permitted<T> {
    value: T,
    offer: Arc<TableOffer>,
    others: Vec<Arc<TableOffer>>,
    context: Arc<RequestContext>,
    held: bool,
    blind: Option<QueryId>,
    quick: Option<Arc<wire::QuickLeg>>,
    cells: bool,
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

    /// Under which permit, and with which key; the same for all tables.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.offer.terms
    }

    /// The tables it reads.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableOffer>> {
        std::iter::once(&self.offer).chain(&self.others)
    }

    /// What the hub thinks that the tables look like.
    #[must_use]
    pub fn fingerprint(&self) -> Vec<u8> {
        schema::fingerprint_of(self.tables().map(|table| (table.name.as_ref(), table.fingerprint.as_slice())))
    }

    /// The versions of its tables that alone it may be answered from; none when any will do.
    #[must_use]
    pub fn versions(&self) -> Vec<wire::Version> {
        let version =
            |table: &Arc<TableOffer>| wire::Version { table: table.name.to_string(), snapshot: table.snapshot };
        if self.held { self.tables().map(version).collect() } else { Vec::new() }
    }

    /// The same question, to be answered only from the versions of tables that it was planned over.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// The same question, to be answered with a share of this blind total.
    #[must_use]
    pub fn sharing(mut self, total: QueryId) -> Self {
        self.blind = Some(total);
        self
    }

    /// The blind total of which a share is asked for; none: it is asked plainly.
    #[must_use]
    pub fn blind(&self) -> Option<QueryId> {
        self.blind
    }

    /// The same question, whose answer is cells that the spoke itself has checked.
    #[must_use]
    pub fn of_cells(mut self) -> Self {
        self.cells = true;
        self
    }

    /// Whether its answer is cells that the spoke itself has checked.
    #[must_use]
    pub fn asks_cells(&self) -> bool {
        self.cells
    }

    /// The leg of a quick test that it is; none: it is none.
    #[must_use]
    pub fn quick(&self) -> Option<&wire::QuickLeg> {
        self.quick.as_deref()
    }

    /// In which request.
    #[must_use]
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }
}

impl Permitted<wire::Fragment> {
    /// The same question about fewer rows: those whose `column` is in key list `list`. `_route`: that the receiver may
    /// learn the keys.
    #[must_use]
    pub fn looking_up(mut self, column: &str, list: u32, _route: &MayLearn) -> Self {
        use wire::expr::Kind;
        if let Some(root) = self.value.root.take() {
            let column = wire::Expr { kind: Some(Kind::Column(column.to_owned())) };
            let found = wire::InKeys { expr: Some(Box::new(column)), list };
            let found = wire::Expr { kind: Some(Kind::InKeys(Box::new(found))) };
            self.value.root = Some(plan::filter(root, found));
        }
        self
    }
}

/// That a controller may learn which people of some others are in a cohort. Made by [`may_learn`] only.
#[derive(Debug, Clone)]
pub struct MayLearn(());

/// Whether `receiver` may learn values of the rows that `sources` ask for: each source's controller's permit names it.
#[must_use]
pub fn may_learn(sources: &[&Permitted<wire::Fragment>], receiver: &Permitted<wire::Fragment>) -> Option<MayLearn> {
    let to = receiver.controller();
    let named = |source: &&Permitted<wire::Fragment>| {
        source.controller() == to || rules::key_list(&receiver.context.caller, source.terms(), to)
    };
    sources.iter().all(named).then_some(MayLearn(()))
}

/// Permits `fragment`, which reads `offers`, tables of one controller, in this request.
///
/// # Errors
/// When the caller is no member, the controller not the project's, the tables not all of one controller and permit, or the
/// fragment reads anything but offered columns.
pub fn fragment(
    context: &Arc<RequestContext>,
    offers: &[Arc<TableOffer>],
    fragment: wire::Fragment,
) -> Result<Permitted<wire::Fragment>, Refusal> {
    let Some((offer, others)) = offers.split_first() else {
        return Err(Refusal::new(Kind::Internal, "a fragment that reads no table"));
    };
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
    if others.iter().any(|other| other.controller != offer.controller || other.terms != offer.terms) {
        return Err(Refusal::new(Kind::Internal, "a fragment over tables of several controllers or permits"));
    }
    let read = fragment::reads(&fragment);
    if read.is_empty() {
        return Err(Refusal::new(Kind::Internal, "a fragment that reads no table"));
    }
    read.into_iter().try_for_each(|read| offered(read, offers, &offer.controller))?;
    let (offer, others) = (Arc::clone(offer), others.to_vec());
    Ok(Permitted {
        value: fragment,
        offer,
        others,
        context: Arc::clone(context),
        held: false,
        blind: None,
        quick: None,
        cells: false,
    })
}

/// Permits a leg of a quick test over `offer`, in a request without a project.
///
/// # Errors
/// When the caller may not count, the controller has no standing permit, or the leg reads anything but offered columns.
pub fn counting(
    context: &Arc<RequestContext>,
    offer: &Arc<TableOffer>,
    leg: wire::QuickLeg,
) -> Result<Permitted<wire::Fragment>, Refusal> {
    rules::count(&context.caller)?;
    let controller = &offer.controller;
    let standing = context.project.project.is_quick_test() && context.project.controllers.contains_key(controller);
    if !standing || offer.terms.quick.is_none() {
        return Err(Refusal::new(Kind::Denied, format!("'{controller}' does not let people be counted")));
    }
    let fragment = quick::fragment(&leg, controller)?;
    let offers = std::slice::from_ref(offer);
    fragment::reads(&fragment).into_iter().try_for_each(|read| offered(read, offers, controller))?;
    let (offer, context) = (Arc::clone(offer), Arc::clone(context));
    Ok(Permitted {
        value: fragment,
        offer,
        others: Vec::new(),
        context,
        held: false,
        blind: None,
        quick: Some(Arc::new(leg)),
        cells: false,
    })
}

/// Everything else in a fragment speaks of the columns of what it reads.
fn offered(read: &wire::Read, offers: &[Arc<TableOffer>], controller: &ControllerId) -> Result<(), Refusal> {
    let Some(offer) = offers.iter().find(|offer| read.table == offer.name.as_ref()) else {
        return Err(Refusal::new(Kind::Denied, format!("'{controller}' does not offer table '{}'", read.table)));
    };
    match read.columns.iter().find(|column| offer.schema.column_with_name(column).is_none()) {
        Some(column) => Err(Refusal::new(
            Kind::Denied,
            format!("'{controller}' does not offer column '{column}' of '{}'", offer.name),
        )),
        None => Ok(()),
    }
}
