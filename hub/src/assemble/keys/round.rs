//! One look at one project: who accepts, is another epoch needed, who hasn't got its key.

use super::{AGAIN, KeyKeeper, Known, Wish};
use crate::{
    assemble::{
        link::{Silence, act},
        store::StoreError,
    },
    audit::Event,
};
use chrono::Utc;
use policies::{
    epoch::{Acceptance, EpochRecord, FRESH},
    permit::Member,
};
use proto::{
    envelope::{ACCEPTANCE_ACTION, MAKE_EPOCH_ACTION, TAKE_EPOCH_ACTION},
    ids::{ControllerId, ProjectId},
    refusal::{Kind, Refusal},
    wire::{AcceptanceReply, AcceptanceRequest, MakeEpochReply, MakeEpochRequest, TakeEpochReply, TakeEpochRequest},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What a spoke answers.
enum Answer {
    Accepts(String, Box<Acceptance>),
    /// there is no live permit
    No,
    Away,
}

/// Who is there now.
struct Standing {
    here: BTreeSet<ControllerId>,
    gone: BTreeSet<ControllerId>,
}

impl KeyKeeper {
    pub(super) async fn project(
        &self,
        project: &ProjectId,
        controllers: &BTreeSet<ControllerId>,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let standing = self.ask_all(project, controllers, known).await;
        let mut record = self.store.record(project).await?;
        if let Some((maker, after)) = self.needed(project, record.as_ref().map(|(r, _)| r), &standing, known) {
            match self.make(project, &maker, after, known).await {
                Ok(reply) => {
                    self.made(project, reply, record.as_ref().map(|(r, _)| r), known).await?;
                    record = self.store.record(project).await?;
                }
                Err(refusal) => {
                    if let Some((_, again)) = &mut known.tried {
                        *again = Some(Instant::now() + AGAIN);
                    }
                    known.say(project, "next epoch", &format!("'{maker}' makes none: {refusal}"));
                }
            }
        }
        if let Some((record, text)) = record {
            self.deliver(&record, &text, &standing, known).await?;
        }
        Ok(())
    }

    async fn ask_all(&self, project: &ProjectId, controllers: &BTreeSet<ControllerId>, known: &mut Known) -> Standing {
        let asked = controllers.iter().map(async |controller| (controller, self.ask(project, controller).await));
        let answers = futures::future::join_all(asked).await;
        let mut standing = Standing { here: BTreeSet::new(), gone: BTreeSet::new() };
        known.accepted.retain(|controller, (_, acceptance)| {
            controllers.contains(controller) && acceptance.at > Utc::now() - FRESH + chrono::Duration::hours(1)
        });
        for (controller, answer) in answers {
            if !matches!(answer, Ok(Answer::Away)) {
                known.away.remove(controller);
            }
            match answer {
                Ok(Answer::Accepts(text, acceptance)) => {
                    known.done(controller.as_ref());
                    standing.here.insert(controller.clone());
                    known.accepted.insert(controller.clone(), (text, *acceptance));
                }
                Ok(Answer::No) => {
                    known.accepted.remove(controller);
                    standing.gone.insert(controller.clone());
                }
                Ok(Answer::Away) => {
                    known.away.entry(controller.clone()).or_insert_with(Instant::now);
                }
                Err(refusal) => {
                    known.say(project, controller.as_ref(), &format!("'{controller}' accepts nobody: {refusal}"))
                }
            }
        }
        standing
    }

    async fn ask(&self, project: &ProjectId, controller: &ControllerId) -> Result<Answer, Refusal> {
        let request = AcceptanceRequest { project: project.to_string() };
        let reply: AcceptanceReply = match act(&self.links, controller, ACCEPTANCE_ACTION, &request).await {
            Ok(reply) => reply,
            Err(Silence::Away) => return Ok(Answer::Away),
            Err(Silence::Said(refusal)) => return Err(refusal),
        };
        if reply.acceptance.is_empty() {
            return Ok(Answer::No);
        }
        let unfit = || Refusal::new(Kind::Invalid, "its acceptance can't be read, or is another's");
        let acceptance = Acceptance::claimed(&reply.acceptance).ok_or_else(unfit)?;
        // A spoke speaks for its own controller only; the makers of keys check the signature.
        if acceptance.controller != *controller || acceptance.project != *project {
            return Err(unfit());
        }
        Ok(Answer::Accepts(reply.acceptance, Box::new(acceptance)))
    }

    /// Who should make the next epoch, and after which one; `None`: all is well, or nobody can.
    fn needed(
        &self,
        project: &ProjectId,
        record: Option<&EpochRecord>,
        standing: &Standing,
        known: &mut Known,
    ) -> Option<(ControllerId, u32)> {
        let now: BTreeMap<&ControllerId, Option<&Member>> = known
            .accepted
            .iter()
            .map(|(controller, (_, acceptance))| {
                (controller, acceptance.members.iter().find(|member| member.controller == *controller))
            })
            .collect();
        let in_step = record.is_some_and(|record| {
            let same = now.iter().all(|(_, member)| member.is_some_and(|member| record.members.contains(member)));
            let nobody_left = record.members.iter().all(|member| !standing.gone.contains(&member.controller));
            // A maker that is here and lost its key has to make another. What is remembered of one that is away is from before.
            let holds = known
                .accepted
                .get(&record.lead)
                .filter(|_| standing.here.contains(&record.lead))
                .is_none_or(|(_, maker)| maker.holds.as_ref().is_some_and(|holds| holds.epoch >= record.epoch));
            same && nobody_left && holds
        });
        if in_step || known.accepted.is_empty() {
            known.tried = None;
            return None;
        }
        // Who shares the key and is away, with nothing heard of it since this hub started, would be left out.
        let unheard = |member: &&Member| {
            !known.accepted.contains_key(&member.controller)
                && known.away.get(&member.controller).is_some_and(|since| since.elapsed() < self.patience)
        };
        if let Some(member) = record.and_then(|record| record.members.iter().find(unheard)) {
            let text = format!("'{}' shares the key and is away: the next epoch waits for it", member.controller);
            known.say(project, "next epoch", &text);
            return None;
        }
        let maker = match self.maker(standing, known) {
            Ok(maker) => maker,
            Err(why) => {
                known.say(project, "next epoch", &why);
                return None;
            }
        };
        let accepted = known.accepted.iter().map(|(who, (_, acceptance))| (who.clone(), acceptance.permit));
        let wish: Wish = (maker.clone(), accepted.collect());
        if let Some((tried, again)) = &known.tried
            && *tried == wish
            && again.is_none_or(|again| Instant::now() < again)
        {
            return None;
        }
        known.tried = Some((wish, None));
        let heard = known.accepted.values().filter_map(|(_, acceptance)| acceptance.holds.as_ref());
        let after = record.map_or_else(|| heard.map(|holds| holds.epoch).max().unwrap_or(0), |record| record.epoch);
        Some((maker, after))
    }

    /// The lead when it is here; its deputy when the lead has no permit any more, or has been away for long.
    fn maker(&self, standing: &Standing, known: &Known) -> Result<ControllerId, String> {
        let mut leads: BTreeSet<_> = known.accepted.values().map(|(_, a)| (&a.lead, a.deputy.as_ref())).collect();
        let Some((lead, deputy)) = leads.pop_first() else { return Err("nobody accepts".to_owned()) };
        if let Some((other, _)) = leads.pop_first() {
            return Err(format!("the members' permits don't name the same lead and deputy ('{lead}', '{other}')"));
        }
        if standing.here.contains(lead) {
            return Ok(lead.clone());
        }
        let late = known.away.get(lead).is_some_and(|since| since.elapsed() >= self.patience);
        match deputy.filter(|deputy| standing.here.contains(*deputy)) {
            Some(deputy) if late || standing.gone.contains(lead) => Ok(deputy.clone()),
            _ if standing.gone.contains(lead) => Err(format!("the lead '{lead}' has no live permit")),
            _ => Err(format!("the lead '{lead}' is away")),
        }
    }

    async fn make(
        &self,
        project: &ProjectId,
        maker: &ControllerId,
        after: u32,
        known: &Known,
    ) -> Result<MakeEpochReply, Refusal> {
        // What is remembered of a lead that is away doesn't make it present.
        let lead = known.accepted.values().next().map(|(_, acceptance)| acceptance.lead.clone());
        let acceptances = known
            .accepted
            .iter()
            .filter(|(who, _)| *who != maker && (lead.as_ref() == Some(maker) || lead.as_ref() != Some(*who)))
            .map(|(_, (text, _))| text.clone())
            .collect();
        let request = MakeEpochRequest { project: project.to_string(), acceptances, after };
        act(&self.links, maker, MAKE_EPOCH_ACTION, &request).await.map_err(|silence| match silence {
            Silence::Away => Refusal::new(Kind::Unavailable, "it is away"),
            Silence::Said(refusal) => refusal,
        })
    }

    async fn made(
        &self,
        project: &ProjectId,
        reply: MakeEpochReply,
        before: Option<&EpochRecord>,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let record = EpochRecord::claimed(&reply.record).filter(|record| record.project == *project);
        let Some(record) = record else {
            known.say(project, "next epoch", "its record can't be read");
            return Ok(());
        };
        let left_out = reply.left_out.join("; ");
        if left_out.is_empty() {
            known.done("left out");
        } else {
            known.say(project, "left out", &left_out);
        }
        let keys: Vec<_> =
            reply.keys.into_iter().filter_map(|key| Some((key.controller.parse().ok()?, key.sealed))).collect();
        self.store.replace(&record, &reply.record, &keys).await?;
        known.done("next epoch");
        if before.is_none_or(|before| before.key_id != record.key_id) {
            tracing::info!(%project, epoch = record.epoch, key = record.key_id, lead = %record.lead, "the project has another key");
            let event = Event::Epoch {
                project: project.clone(),
                epoch: record.epoch,
                key_id: record.key_id.clone(),
                lead: record.lead.clone(),
                members: record.members.iter().map(|member| member.controller.clone()).collect(),
            };
            if let Err(refusal) = self.audit.record(event).await {
                known.say(project, "audit", &refusal.to_string());
            }
        }
        Ok(())
    }

    /// Brings their sealed keys to members that are here and don't hold them yet.
    async fn deliver(
        &self,
        record: &EpochRecord,
        text: &str,
        standing: &Standing,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let project = &record.project;
        for controller in &standing.here {
            let has = known.accepted.get(controller).and_then(|(_, acceptance)| acceptance.holds.as_ref());
            if has.is_some_and(|holds| holds.epoch == record.epoch && holds.key_id == record.key_id) {
                known.done(&format!("delivery to {controller}"));
                continue;
            }
            let Some(sealed) = self.store.sealed(project, controller).await? else { continue };
            let request = TakeEpochRequest { record: text.to_owned(), sealed };
            match act::<TakeEpochReply>(&self.links, controller, TAKE_EPOCH_ACTION, &request).await {
                Ok(taken) => tracing::info!(%project, %controller, epoch = taken.epoch, "a member has its key"),
                Err(Silence::Away) => {}
                Err(Silence::Said(refusal)) => {
                    known.say(
                        project,
                        &format!("delivery to {controller}"),
                        &format!("'{controller}' takes it not: {refusal}"),
                    );
                }
            }
        }
        Ok(())
    }
}
