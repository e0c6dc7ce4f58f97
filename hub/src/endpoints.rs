//! Everything that can be called at the hub, and the action of the golden matrix by which it is decided.
//!
//! INVARIANT: what can be called stands here; tests read the services' own sources and fail when something is missing.

use policies::authorize::Action::{self, *};

/// Calls of Flight SQL, by method.
pub const FLIGHT_SQL: &[(&str, Action)] = &[
    ("do_handshake", HubSession),
    ("get_flight_info_statement", HubQueryOpen),
    ("get_flight_info_prepared_statement", HubQueryOpen),
    ("get_flight_info_substrait_plan", HubSession),
    ("get_flight_info_catalogs", HubSession),
    ("get_flight_info_schemas", HubSession),
    ("get_flight_info_tables", HubSession),
    ("get_flight_info_table_types", HubSession),
    ("get_flight_info_sql_info", HubSession),
    ("get_flight_info_primary_keys", HubSession),
    ("get_flight_info_exported_keys", HubSession),
    ("get_flight_info_imported_keys", HubSession),
    ("get_flight_info_cross_reference", HubSession),
    ("get_flight_info_xdbc_type_info", HubSession),
    ("do_get_statement", HubQueryOpen),
    ("do_get_prepared_statement", HubQueryOpen),
    ("do_get_catalogs", HubProjectsList),
    ("do_get_schemas", HubCatalogue),
    ("do_get_tables", HubCatalogue),
    ("do_get_table_types", HubSession),
    ("do_get_sql_info", HubSession),
    ("do_get_primary_keys", HubSession),
    ("do_get_exported_keys", HubSession),
    ("do_get_imported_keys", HubSession),
    ("do_get_cross_reference", HubSession),
    ("do_get_xdbc_type_info", HubSession),
    // What only refuses: the caller has to be signed in to read the refusal.
    ("do_put_statement_update", HubSession),
    ("do_put_statement_ingest", HubSession),
    ("do_put_prepared_statement_update", HubSession),
    ("do_put_substrait_plan", HubSession),
    ("do_put_prepared_statement_query", HubSession),
    ("do_action_create_prepared_statement", HubQueryOpen),
    ("do_action_close_prepared_statement", HubSession),
    ("do_action_create_prepared_substrait_plan", HubSession),
    ("do_action_begin_transaction", HubSession),
    ("do_action_end_transaction", HubSession),
    ("do_action_begin_savepoint", HubSession),
    ("do_action_end_savepoint", HubSession),
    ("do_action_cancel_query", HubQueryCancel),
    // One of the actions below.
    ("do_action_fallback", HubSession),
];

/// Further actions of Arrow Flight, by type.
pub const FLIGHT_ACTIONS: &[(&str, Action)] = &[
    ("eger.v1.issuers", PublishedRead),
    ("SetSessionOptions", HubSession),
    ("GetSessionOptions", HubSession),
    ("CloseSession", HubSession),
    ("CancelFlightInfo", HubQueryCancel),
];

/// Calls of the gateway, by method; `relay` is whatever comes with the header that names a controller.
pub const GATEWAY: &[(&str, Action)] =
    &[("Join", LinkJoin), ("Renew", LinkRenew), ("Nudge", LinkNudge), ("Purge", LinkPurge), ("relay", LinkRelay)];

/// Calls of the HTTP API, by method and path.
pub const HTTP: &[(&str, Action)] = &[
    ("POST /v1/applications", ApplicationSubmit),
    ("GET /v1/applications", ApplicationRead),
    ("POST /v1/applications/check", ApplicationSubmit),
    ("GET /v1/applications/{id}", ApplicationRead),
    ("GET /v1/applications/{id}/parts", ApplicationRead),
    ("GET /v1/applications/{id}/events", ApplicationEvents),
    ("POST /v1/applications/{id}/complete", ApplicationExtend),
    ("POST /v1/applications/{id}/withdraw", ApplicationWithdraw),
    ("POST /v1/applications/{id}/extend", ApplicationExtend),
    ("GET /v1/applications/{id}/questions", ApplicationRead),
    ("POST /v1/applications/{id}/questions", ApplicationExtend),
    ("POST /v1/applications/{id}/questions/{question}/answer", ApplicationAmend),
    ("POST /v1/projects/{project}/amendments", ApplicationAmend),
    ("POST /v1/projects/{project}/amendments/check", ApplicationAmend),
    ("GET /v1/projects/{project}/permits", ApplicationRead),
    ("GET /v1/workspaces", ApplicationRead),
    ("GET /v1/workspaces/{project}", ApplicationRead),
    ("GET /v1/published/applications", PublishedRead),
    ("GET /v1/published/permits", PublishedRead),
    ("GET /v1/published/refusals", PublishedRead),
    ("GET /v1/tokens", TokenList),
    ("POST /v1/tokens", TokenCreate),
    ("DELETE /v1/tokens/{id}", TokenRevoke),
    ("GET /v1/controllers", ControllersList),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    /// Names of the `async fn`s of the first `impl` block that begins with `header`.
    fn methods(source: &str, header: &str) -> BTreeSet<String> {
        let body = source.split_once(header).unwrap_or_else(|| unreachable!("{header} is gone")).1;
        let body = body.split_once("\n}\n").map_or(body, |(body, _)| body);
        body.split("async fn ").skip(1).map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()).collect()
    }

    fn named(table: &[(&str, Action)]) -> BTreeSet<String> {
        let names: BTreeSet<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names.len(), table.len(), "something stands twice");
        names
    }

    #[test]
    fn every_call_of_flight_sql_has_a_row() {
        let mut found = methods(include_str!("receive/service.rs"), "impl FlightSqlService for Service {");
        // Lists names; the front asks who is there first.
        assert!(found.remove("list_custom_actions") && found.remove("register_sql_info"));
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
        found.insert("relay".to_owned());
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
    }

    #[test]
    fn what_a_row_names_is_in_the_golden_matrix() {
        let matrix = include_str!("../../policies/golden/matrix.txt");
        for (name, action) in FLIGHT_SQL.iter().chain(FLIGHT_ACTIONS).chain(GATEWAY).chain(HTTP) {
            assert!(matrix.contains(&format!(" [{}]\n", action.name())), "{name}: {action} has no rows");
        }
    }

    #[test]
    fn a_call_without_a_row_would_be_found() {
        let planted = "impl X for Y {\n    async fn known(&self) {}\n    async fn do_get_everything<T>(&self) {}\n}\n";
        assert!(methods(planted, "impl X for Y {").contains("do_get_everything"));
    }
}
