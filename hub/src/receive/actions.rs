//! Actions beside statements: session options, cancelling, and where to sign in.
//!
//! INVARIANT: all but the last identify their caller first; the last says only what the operator means everybody to know.

use super::{
    Purpose, Service,
    sessions::messages::{
        CloseSessionResult, ErrorValue, GetSessionOptionsResult, OptionError, OptionValue, SessionOptionValue,
        SetSessionOptionsRequest, SetSessionOptionsResult,
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

pub(super) const ACTIONS: [(&str, &str); 5] = [
    (ISSUERS, "Where to sign in: trusted issuers and the client to name there, as JSON. Needs no token"),
    ("SetSessionOptions", "Sets the session's options: catalog, the project that statements are about"),
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
                let catalog = self.core.sessions.catalog(&self.session(request, &caller), caller.expires);
                let option = |value| SessionOptionValue { option_value: Some(OptionValue::String(value)) };
                let session_options: HashMap<_, _> =
                    catalog.into_iter().map(|name| ("catalog".to_owned(), option(name))).collect();
                Ok(GetSessionOptionsResult { session_options }.encode_to_vec())
            }
            "CloseSession" => {
                self.core.sessions.set_catalog(self.session(request, &caller), caller.expires, None);
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
        for (name, option) in wanted.session_options {
            let result = match (name.as_str(), option.option_value) {
                ("catalog", Some(OptionValue::String(catalog))) => {
                    match choose(caller, &self.core.projects(), None, Some(&catalog)) {
                        Ok(project) => {
                            let session = self.session(request, caller);
                            let catalog = Some(project.project.to_string());
                            self.core.sessions.set_catalog(session, caller.expires, catalog);
                            Ok(())
                        }
                        Err(_) => Err(ErrorValue::InvalidValue),
                    }
                }
                ("catalog", None) => {
                    self.core.sessions.set_catalog(self.session(request, caller), caller.expires, None);
                    Ok(())
                }
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

/// Clients send these messages plain or wrapped in `Any`.
fn plain(body: &[u8]) -> Vec<u8> {
    match Any::decode(body) {
        Ok(any) if any.type_url.starts_with("type.googleapis.com/") => any.value.to_vec(),
        _ => body.to_vec(),
    }
}
