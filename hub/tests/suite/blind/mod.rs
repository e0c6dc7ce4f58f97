//! Blind totals: the hub has the total and nobody's own number.

pub mod members;

use crate::{
    checked::hashed,
    house::{ANNA, person},
    spoke::Manner,
};
use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Decimal128Type, Int64Type},
};
use members::{Members, lab, members};
use policies::{
    disclosure::{
        Threshold,
        noise::{self, CellKey},
        statistic::Share,
    },
    zone::Zone,
};
use proto::refusal::Kind;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// So many people each, numbered from 1000 times the member's place.
const PEOPLE: i64 = 40;

async fn some(count: i64) -> Members {
    let rows = (0..count).map(|n| hashed(lab(n * 1000..n * 1000 + PEOPLE, tag(n), i128::from(tag(n) % 1_000_000))));
    members("disjoint", rows.collect()).await
}

/// A number that is nobody else's.
fn tag(n: i64) -> i64 {
    0x0123_4567_89ab + n * 0x0001_1111_0101 * if n % 2 == 0 { 1 } else { -1 }
}

/// How many people these members have, and the key of them all together.
fn everybody(members: Range<i64>) -> (u64, u8) {
    let people = members.flat_map(|n| n * 1000..n * 1000 + PEOPLE).map(person);
    people.fold((0, 0), |(count, key), one| {
        // as in the table
        let hash: [u8; 32] = Sha256::digest(one).into();
        (count + 1, key.wrapping_add(hash[15]))
    })
}

/// How the people of each of these members are counted and shown, by the rules of release over their plain sum.
fn share(members: Range<i64>) -> Share {
    let (count, key) = everybody(members);
    Share::new(noise::perturbed(count, CellKey::new(key), Threshold::DEFAULT), count).unwrap()
}

/// The same of a sum, whose noise is another than the count's.
fn share_of_sums(members: Range<i64>) -> Share {
    let (count, key) = everybody(members);
    let noise = noise::noise(count - Threshold::DEFAULT.least(), CellKey::new(key ^ 0x33));
    Share::new(count, count).unwrap().moved(noise as f64)
}

/// The sum of what a member's people have of a number, as the open zone computes with it: each part at three digits, whole numbers of up to four
/// exactly, and nobody more than all others, who have the same. `one`: what makes a whole.
fn computed(number: i128, one: i128) -> i128 {
    let part = number / i128::from(PEOPLE);
    let size = part.abs();
    let digits = 10_i128.pow(size.max(1).ilog10().saturating_sub(2));
    let step = if size < 10_000 * one { digits.min(one) } else { digits };
    (size + step / 2) / step * step * part.signum() * i128::from(PEOPLE)
}

/// What is shown of the members' exact sum.
fn shown(members: Range<i64>, of: impl Fn(i64) -> i128) -> i128 {
    share(members.clone()).whole(members.map(of).sum())
}

/// What is shown of the exact sum of what these members have masked last, each of which is `of` it, but for the noise of a few of its people.
fn shown_parts(all: &Members, members: Range<i64>, of: impl Fn(i64) -> i128) -> i128 {
    let parts: Vec<Vec<Option<i128>>> = members
        .clone()
        .map(|n| {
            let sharing = all.spokes[usize::try_from(n).unwrap()].blind.clone().unwrap();
            let last = sharing.parts.lock().unwrap().last().cloned();
            last.unwrap()
        })
        .collect();
    let near = |n: i64, part: i128| (part - of(n)).abs() <= of(n).abs() / i128::from(PEOPLE) * 9 + 9;
    let statistics = (0..parts[0].len())
        .filter(|at| members.clone().zip(&parts).all(|(n, parts)| parts[*at].is_some_and(|part| near(n, part))));
    let [statistic] = statistics.collect::<Vec<_>>()[..] else { panic!("not one of {parts:?}") };
    let sum: i128 = parts.iter().map(|parts| parts[statistic].unwrap()).sum();
    assert_ne!(sum, members.clone().map(of).sum::<i128>(), "each member's part has noise of its own");
    share_of_sums(members).whole(sum)
}

const TOTALS: &str =
    "SELECT count(*) AS n, count(DISTINCT pnr) AS people, sum(tag) AS tag, sum(kr) AS kr FROM national.lab";

fn whole(batches: &[RecordBatch], column: &str) -> i64 {
    batches[0].column_by_name(column).unwrap().as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn blind_totals_are_the_plain_sums_of_3_10_and_50_members() {
    for count in [3, 10, 50] {
        let all = some(count).await;
        let mut anna = all.house.client(ANNA, Zone::Open).await;
        let batches = anna.sql(TOTALS).await.unwrap();
        // The plain sums of people and rows, as any other number is shown: one person more or less would show.
        let plain = |of: fn(i64) -> i128| shown(0..count, of);
        assert_eq!(i128::from(whole(&batches, "n")), plain(|_| PEOPLE.into()));
        assert_eq!(i128::from(whole(&batches, "people")), plain(|_| PEOPLE.into()));
        // The plain sums of what each member would show of its own, to the last digit.
        let parts = |of: fn(i64) -> i128| shown_parts(&all, 0..count, of);
        assert_eq!(i128::from(whole(&batches, "tag")), parts(|n| computed(tag(n).into(), 1)));
        let money = batches[0].column_by_name("kr").unwrap().as_primitive::<Decimal128Type>();
        assert_eq!(money.value(0), parts(|n| computed(i128::from(tag(n) % 1_000_000), 100)));
        // Each was asked once, for a share, and all the same.
        let mut asked: Vec<_> = all.spokes.iter().flat_map(|spoke| spoke.seen.scans.lock().unwrap().clone()).collect();
        assert_eq!(asked.len(), usize::try_from(count).unwrap());
        let (total, fragment) = (asked[0].blind.clone(), asked[0].fragment.clone());
        assert!(total.is_some() && asked.iter().all(|scan| scan.blind == total && scan.fragment == fragment));
        // Again: another total, the same answer.
        assert_eq!(anna.sql(TOTALS).await.unwrap(), batches);
        asked = all.spokes[0].seen.scans.lock().unwrap().clone();
        assert!(asked.len() == 2 && asked[1].blind != total);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_without_such_rows_and_nulls_add_nothing() {
    let all = some(3).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    let sql = |kom: &str| format!("SELECT count(*) AS n, sum(tag) AS tag FROM national.lab WHERE kom {kom}");
    // Two of three, one of them, and none: the same questions go to all.
    let two = anna.sql(&sql("< 2")).await.unwrap();
    let [n, tags] = [whole(&two, "n"), whole(&two, "tag")].map(i128::from);
    let parts = shown_parts(&all, 0..2, |n| computed(tag(n).into(), 1));
    assert_eq!((n, tags), (shown(0..2, |_| PEOPLE.into()), parts));
    let none = anna.sql(&sql("> 7")).await.unwrap();
    assert_eq!(whole(&none, "n"), 0);
    assert!(none[0].column_by_name("tag").unwrap().is_null(0));
    assert!(all.spokes.iter().all(|spoke| spoke.asked().len() == 2));
    // What is computed from totals is computed here.
    let mean = anna
        .shown("SELECT sum(tag) / count(*) AS mean, CASE WHEN count(*) > 9 THEN 'many' END AS many FROM national.lab")
        .await;
    let all_three = shown(0..3, |_| PEOPLE.into());
    let tags = shown_parts(&all, 0..3, |n| computed(tag(n).into(), 1));
    assert!(mean.contains(&format!("{}", tags / all_three)) && mean.contains("many"), "{mean}");
    // Two totals in one statement.
    let both = anna.shown("SELECT 'all' AS who, count(*) AS n FROM national.lab UNION ALL SELECT 'some', count(*) FROM national.lab WHERE kom < 2").await;
    assert!(both.contains(&format!("| {all_three} ")) && both.contains(&format!("| {n} ")), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_of_few_people_is_suppressed_like_any_other() {
    let rows = (0..3).map(|n| lab(n * 1000..n * 1000 + 1, 5, 5)).collect();
    let all = members("disjoint", rows).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    let shown = anna.shown(TOTALS).await;
    assert!(shown.contains("suppressed") && !shown.contains("| 3 "), "{shown}");
}

/// What is shown of a column, asked for the first time.
async fn told(all: &Members, sql: &str) -> Option<i64> {
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    let batches = anna.sql(sql).await.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
    let column = batches[0].column_by_name("v").unwrap();
    column.is_valid(0).then(|| column.as_primitive::<Int64Type>().value(0))
}

/// Learns: nothing of the one person. Off: their value, and whether they have something.
#[tokio::test(flavor = "multi_thread")]
async fn attack_a_blind_total_in_which_everybody_else_adds_one_tells_no_persons_value() {
    // A person who stands out, known by their place.
    let known = "x = 7.0 AND kom = 0";
    for (what, from) in [
        ("sum(CASE WHEN {T} THEN tag ELSE 1 END)", ""),
        ("sum(CASE WHEN {T} THEN 9000000000000000000 ELSE 1 END)", ""),
        ("sum(CASE WHEN {T} THEN 9000000000000000000 ELSE 0 END)", ""),
        // alone at their own member
        ("sum(CASE WHEN {T} THEN tag ELSE 1 END)", " WHERE {T} OR kom > 0"),
        ("sum(CASE WHEN {T} THEN tag ELSE 1 END)", " WHERE kom > 0 OR (kom = 0 AND x < 9.0)"),
    ] {
        let mut both = Vec::new();
        // Whether something holds of them that is true, or that is not.
        for has in ["tag > 0", "tag < 0"] {
            let all = some(3).await;
            let condition = format!("({known} AND {has})");
            let sql = format!("SELECT {what} AS v FROM national.lab{from}").replace("{T}", &condition);
            both.push(told(&all, &sql).await);
        }
        println!("{what}{from}: {both:?}");
        match both[..] {
            [Some(with), Some(without)] => {
                assert!((with - without).abs() <= 24 && with < 200, "{what}{from}: {both:?}")
            }
            _ => assert_eq!(both, [None, None], "{what}{from}"),
        }
    }
}

/// Learns: nothing, both statements are answered alike. Off: one person's value, from the difference.
#[tokio::test(flavor = "multi_thread")]
async fn attack_two_blind_totals_that_differ_by_one_person_are_alike() {
    let all = some(3).await;
    let sum = |of: &str| format!("SELECT sum(CASE WHEN {of} THEN tag ELSE 1 END) AS v FROM national.lab");
    let with = told(&all, &sum("kom = 0")).await;
    assert!(with.unwrap() > 1_000_000);
    assert_eq!(told(&all, &sum("kom = 0 AND x <> 7.0")).await, with);
}

/// Of a total nobody has the marks of people: other people, nearly as many, are shown alike. Two unrelated groups are so, too.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_other_people_nearly_as_many_are_shown_alike() {
    let all = some(3).await;
    let count = |of: &str| format!("SELECT count(DISTINCT pnr) AS v FROM national.lab WHERE {of}");
    let first = told(&all, &count("kom = 0")).await.unwrap();
    assert_eq!(told(&all, &count("kom = 1 AND x < 1034.0")).await, Some(first), "34 others");
    let both = told(&all, &count("kom < 2")).await.unwrap();
    assert!(both > first + 20, "{both} of 80");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_that_only_shares_leave() {
    let all = some(3).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    let plan = anna.shown(&format!("EXPLAIN {TOTALS}")).await;
    for member in ["member-00", "member-01", "member-02"] {
        assert!(
            plan.lines().any(|line| line.contains(member) && line.contains("only a share of a blind total leaves")),
            "{plan}"
        );
    }
    assert!(plan.contains("BlindTotalExec: shares of 3 members added up, masks by custodian national"), "{plan}");
    assert!(all.spokes.iter().all(|spoke| spoke.asked().is_empty()), "nobody is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_what_is_no_total_over_all_members_is_refused_by_name_and_nobody_is_asked() {
    let all = some(3).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    for (sql, says) in [
        (
            "SELECT count(*) AS n FROM \"member-00\".lab",
            "lets nothing out but totals over member-00, member-01, member-02",
        ),
        ("SELECT count(*) AS n FROM national.lab WHERE controller = 'member-01'", "lets nothing out but totals over"),
        (
            "SELECT count(*) AS n FROM national.lab WHERE controller <> 'member-01'",
            "is over member-00, member-01, member-02",
        ),
        ("SELECT kom, count(*) AS n FROM national.lab GROUP BY kom", "groups"),
        ("SELECT controller, count(*) AS n FROM national.lab GROUP BY controller", "groups"),
        ("SELECT avg(x) AS m FROM national.lab", "AVG"),
        ("SELECT sum(x) AS m FROM national.lab", "Float64"),
        ("SELECT count(DISTINCT kom) AS n FROM national.lab", ""),
        ("SELECT stddev(x) AS m FROM national.lab", ""),
    ] {
        let refusal = anna.refused(sql).await;
        assert!(refusal.kind == Kind::Denied && refusal.message.contains(says), "{sql}: {refusal}");
    }
    // One member after the other, without the word for it.
    let union =
        "SELECT count(*) AS n FROM (SELECT pnr FROM \"member-00\".lab UNION ALL SELECT pnr FROM \"member-01\".lab) t";
    let refusal = anna.refused(union).await;
    assert!(refusal.kind == Kind::Denied, "{refusal}");
    assert!(all.spokes.iter().all(|spoke| spoke.asked().is_empty()), "somebody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_may_share_people_have_no_count_of_them() {
    let rows = (0..3).map(|n| lab(n * 1000..n * 1000 + 10, tag(n), 1)).collect();
    let all = members("overlapping", rows).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    let refusal = anna.refused(TOTALS).await;
    assert!(refusal.kind == Kind::Denied && refusal.message.contains("groups"), "{refusal}");
    assert!(all.spokes.iter().all(|spoke| spoke.asked().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_members_that_were_told_different_sets_have_no_total() {
    let all = some(4).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    all.spokes[3].terms.lock().unwrap().blind.as_mut().unwrap().members.remove(0);
    let refusal = anna.refused(TOTALS).await;
    assert!(refusal.message.contains("'member-03' was told of another set"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_or_a_custodian_that_is_away_is_named_and_nothing_is_given() {
    let all = some(3).await;
    let mut anna = all.house.client(ANNA, Zone::Open).await;
    all.spokes[2].set(Manner::Refuses(Kind::Exhausted));
    let refusal = anna.refused(TOTALS).await;
    assert!(refusal.message.contains("member-02"), "{refusal}");
    // The custodian was asked for nothing: no total was used up.
    let log = runtime::audit::read(&all.third.config.audit_log()).unwrap();
    let kinds: Vec<String> = log.map(|e| e.unwrap().0.event["event"].as_str().unwrap().to_owned()).collect();
    assert!(!kinds.iter().any(|kind| kind.starts_with("total")), "{kinds:?}");
    all.spokes[2].set(Manner::AnotherSchema);
    let refusal = anna.refused(TOTALS).await;
    assert!(refusal.message.contains("member-02"), "{refusal}");
    all.spokes[2].set(Manner::LostOnce);
    anna.sql(TOTALS).await.unwrap();

    let Members { house: _house, spokes, mut third } = all;
    third.shutdown.cancel();
    (&mut third.done).await.unwrap();
    let refusal = anna.refused(TOTALS).await;
    assert!(refusal.message.contains("custodian 'national' can't be reached"), "{refusal}");
    assert!(spokes.iter().all(|spoke| spoke.asked().len() > 1));
}
