//! Actions beside statements: session options, cancelling, progress, and where to sign in.
//!
//! INVARIANT: all but the last identify their caller first; the last says only what the operator means everybody to know.

use super::{
    Purpose, Service,
    sessions::{
        Set,
        messages::{
            CloseSessionResult, ErrorValue, GetSessionOptionsResult, OptionError, OptionValue, SessionOptionValue,
            SetSessionOptionsRequest, SetSessionOptionsResult,
        },
    },
};
use crate::{
    identify::{Caller, choose},
    permit::rules,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    sql::{Any, Command, TicketStatementQuery},
};
use prost::Message;
use proto::{
    ids::QueryId,
    refusal::{Kind, Refusal},
};
use std::collections::HashMap;
use tonic::Request;

/// Action type: where to sign in. Needs no token.
pub const ISSUERS: &str = "eger.v1.issuers";

/// Action type: how far the spokes are with a statement of the caller's that runs.
pub const PROGRESS: &str = "eger.v1.progress";

pub(super) const ACTIONS: [(&str, &str); 6] = [
    (PROGRESS, "How far each spoke is with a statement that runs: its query id in, JSON out"),
    (ISSUERS, "Where to sign in: trusted issuers and the client to name there, as JSON. Needs no token"),
    (
        "SetSessionOptions",
        "Sets the session's options: catalog, the project that statements are about; allow_partial, whether answers may do \
         without members of national tables that can't be asked",
    ),
    ("GetSessionOptions", "The session's options"),
    ("CloseSession", "Forgets the session's options"),
    ("CancelFlightInfo", "Cancels a statement that runs"),
];

/// The longest action looked at.
const MAX: usize = 4 << 20;

impl Service {
    /// Answers one action with the bytes of its result.
    pub(super) async fn action(&self, request: &Request<Action>) -> Result<Vec<u8>, Refusal> {
        if request.get_ref().r#type == ISSUERS {
            rules::published()?;
            return serde_json::to_vec(&self.core.config.logins)
                .map_err(|_| Refusal::new(Kind::Internal, "the issuers can't be listed"));
        }
        let caller = self.caller(request).await?;
        let action = request.get_ref();
        if action.body.len() > MAX {
            return Err(Refusal::new(Kind::TooLarge, "the action is too long"));
        }
        match action.r#type.as_str() {
            "SetSessionOptions" => self.set_options(request, &caller),
            "GetSessionOptions" => {
                let set = self.core.sessions.get(&self.session(request, &caller), caller.expires).unwrap_or_default();
                let option = |name: &str, value| (name.to_owned(), SessionOptionValue { option_value: Some(value) });
                let catalog = set.catalog.map(|name| option("catalog", OptionValue::String(name)));
                let partial = set.allow_partial.then(|| option("allow_partial", OptionValue::Bool(true)));
                let session_options: HashMap<_, _> = catalog.into_iter().chain(partial).collect();
                Ok(GetSessionOptionsResult { session_options }.encode_to_vec())
            }
            "CloseSession" => {
                let session = self.session(request, &caller);
                self.core.sessions.change(session, caller.expires, |set| *set = Set::default());
                Ok(CloseSessionResult { status: 1 }.encode_to_vec())
            }
            "CancelFlightInfo" => {
                let info = CancelFlightInfoRequest::decode(plain(&action.body).as_slice())
                    .ok()
                    .and_then(|request| request.info)
                    .ok_or_else(|| Refusal::new(Kind::Invalid, "CancelFlightInfo needs the FlightInfo to cancel"))?;
                let status =
                    if self.cancel(&caller, &info)? { CancelStatus::Cancelled } else { CancelStatus::NotCancellable };
                Ok(CancelFlightInfoResult::new(status).encode_to_vec())
            }
            PROGRESS => {
                let query = std::str::from_utf8(&action.body).ok().and_then(|text| text.parse::<QueryId>().ok());
                let query = query.ok_or_else(|| {
                    Refusal::new(Kind::Invalid, format!("{PROGRESS} needs a query id: it came with FlightInfo"))
                })?;
                let progress = self
                    .core
                    .running
                    .progress(&query, &caller)
                    .ok_or_else(|| Refusal::new(Kind::NotFound, "no such statement of yours runs"))?;
                serde_json::to_vec(&progress).map_err(|_| Refusal::new(Kind::Internal, "the progress can't be told"))
            }
            other => {
                let name: String = other.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
                Err(Refusal::new(Kind::Invalid, format!("there is no action '{name}' here")))
            }
        }
    }

    fn set_options(&self, request: &Request<Action>, caller: &Caller) -> Result<Vec<u8>, Refusal> {
        let wanted = SetSessionOptionsRequest::decode(plain(&request.get_ref().body).as_slice())
            .map_err(|_| Refusal::new(Kind::Invalid, "SetSessionOptions can't be read"))?;
        let mut errors = HashMap::new();
        let change = |how: &mut dyn FnMut(&mut Set)| {
            self.core.sessions.change(self.session(request, caller), caller.expires, how);
        };
        for (name, option) in wanted.session_options {
            let result = match (name.as_str(), option.option_value) {
                ("catalog", Some(OptionValue::String(catalog))) => {
                    match choose(caller, &self.core.projects(), None, Some(&catalog)) {
                        Ok(project) => {
                            change(&mut |set| set.catalog = Some(project.project.to_string()));
                            Ok(())
                        }
                        Err(_) => Err(ErrorValue::InvalidValue),
                    }
                }
                ("catalog", None) => {
                    change(&mut |set| set.catalog = None);
                    Ok(())
                }
                ("allow_partial", value) => match allowed(value) {
                    Some(allowed) => {
                        change(&mut |set| set.allow_partial = allowed);
                        Ok(())
                    }
                    None => Err(ErrorValue::InvalidValue),
                },
                ("catalog", Some(_)) => Err(ErrorValue::InvalidValue),
                _ => Err(ErrorValue::InvalidName),
            };
            if let Err(error) = result {
                errors.insert(name, OptionError { value: error.into() });
            }
        }
        Ok(SetSessionOptionsResult { errors }.encode_to_vec())
    }

    /// Cancels the statement that `info` announced. False when it doesn't run.
    pub(super) fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<bool, Refusal> {
        let no_ticket =
            || Refusal::new(Kind::Invalid, "there is no ticket in it: send the FlightInfo of the statement");
        let mut cancelled = false;
        for endpoint in &info.endpoint {
            let ticket = endpoint.ticket.as_ref().ok_or_else(no_ticket)?;
            let any = Any::decode(ticket.ticket.clone()).map_err(|_| no_ticket())?;
            let Ok(Command::TicketStatementQuery(TicketStatementQuery { statement_handle })) = Command::try_from(any)
            else {
                return Err(no_ticket());
            };
            let body = self.core.sealer.open(Purpose::Ticket, &statement_handle, caller)?;
            let query: QueryId = body.query_id.parse().map_err(|_| no_ticket())?;
            cancelled |= self.core.running.cancel(&query, caller);
        }
        Ok(cancelled)
    }
}

/// A switch: some clients can send texts only. Taken back, it is off.
fn allowed(value: Option<OptionValue>) -> Option<bool> {
    match value {
        None => Some(false),
        Some(OptionValue::Bool(allowed)) => Some(allowed),
        Some(OptionValue::String(text)) => text.parse().ok(),
        Some(_) => None,
    }
}

/// Clients send these messages plain or wrapped in `Any`.
fn plain(body: &[u8]) -> Vec<u8> {
    match Any::decode(body) {
        Ok(any) if any.type_url.starts_with("type.googleapis.com/") => any.value.to_vec(),
        _ => body.to_vec(),
    }
}
