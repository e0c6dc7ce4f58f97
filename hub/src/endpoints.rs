//! Everything that can be called at the hub, and the actions of the golden matrix by which it is decided.
//!
//! INVARIANT: what can be called stands here; tests read the services' own sources and fail when something is missing,
//! and make each call and fail when it asks anything else than its row says.

use policies::authorize::Action::{self, *};

/// A call, and what it asks, each once. In the zone `enclave`, [`Action::HubQueryEnclave`] stands for
/// [`Action::HubQueryOpen`]; a statement that begins with EXPLAIN asks [`Action::HubExplain`], and then that for the
/// questions in its plan.
pub type Row = (&'static str, &'static [Action]);

/// Calls of Flight SQL, by method.
pub const FLIGHT_SQL: &[Row] = &[
    ("do_handshake", &[HubSession]),
    ("get_flight_info_statement", &[HubSession, HubQueryOpen]),
    ("get_flight_info_prepared_statement", &[HubSession, HubQueryOpen]),
    ("get_flight_info_substrait_plan", &[HubSession]),
    ("get_flight_info_catalogs", &[HubSession]),
    ("get_flight_info_schemas", &[HubSession]),
    ("get_flight_info_tables", &[HubSession]),
    ("get_flight_info_table_types", &[HubSession]),
    ("get_flight_info_sql_info", &[HubSession]),
    ("get_flight_info_primary_keys", &[HubSession]),
    ("get_flight_info_exported_keys", &[HubSession]),
    ("get_flight_info_imported_keys", &[HubSession]),
    ("get_flight_info_cross_reference", &[HubSession]),
    ("get_flight_info_xdbc_type_info", &[HubSession]),
    ("do_get_statement", &[HubSession, HubQueryOpen]),
    ("do_get_prepared_statement", &[HubSession, HubQueryOpen]),
    ("do_get_catalogs", &[HubSession, HubProjectsList, HubCatalogue]),
    ("do_get_schemas", &[HubSession, HubCatalogue]),
    ("do_get_tables", &[HubSession, HubCatalogue]),
    ("do_get_table_types", &[HubSession]),
    ("do_get_sql_info", &[HubSession]),
    ("do_get_primary_keys", &[HubSession]),
    ("do_get_exported_keys", &[HubSession]),
    ("do_get_imported_keys", &[HubSession]),
    ("do_get_cross_reference", &[HubSession]),
    ("do_get_xdbc_type_info", &[HubSession]),
    // What only refuses: the caller has to be signed in to read the refusal.
    ("do_put_statement_update", &[HubSession]),
    ("do_put_statement_ingest", &[HubSession]),
    ("do_put_prepared_statement_update", &[HubSession]),
    ("do_put_substrait_plan", &[HubSession]),
    ("do_put_prepared_statement_query", &[HubSession]),
    ("do_action_create_prepared_statement", &[HubSession, HubQueryOpen]),
    ("do_action_close_prepared_statement", &[HubSession]),
    ("do_action_create_prepared_substrait_plan", &[HubSession]),
    ("do_action_begin_transaction", &[HubSession]),
    ("do_action_end_transaction", &[HubSession]),
    ("do_action_begin_savepoint", &[HubSession]),
    ("do_action_end_savepoint", &[HubSession]),
    ("do_action_cancel_query", &[HubSession, HubQueryCancel]),
    // One of the actions below.
    ("do_action_fallback", &[HubSession]),
];

/// Further actions of Arrow Flight, by type.
pub const FLIGHT_ACTIONS: &[Row] = &[
    ("eger.v1.issuers", &[PublishedRead]),
    ("SetSessionOptions", &[HubSession]),
    ("GetSessionOptions", &[HubSession]),
    ("CloseSession", &[HubSession]),
    ("CancelFlightInfo", &[HubSession, HubQueryCancel]),
    ("eger.v1.progress", &[HubSession, HubQueryCancel]),
];

/// Calls of the gateway, by method; `link` is a connection over which the hub asks, `relay` whatever comes with the header that names a controller.
pub const GATEWAY: &[Row] = &[
    ("Join", &[LinkJoin]),
    ("link", &[LinkOpen]),
    ("Renew", &[LinkRenew]),
    ("Nudge", &[LinkNudge]),
    ("Purge", &[LinkPurge]),
    ("relay", &[LinkRelay]),
];

/// Calls of the HTTP API, by method and path.
pub const HTTP: &[Row] = &[
    ("POST /v1/applications", &[ApplicationSubmit]),
    ("GET /v1/applications", &[ApplicationRead]),
    ("POST /v1/applications/check", &[ApplicationSubmit]),
    ("GET /v1/applications/{id}", &[ApplicationRead]),
    ("GET /v1/applications/{id}/parts", &[ApplicationRead]),
    ("GET /v1/applications/{id}/events", &[ApplicationRead, ApplicationEvents]),
    ("POST /v1/applications/{id}/complete", &[ApplicationRead, ApplicationExtend]),
    ("POST /v1/applications/{id}/withdraw", &[ApplicationRead, ApplicationWithdraw]),
    ("POST /v1/applications/{id}/extend", &[ApplicationRead, ApplicationExtend]),
    ("GET /v1/applications/{id}/questions", &[ApplicationRead]),
    ("POST /v1/applications/{id}/questions", &[ApplicationRead, ApplicationExtend]),
    ("POST /v1/applications/{id}/questions/{question}/answer", &[ApplicationRead, ApplicationAmend]),
    ("POST /v1/projects/{project}/amendments", &[ApplicationRead, ApplicationAmend]),
    ("POST /v1/projects/{project}/amendments/check", &[ApplicationRead, ApplicationAmend]),
    ("GET /v1/projects/{project}/permits", &[ApplicationRead]),
    ("GET /v1/workspaces", &[HubProjectsList, ApplicationRead]),
    ("GET /v1/workspaces/{project}", &[ApplicationRead]),
    ("GET /v1/published/applications", &[PublishedRead]),
    ("GET /v1/published/permits", &[PublishedRead]),
    ("GET /v1/published/refusals", &[PublishedRead]),
    ("GET /v1/tokens", &[TokenList]),
    ("POST /v1/tokens", &[TokenCreate]),
    ("DELETE /v1/tokens/{id}", &[TokenRevoke]),
    ("GET /v1/controllers", &[ControllersList]),
    ("GET /v1/count", &[HubCount]),
    ("POST /v1/count", &[HubCount]),
    ("POST /v1/airlock", &[AirlockSubmit]),
    // The rules that applied are those that EXPLAIN RELEASE tells.
    ("POST /v1/airlock/answers", &[AirlockAnswer, HubExplain, HubQueryOpen]),
    ("GET /v1/airlock", &[AirlockStatus, AirlockRead, AirlockExamine]),
    ("GET /v1/airlock/{id}", &[AirlockStatus, AirlockRead, AirlockExamine]),
    ("PUT /v1/airlock/{id}/files/{name}", &[AirlockStatus, AirlockChange]),
    ("GET /v1/airlock/{id}/files/{name}", &[AirlockStatus, AirlockRead, AirlockExamine]),
    ("POST /v1/airlock/{id}/check", &[AirlockStatus, AirlockChange]),
    ("POST /v1/airlock/{id}/send", &[AirlockStatus, AirlockChange]),
    ("GET /v1/airlock/{id}/difference", &[AirlockStatus, AirlockRead, AirlockExamine]),
    ("POST /v1/airlock/{id}/review", &[AirlockExamine, AirlockReview]),
    ("POST /v1/airlock/{id}/withdraw", &[AirlockStatus, AirlockWithdraw]),
    ("POST /v1/airlock/{id}/release", &[AirlockStatus, AirlockRelease]),
    ("GET /v1/published/key", &[PublishedRead]),
];

/// The operator's commands, on the hub's own machine.
pub const COMMANDS: &[Row] = &[
    ("admin invite", &[ControllerInvite]),
    ("admin controllers", &[ControllersList]),
    ("admin expel", &[ControllerExpel]),
    ("admin ca issue", &[ControllerInvite]),
    ("admin token create", &[TokenCreate]),
    ("admin token list", &[TokenList]),
    ("admin token revoke", &[TokenRevoke]),
    ("admin approver add", &[ControllerApprover]),
    ("admin approver list", &[ControllersList]),
    ("admin approver remove", &[ControllerApprover]),
    ("audit show", &[HubAuditRead]),
    ("audit verify", &[HubAuditRead]),
    ("audit export", &[HubAuditRead]),
];

/// What the hub fetches from spokes, and believes only then.
pub const FETCHED: &[Row] = &[("statement", &[ApplicationDecide])];

/// What is answered without a decision, and why.
pub const UNDECIDED: &[(&str, &str)] = &[
    ("GET /openapi.json", "the API's description; it is the same for everybody and stands in the release"),
    ("list_custom_actions", "names of the actions above; the same for everybody"),
    ("admin custodian request", "makes a key of the hub's own; what it is worth the custodian's operator decides"),
    ("admin custodian install", "puts a certificate beside that key; whom the custodian answers it decides itself"),
    ("admin ca init", "makes an authority where there is none; there is nothing yet to decide about"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use policies::authorize::Party;
    use std::collections::BTreeSet;

    /// Names of the `async fn`s of the first `impl` block that begins with `header`.
    fn methods(source: &str, header: &str) -> BTreeSet<String> {
        let body = source.split_once(header).unwrap_or_else(|| unreachable!("{header} is gone")).1;
        let body = body.split_once("\n}\n").map_or(body, |(body, _)| body);
        body.split("async fn ").skip(1).map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()).collect()
    }

    fn named(table: &[Row]) -> BTreeSet<String> {
        let names: BTreeSet<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.len(), table.len(), "something stands twice");
        names
    }

    #[test]
    fn every_call_of_flight_sql_has_a_row() {
        let mut found = methods(include_str!("receive/service.rs"), "impl FlightSqlService for Service {");
        // Never called from outside.
        assert!(found.remove("register_sql_info"));
        assert!(found.remove("list_custom_actions") && undecided("list_custom_actions"));
        assert_eq!(found, named(FLIGHT_SQL));
    }

    #[test]
    fn every_further_action_has_a_row() {
        assert_eq!(crate::receive::action_names(), named(FLIGHT_ACTIONS));
    }

    #[test]
    fn every_call_of_the_gateway_has_a_row() {
        let contract = include_str!("../../proto/proto/eger/v1/gateway.proto");
        let mut found: BTreeSet<_> =
            contract.split("rpc ").skip(1).map(|rest| rest.split('(').next().unwrap().to_owned()).collect();
        found.extend(["link".to_owned(), "relay".to_owned()]);
        assert_eq!(found, named(GATEWAY));
    }

    #[test]
    fn every_call_of_the_http_api_has_a_row() {
        let document = serde_json::to_value(crate::api::Api::parts().1).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let found: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, calls)| {
                let methods = calls.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(found, named(HTTP));
        // What the description doesn't describe: itself.
        let routes: Vec<_> = include_str!("api/mod.rs").split(".route(\"").skip(1).collect();
        assert!(routes.len() == 1 && routes[0].starts_with("/openapi.json\", get("), "{routes:?}");
        assert!(undecided("GET /openapi.json"));
    }

    fn undecided(name: &str) -> bool {
        UNDECIDED.iter().any(|(known, why)| *known == name && !why.is_empty())
    }

    #[test]
    fn every_action_at_the_hub_is_asked_by_something() {
        let tables = [FLIGHT_SQL, FLIGHT_ACTIONS, GATEWAY, HTTP, COMMANDS, FETCHED].concat();
        let asked: BTreeSet<_> = tables.iter().flat_map(|(_, actions)| actions.iter().copied()).collect();
        let at_hub = Action::ALL.iter().copied().filter(|action| action.party() == Party::Hub);
        let never: Vec<_> = at_hub.filter(|action| !asked.contains(action)).collect();
        // It stands for another, as the row's description says.
        assert_eq!(never, [HubQueryEnclave]);
    }

    #[test]
    fn what_a_row_names_is_in_the_golden_matrix() {
        let matrix = include_str!("../../policies/golden/matrix.txt");
        for (name, actions) in [FLIGHT_SQL, FLIGHT_ACTIONS, GATEWAY, HTTP, COMMANDS, FETCHED].concat() {
            assert!(!actions.is_empty(), "{name}");
            for action in actions {
                assert!(matrix.contains(&format!(" [{}]\n", action.name())), "{name}: {action} has no rows");
            }
        }
    }

    #[test]
    fn a_call_without_a_row_would_be_found() {
        let planted = "impl X for Y {\n    async fn known(&self) {}\n    async fn do_get_everything<T>(&self) {}\n}\n";
        assert!(methods(planted, "impl X for Y {").contains("do_get_everything"));
    }
}
