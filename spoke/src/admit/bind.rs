//! Names become views: the fragment is bound to the permitted tables, each as it stands for this one request.

use super::{
    Admission, blind, checked,
    count::no_state,
    keys::ProjectKeys,
    quick,
    view::{LeftOut, PermittedTable},
};
use crate::{
    publish::{PublishError, Snapshot},
    receive::Question,
    results::{Facts, Key},
    scan::source::Pinned,
};
use chrono::Utc;
use datafusion::{
    datasource::provider_as_source,
    execution::{SessionState, SessionStateBuilder},
    logical_expr::{LogicalPlan, TableSource},
};
use policies::{grant::TableGrant, permit::Permit};
use proto::{
    ids::{ProjectId, TableName},
    refusal::{Kind, Refusal},
};
use std::{collections::BTreeMap, sync::Arc};

/// A question bound to what its project may see.
pub(super) struct Bound {
    pub(super) plan: LogicalPlan,
    pub(super) state: SessionState,
    /// whether a view hides rows of its table
    pub(super) hides: bool,
    /// what the answer is kept under
    pub(super) key: Option<Key>,
    /// versions of the tables that it reads
    pub(super) snapshots: BTreeMap<TableName, i64>,
}

impl Admission {
    /// The question over the views of this request.
    pub(super) async fn bind(
        &self,
        permit: &Permit,
        keys: &Arc<ProjectKeys>,
        question: &Question,
    ) -> Result<Bound, Refusal> {
        let state = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_session_id(question.envelope.query_id.to_string())
            .build();
        let left_out = self.left_out(permit).await?;
        let views = self.views(permit, keys, &left_out, &state, question).await?;
        if let Some(leg) = &question.quick {
            quick::roles(leg, question, views.0.get(&leg.table).map(|view| view.columns()))?;
        }
        check_fingerprint(&views, question)?;
        check_versions(&views, question)?;
        let (fragment, limits) = (&question.fragment, &self.fragment_limits);
        let plan = if checked::only(permit) {
            checked::plan(permit, keys, question, &views, &state, (&self.ledgers, limits))?
        } else if permit.blind.is_some() {
            blind::plan(permit, keys, question, &views, &state, (&self.ledgers, limits))?
        } else {
            proto::plan::decode_with(fragment, &question.keys, &views, &state, limits).map_err(Refusal::from)?
        };
        let hides = views.0.values().any(|view| view.hides_rows());
        // Nothing is asked twice under the key of a quick test's request.
        let key = self.results().filter(|_| permit.blind.is_none() && permit.quick.is_none());
        let key = key.map(|_| views.key(permit, keys, &left_out, question));
        let snapshots = views.0.values().map(|view| (view.snapshot().table.clone(), view.snapshot().version)).collect();
        Ok(Bound { plan, state, hides, key, snapshots })
    }

    async fn views(
        &self,
        permit: &Permit,
        keys: &Arc<ProjectKeys>,
        left_out: &LeftOut,
        state: &SessionState,
        question: &Question,
    ) -> Result<Views, Refusal> {
        let mut views = BTreeMap::new();
        for name in question.tables() {
            // What is no table name, not permitted or not published is left out: decoding says that it does not exist.
            let Some(granted) = name.parse::<TableName>().ok().and_then(|name| permit.table(&name)) else { continue };
            if let Some(view) = self.view(permit, granted, keys, left_out, state).await? {
                views.insert(name.to_owned(), Arc::new(view));
            }
        }
        Ok(Views(views))
    }

    /// Who is left out under a permit, as the lists stand now.
    pub(super) async fn left_out(&self, permit: &Permit) -> Result<LeftOut, Refusal> {
        let failed = |error: PublishError| no_state(&error);
        let version = self.state.exclusion_version().await.map_err(failed)?;
        let mut known = self.excluded.lock().await;
        let people = match known.as_ref().filter(|people| people.version() == version) {
            Some(people) => Arc::clone(people),
            None => {
                let read = self.state.excluded(self.keys.store_kid()).await.map_err(failed)?;
                let people = Arc::new(read.ok_or_else(|| {
                    tracing::error!(
                        "people who are left out were stored under another key than keys/store.key; enter them again \
                         (spoke optout)"
                    );
                    Refusal::new(Kind::Unavailable, "this controller's lists of people can't be used; its log says why")
                })?);
                // What is kept was made without those who came onto the lists.
                if let Some(results) = self.results() {
                    results.clear();
                }
                *known = Some(Arc::clone(&people));
                people
            }
        };
        Ok(LeftOut { people, version: permit.opt_out_version })
    }

    pub(super) async fn view(
        &self,
        permit: &Permit,
        granted: &TableGrant,
        keys: &Arc<ProjectKeys>,
        left_out: &LeftOut,
        state: &SessionState,
    ) -> Result<Option<PermittedTable>, Refusal> {
        let Some(snapshot) = self.snapshot(&permit.project, &granted.name).await? else { return Ok(None) };
        if !snapshot.store_kid.is_empty() && snapshot.store_kid != self.keys.store_kid() {
            tracing::error!(
                table = %granted.name, stored = %snapshot.store_kid, present = %self.keys.store_kid(),
                "a table was published under another store key than keys/store.key; ingest it again"
            );
            return Err(Refusal::new(
                Kind::Unavailable,
                format!("table {} can't be read at this controller at the moment; its log says why", granted.name),
            ));
        }
        let pinned = Pinned { snapshot, store: self.store.object_store(), url: self.store.url() };
        let view = PermittedTable::new(pinned, granted, keys, left_out, state).map_err(|error| {
            tracing::error!(
                project = %permit.project, permit = %permit.id, %error,
                "a permit does not fit the published table; its project is refused until another is signed"
            );
            Refusal::new(
                Kind::Unavailable,
                "this controller's permit for the project does not fit its tables any more; its log names what",
            )
        })?;
        Ok(Some(view))
    }

    /// The version that the project has pinned of a table, else the newest.
    async fn snapshot(&self, project: &ProjectId, table: &TableName) -> Result<Option<Arc<Snapshot>>, Refusal> {
        let failed = |error: PublishError| {
            tracing::error!(%table, %error, "a published table can't be opened");
            Refusal::new(Kind::Unavailable, "the controller's storage can't be read at the moment; ask again later")
        };
        match self.state.pinned(project, table).await.map_err(|error| no_state(&error))? {
            Some(version) => self.store.snapshot_at(table, version).await.map(Some).map_err(failed),
            None => self.store.snapshot(table).await.map_err(failed),
        }
    }
}

/// The names that exist for one request.
struct Views(BTreeMap<String, Arc<PermittedTable>>);

impl Views {
    /// All that the rows of an answer follow from.
    fn key(&self, permit: &Permit, keys: &ProjectKeys, left_out: &LeftOut, question: &Question) -> Key {
        let mut facts = Facts::new();
        facts.question(question);
        let today = Utc::now().date_naive();
        facts.terms(permit, (keys.epoch, &keys.kid), left_out.people.version(), today);
        for view in self.0.values() {
            view.facts(&mut facts);
        }
        facts.key()
    }
}

impl proto::plan::Tables for Views {
    fn table(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        self.0.get(name).map(|view| provider_as_source(Arc::clone(view) as _))
    }
}

/// A question that holds only of certain versions is not answered from others.
fn check_versions(views: &Views, question: &Question) -> Result<(), Refusal> {
    let other = question.versions.iter().find(|(table, version)| {
        // A table that doesn't exist is said when the fragment is decoded.
        views.0.get(table).is_some_and(|view| view.snapshot().version != *version)
    });
    match other {
        None => Ok(()),
        Some((table, _)) => Err(Refusal::new(
            Kind::Invalid,
            format!("table {table} was published anew since the question was planned; run it again"),
        )),
    }
}

fn check_fingerprint(views: &Views, question: &Question) -> Result<(), Refusal> {
    let Some(expected) = &question.fingerprint else { return Ok(()) };
    let now: Vec<(&str, [u8; 32])> =
        views.0.iter().map(|(name, view)| (name.as_str(), proto::schema::fingerprint(view.columns()))).collect();
    let now = proto::schema::fingerprint_of(now.iter().map(|(name, print)| (*name, print.as_slice())));
    // A table that doesn't exist is said when the fragment is decoded.
    let mut names: Vec<&str> = views.0.keys().map(String::as_str).collect();
    names.sort_unstable();
    let all = question.tables().iter().all(|table| views.0.contains_key(*table));
    if all && now != expected {
        let (tables, have) = if names.len() == 1 { ("table", "has") } else { ("tables", "have") };
        return Err(Refusal::new(
            Kind::Stale,
            format!(
                "{tables} {} {have} other columns now than when the question was planned; plan it again",
                names.join(", ")
            ),
        ));
    }
    Ok(())
}
