//! Which project a request is about.

use super::Caller;
use crate::config::{Project, Projects};
use proto::{
    ids::ProjectId,
    refusal::{Kind, Refusal},
};

/// The project of a request: the one asked for by header, else by session option, else the caller's only one.
///
/// # Errors
/// When the caller is no member of it, it doesn't exist (the same answer), or it isn't clear which one is meant.
pub fn choose(
    caller: &Caller,
    projects: &Projects,
    header: Option<&str>,
    session: Option<&str>,
) -> Result<Project, Refusal> {
    let asked = header.or(session).map(str::trim).filter(|name| !name.is_empty());
    let issuer = Some(caller.issuer.as_str());
    if let Some(name) = asked {
        let project = name.parse::<ProjectId>().map_err(|_| unknown_project(name))?;
        return projects
            .of_member(&project, &caller.user, issuer)
            .cloned()
            .ok_or_else(|| unknown_project(project.as_ref()));
    }
    let mut own = projects.all_of(&caller.user, issuer);
    match (own.next(), own.next()) {
        (None, _) => Err(Refusal::new(
            Kind::Denied,
            "you are a member of no project here. Ask the person responsible for your project to have you added",
        )),
        (Some(only), None) => Ok(only.clone()),
        (Some(first), Some(second)) => {
            let names: Vec<&str> = [first, second].into_iter().chain(own).map(|p| p.project.as_ref()).collect();
            Err(Refusal::new(
                Kind::Invalid,
                format!(
                    "you are a member of several projects: choose one of {} with header 'x-eger-project' \
                     (ADBC: adbc.flight.sql.rpc.call_header.x-eger-project), session option 'catalog', or `hub sql --project`",
                    names.join(", ")
                ),
            ))
        }
    }
}

/// The one answer to a project that doesn't exist and to one of others.
pub(crate) fn unknown_project(name: &str) -> Refusal {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Refusal::new(
        Kind::Denied,
        format!(
            "there is no project '{shown}' that you are a member of. List yours with GetCatalogs, or `\\l` in `hub sql`"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use policies::zone::Zone;

    fn projects() -> Projects {
        [("a", "anna"), ("b", "anna"), ("c", "bo")]
            .into_iter()
            .map(|(id, member)| Project {
                project: id.parse().unwrap(),
                title: String::new(),
                members: [policies::permit::User {
                    user: member.parse().unwrap(),
                    issuer: "https://id.example.org".to_owned(),
                }]
                .into(),
                controllers: [].into(),
            })
            .collect()
    }

    #[test]
    fn header_then_option_then_the_only_one() {
        let projects = projects();
        let name = |user, header, session| {
            choose(&Caller::for_tests(user, Zone::Open), &projects, header, session).map(|p| p.project.to_string())
        };
        assert_eq!(name("anna", Some("b"), Some("a")).unwrap(), "b");
        assert_eq!(name("anna", None, Some("a")).unwrap(), "a");
        assert_eq!(name("bo", None, None).unwrap(), "c");
        let ambiguous = name("anna", None, None).unwrap_err();
        assert!(ambiguous.message.contains("one of a, b with"), "{ambiguous}");
        assert_eq!(ambiguous.kind, Kind::Invalid);
        assert_eq!(name("eve", None, None).unwrap_err().kind, Kind::Denied);
    }

    #[test]
    fn a_project_of_others_and_none_at_all_get_one_answer() {
        let projects = projects();
        let answer = |header: &str| {
            let anna = Caller::for_tests("anna", Zone::Open);
            let refusal = choose(&anna, &projects, Some(header), None).unwrap_err();
            (refusal.kind, refusal.message.replace(&format!("'{header}'"), "X"))
        };
        let missing = answer("zzz");
        assert_eq!(missing, answer("c"));
        assert_eq!(missing, answer("../c"));
    }
}
