//! How many decisions a core takes in a second: what Cedar adds to a question.

use crate::{Options, report::spread};
use anyhow::{Result, ensure};
use policies::{
    authorize::{Action, Actor, PermitFacts, PermitState, Proof, Request, Resource, decide, ready},
    permit::{Output, User},
};
use std::time::Instant;

/// Decisions in one run.
const DECISIONS: u32 = 20_000;

pub(crate) fn measure(options: &Options) -> Result<()> {
    ready().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let issuer = "https://id.example.org".to_owned();
    let users: Vec<User> = (0..20)
        .map(|n| Ok(User { user: format!("person{n}@example.org").parse()?, issuer: issuer.clone() }))
        .collect::<Result<_>>()?;
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        let start = Instant::now();
        for _ in 0..DECISIONS {
            let permit = PermitFacts {
                state: PermitState::Live,
                output: Some(Output::HubAggregates),
                users: &users,
                leads: false,
                client_signature: false,
                key_lists_to: &[],
                quick: false,
            };
            let actor =
                Actor::Person { user: &users[7].user, issuer: &issuer, proof: Proof::Issuer, roles: &[], bound: None };
            let allowed = decide(&Request::new(actor, Action::SpokeScanOpen, Resource::Permit(permit))).allows();
            ensure!(allowed, "the policies deny what is measured");
        }
        rates.push(f64::from(DECISIONS) / start.elapsed().as_secs_f64());
    }
    println!("decisions on one core, a permit with {} users: {}", users.len(), spread(&rates, "/s"));
    Ok(())
}
