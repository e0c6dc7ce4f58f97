//! Sums of masks: what a hub gets, and what a hostile hub tries.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};
use proto::{
    blind::{self, Of, SEED, SEED_INFO, Seed, SeedStatement, WORDS},
    ids::{ControllerId, QueryId},
    wire::{SealedSeed, SumRequest, totals_client::TotalsClient},
};
use runtime::sealing::SealingKey;
use std::collections::BTreeMap;

/// A custodian with spokes and a hub.
struct Place {
    running: Running,
    signing: BTreeMap<ControllerId, SigningKey>,
    hub: TotalsClient<Channel>,
    sealing: runtime::sealing::PublicSealingKey,
}

const FRAGMENT: [u8; 32] = [5; 32];
const THREE: [&str; 3] = ["dst", "region-h", "sds"];

fn names(of: &[&str]) -> Vec<ControllerId> {
    of.iter().map(|name| name.parse().unwrap()).collect()
}

async fn place(spokes: &[&str], change: impl FnOnce(&mut Config)) -> Place {
    let running = start(change).await;
    let mut signing = BTreeMap::new();
    for name in spokes {
        let key = SigningKey::generate().unwrap();
        enrol::register(&running.config, name, &running.approver.public(), 1000, true).await.unwrap();
        let peer = Peer::spoke(name).unwrap();
        let (request, _) = Request::make(&peer, "national", &running.approver, key.public(), 7).unwrap();
        enrol::enrol(&running.config, &serde_json::to_string(&request).unwrap(), 30).await.unwrap();
        signing.insert(name.parse().unwrap(), key);
    }
    let hub = TotalsClient::new(running.channel_with(&running.hub("main").await));
    let sealing = std::fs::read_to_string(running.config.sealing_public_file()).unwrap().parse().unwrap();
    Place { running, signing, hub, sealing }
}

impl Place {
    /// What a spoke of this version says in a total of these members.
    fn says(&self, controller: &str, members: &[&str], total: QueryId) -> SeedStatement {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        SeedStatement {
            version: SeedStatement::VERSION,
            controller: controller.parse().unwrap(),
            project: "diabetes".parse().unwrap(),
            members: names(members),
            custodian: self.sealing.to_bytes(),
            total,
            fragment: FRAGMENT,
            snapshots: [("lab".parse().unwrap(), 1)].into(),
            words: 2,
            seed: Seed::new(seed),
            at: Utc::now(),
        }
    }

    fn sealed_by(&self, statement: &SeedStatement, key: &SigningKey) -> SealedSeed {
        let text = key.sign(SEED, &serde_json::to_vec(statement).unwrap());
        let sealed = self.sealing.seal(SEED_INFO, &[], text.as_bytes()).unwrap();
        SealedSeed {
            controller: statement.controller.to_string(),
            encapsulated: sealed.encapsulated,
            ciphertext: sealed.ciphertext,
        }
    }

    fn sealed(&self, statement: &SeedStatement) -> SealedSeed {
        self.sealed_by(statement, &self.signing[&statement.controller])
    }

    fn all(&self, members: &[&str], total: QueryId) -> Vec<SeedStatement> {
        members.iter().map(|name| self.says(name, members, total)).collect()
    }

    async fn ask(&self, total: QueryId, seeds: Vec<SealedSeed>) -> Result<Vec<u64>, Status> {
        let request = SumRequest { project: "diabetes".to_owned(), total: total.to_string(), seeds };
        Ok(self.hub.clone().sum(request).await?.into_inner().masks)
    }

    async fn asked(&self, total: QueryId, statements: &[SeedStatement]) -> Result<Vec<u64>, Status> {
        self.ask(total, statements.iter().map(|statement| self.sealed(statement)).collect()).await
    }

    /// A whole total, as an honest hub asks for it.
    async fn honest(&self, members: &[&str]) -> Result<Vec<u64>, Status> {
        let total = QueryId::new();
        self.asked(total, &self.all(members, total)).await
    }

    async fn changed(&self, change: impl FnOnce(&mut SeedStatement)) -> String {
        let total = QueryId::new();
        let mut statements = self.all(&THREE, total);
        change(&mut statements[1]);
        self.asked(total, &statements).await.unwrap_err().message().to_owned()
    }

    fn events(&self) -> Vec<serde_json::Value> {
        let log = runtime::audit::read(&self.running.config.audit_log()).unwrap();
        log.map(|entry| entry.unwrap().0.event).collect()
    }
}

#[tokio::test]
async fn shares_and_the_sum_of_masks_make_the_plain_total_once_and_it_is_written_down() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let statements = place.all(&THREE, total);
    let mut sum = vec![0; WORDS];
    for (statement, number) in statements.iter().zip([4_i128, -20, 3_000_000_000]) {
        let of = Of { total: &total, fragment: &FRAGMENT };
        assert!(blind::add(&mut sum, &blind::shares(&statement.seed, of, 0, &[Some(number)], 3)));
    }
    assert!(blind::add(&mut sum, &place.asked(total, &statements).await.unwrap()));
    assert_eq!(blind::totals(&sum), [Some(2_999_999_984)]);
    let last = place.events().pop().unwrap();
    let [event, hub, project, members] = ["event", "hub", "project", "members"].map(|field| last[field].to_string());
    assert_eq!([event, hub, project, members], ["\"total_summed\"", "\"main\"", "\"diabetes\"", "3"]);
    // Nothing of a seed or a mask is on the disk of the custodian.
    let kept =
        [place.running.config.audit_log(), place.running.config.register()].map(|file| std::fs::read(file).unwrap());
    for statement in &statements {
        let seed = statement.seed.bytes().as_slice();
        let mask = statement.seed.masks(statement.of(), 0).next().unwrap().to_le_bytes();
        for bytes in &kept {
            assert!(!bytes.windows(32).any(|w| w == seed) && !bytes.windows(8).any(|w| w == mask));
        }
    }
}

#[tokio::test]
async fn attack_a_dropped_spoke_gives_no_sum() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let statements = place.all(&THREE, total);
    let error = place.asked(total, &statements[..2]).await.unwrap_err();
    assert!(error.message().contains("over 3 members and the seeds of sds are missing"), "{error:?}");
    let error = place.ask(total, vec![]).await.unwrap_err();
    assert!(error.message().contains("missing"), "{error:?}");
    // Twice the same instead of the other.
    let twice = [statements[0].clone(), statements[1].clone(), statements[1].clone()];
    let error = place.asked(total, &twice).await.unwrap_err();
    assert!(error.message().contains("two seeds of 'region-h'"), "{error:?}");
    let refused = place.events().pop().unwrap();
    assert!(refused["event"] == "total_refused" && refused["reason"].as_str().unwrap().contains("region-h"));
    // What was refused was not used up.
    place.asked(total, &statements).await.unwrap();
}

#[tokio::test]
async fn attack_a_substituted_seed_is_not_the_spokes() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let statements = place.all(&THREE, total);
    let honest: Vec<SealedSeed> = statements.iter().map(|s| place.sealed(s)).collect();
    // The hub knows the seed that it makes itself, and would know what is left.
    let own = SigningKey::generate().unwrap();
    let mut seeds = honest.clone();
    seeds[0] = place.sealed_by(&place.says("dst", &THREE, total), &own);
    let error = place.ask(total, seeds).await.unwrap_err();
    assert!(error.message().contains("the seed of 'dst' is not believed"), "{error:?}");
    // Another member's word in its place, under either name.
    let mut seeds = honest.clone();
    seeds[0] = SealedSeed { controller: "dst".to_owned(), ..honest[1].clone() };
    let error = place.ask(total, seeds).await.unwrap_err();
    assert!(error.message().contains("the seed of 'dst' is not believed"), "{error:?}");
    let mut seeds = honest.clone();
    seeds[0] = place.sealed_by(&statements[1], &place.signing[&statements[0].controller]);
    seeds[0].controller = "dst".to_owned();
    let error = place.ask(total, seeds).await.unwrap_err();
    assert!(error.message().contains("'dst' was signed for another controller"), "{error:?}");
    // Changed on its way, or meant for another custodian.
    let mut seeds = honest.clone();
    seeds[2].ciphertext[40] ^= 1;
    let error = place.ask(total, seeds).await.unwrap_err();
    assert!(error.message().contains("the seed of 'sds' can't be opened"), "{error:?}");
    let other = SealingKey::generate().unwrap().public().to_bytes();
    let error = place.changed(|statement| statement.custodian = other).await;
    assert!(error.contains("signed for another custodian"), "{error}");
    place.ask(total, honest).await.unwrap();
}

#[tokio::test]
async fn attack_a_replayed_seed_is_summed_once() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let statements = place.all(&THREE, total);
    place.asked(total, &statements).await.unwrap();
    let error = place.asked(total, &statements).await.unwrap_err();
    assert!(error.message().contains("were summed before"), "{error:?}");
    // Others made anew for the same total: the difference of two sums would be of one member's masks.
    let mut fresh = place.all(&THREE, total);
    fresh[0] = statements[0].clone();
    let error = place.asked(total, &fresh).await.unwrap_err();
    assert!(error.message().contains("were summed before"), "{error:?}");
    // A spoke that uses its seed again in another total.
    let next = QueryId::new();
    let mut again = place.all(&THREE, next);
    again[2].seed = statements[2].seed.clone();
    let error = place.asked(next, &again).await.unwrap_err();
    assert!(error.message().contains("seed of 'sds' was used before"), "{error:?}");
    // An old one.
    let error = place.changed(|statement| statement.at = Utc::now() - TimeDelta::minutes(61)).await;
    assert!(error.contains("not within the last hour"), "{error}");
    place.honest(&THREE).await.unwrap();
}

#[tokio::test]
async fn attack_what_was_summed_stays_so_when_the_custodian_starts_again() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let statements = place.all(&THREE, total);
    place.asked(total, &statements).await.unwrap();
    place.running.shutdown.cancel();
    place.running.done.await.unwrap().unwrap();
    let register = crate::register::Register::open(&place.running.config.register()).await.unwrap();
    let again = register.total(&statements, 500, Utc::now()).await.unwrap();
    assert!(again.unwrap_err().to_string().contains("were summed before"));
    // It is forgotten only when the seeds no longer count, so that the store doesn't grow for ever.
    let later = Utc::now() + TimeDelta::days(3);
    assert!(register.total(&statements, 500, later).await.unwrap().is_ok());
    assert!(statements[0].check(later).is_err());
}

#[tokio::test]
async fn attack_another_member_set_tells_no_difference() {
    let place = place(&["dst", "region-h", "region-m", "sds"], |_| {}).await;
    let four = ["dst", "region-h", "region-m", "sds"];
    place.honest(&four).await.unwrap();
    // Each spoke signs over three: their permits must have said so.
    let error = place.honest(&THREE).await.unwrap_err();
    assert!(error.message().contains("have been over dst, region-h, region-m, sds"), "{error:?}");
    // One member was told of another set than the others.
    let total = QueryId::new();
    let mut statements = place.all(&four, total);
    statements[3].members = names(&THREE);
    let error = place.asked(total, &statements).await.unwrap_err();
    assert!(error.message().contains("'dst' and 'sds' signed for different members"), "{error:?}");
    // Somebody more than signed for.
    let mut statements = place.all(&THREE, total);
    statements.push(SeedStatement { members: names(&four), ..place.says("region-m", &four, total) });
    let error = place.asked(total, &statements).await.unwrap_err();
    assert!(error.message().contains("'dst' and 'region-m' signed for different members"), "{error:?}");
    // Nobody whom the custodian doesn't know.
    let stranger = SigningKey::generate().unwrap();
    let odd = ["dst", "invented", "sds"];
    let seeds = odd.iter().map(|name| match *name {
        "invented" => place.sealed_by(&place.says(name, &odd, total), &stranger),
        name => place.sealed(&place.says(name, &odd, total)),
    });
    let error = place.ask(total, seeds.collect()).await.unwrap_err();
    assert!(error.message().contains("'invented' is not enrolled"), "{error:?}");
}

#[tokio::test]
async fn attack_fewer_than_three_members_have_no_total() {
    let place = place(&THREE, |_| {}).await;
    for few in [&THREE[..2], &THREE[..1]] {
        let error = place.honest(few).await.unwrap_err();
        assert!(error.message().contains("a blind total needs 3 to 256"), "{error:?}");
    }
}

#[tokio::test]
async fn attack_another_fragment_for_one_member_is_no_total() {
    let place = place(&THREE, |_| {}).await;
    // `WHERE false` for the others leaves one member's number.
    let error = place.changed(|statement| statement.fragment = [6; 32]).await;
    assert!(error.contains("'dst' and 'region-h' signed for different fragments"), "{error}");
    let error = place.changed(|statement| statement.words = 4).await;
    assert!(error.contains("different numbers of words"), "{error}");
    let error = place.changed(|statement| drop(statement.snapshots.pop_first())).await;
    assert!(error.contains("different tables"), "{error}");
}

#[tokio::test]
async fn attack_two_queries_mixed_are_no_total() {
    let place = place(&THREE, |_| {}).await;
    let (one, two) = (QueryId::new(), QueryId::new());
    let (first, second) = (place.all(&THREE, one), place.all(&THREE, two));
    for total in [one, two] {
        let mixed = [first[0].clone(), first[1].clone(), second[2].clone()];
        let error = place.asked(total, &mixed).await.unwrap_err();
        assert!(error.message().contains("was signed for another total"), "{error:?}");
    }
    let error = place.changed(|statement| statement.project = "cancer".parse().unwrap()).await;
    assert!(error.contains("signed for another project"), "{error}");
    place.asked(one, &first).await.unwrap();
    place.asked(two, &second).await.unwrap();
}

#[tokio::test]
async fn attack_a_total_over_one_members_new_version_waits_for_two_more() {
    let five = ["dst", "region-h", "region-m", "region-n", "sds"];
    let place = place(&five, |_| {}).await;
    let at = |versions: [i64; 5]| {
        let total = QueryId::new();
        let mut statements = place.all(&five, total);
        for (statement, version) in statements.iter_mut().zip(versions) {
            statement.snapshots = [("lab".parse().unwrap(), version)].into();
        }
        (total, statements)
    };
    let ask = async |versions| {
        let (total, statements) = at(versions);
        place.asked(total, &statements).await.map_err(|status| status.message().to_owned())
    };
    ask([1, 1, 1, 1, 1]).await.unwrap();
    ask([1, 1, 1, 1, 1]).await.unwrap();
    let error = ask([1, 2, 1, 1, 1]).await.unwrap_err();
    assert!(error.contains("only region-h published table lab anew"), "{error}");
    let error = ask([1, 2, 1, 1, 4]).await.unwrap_err();
    assert!(error.contains("only region-h, sds published"), "{error}");
    ask([1, 2, 7, 1, 4]).await.unwrap();
    // Back again would tell as much.
    assert!(ask([1, 2, 7, 1, 3]).await.is_err());
    ask([1, 2, 7, 1, 4]).await.unwrap();
}

#[tokio::test]
async fn a_projects_day_has_an_end_and_a_log_that_cannot_be_written_stops_sums() {
    let place = place(&THREE, |config| config.limits.totals_per_day = 2).await;
    place.honest(&THREE).await.unwrap();
    place.honest(&THREE).await.unwrap();
    let error = place.honest(&THREE).await.unwrap_err();
    assert!(error.code() == Code::ResourceExhausted && error.message().contains("2 blind totals today"), "{error:?}");
    let register = crate::register::Register::open(&place.running.config.register()).await.unwrap();
    let total = QueryId::new();
    let tomorrow: DateTime<Utc> = Utc::now() + TimeDelta::days(1);
    assert!(register.total(&place.all(&THREE, total), 2, tomorrow).await.unwrap().is_ok());

    let path = place.running.config.audit_log();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    for _ in 0..2 {
        let error = place.honest(&THREE).await.unwrap_err();
        assert!(error.code() == Code::Unavailable && error.message().contains("audit log"), "{error:?}");
    }
}

#[tokio::test]
async fn sums_go_on_when_the_log_can_be_written_again_and_the_log_says_so() {
    let place = place(&THREE, |_| {}).await;
    place.honest(&THREE).await.unwrap();
    let path = place.running.config.audit_log();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(place.honest(&THREE).await.unwrap_err().message().contains("audit log"));
    // As it was: whoever emptied the disk has made room.
    std::fs::write(&path, &text).unwrap();
    place.honest(&THREE).await.unwrap();
    let after = std::fs::read_to_string(&path).unwrap();
    let kinds: Vec<&str> =
        after[text.len()..].split("\"event\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(kinds, ["log_resumed", "total_summed"], "{after}");
}

#[tokio::test]
async fn two_requests_for_one_total_at_the_same_time_get_one_sum() {
    let place = place(&THREE, |_| {}).await;
    let total = QueryId::new();
    let (one, two) = (place.all(&THREE, total), place.all(&THREE, total));
    let (one, two) = tokio::join!(place.asked(total, &one), place.asked(total, &two));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}
