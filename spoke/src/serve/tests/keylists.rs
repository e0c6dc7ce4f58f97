//! Lists of keys beside a question: right rows, little read, nothing told to whom it does not concern.

use super::fixture::{Fixture, PEOPLE, ROWS, count, direct, numbers, question, read};
use crate::receive::Question;
use prost::Message;
use proto::{
    fragment::Limits,
    plan::{self, keys::Keys},
    refusal::Kind,
    wire::{self, Rel, expr},
};
use std::sync::Arc;

const EACH: usize = ROWS / PEOPLE;

fn looked_up(rel: Rel, column: &str, list: u32) -> Rel {
    let column = wire::Expr { kind: Some(expr::Kind::Column(column.to_owned())) };
    let found = wire::InKeys { expr: Some(Box::new(column)), list };
    plan::filter(rel, wire::Expr { kind: Some(expr::Kind::InKeys(Box::new(found))) })
}

fn asking(column: &str, keys: Keys) -> Question {
    let mut asked = question("diabetes", looked_up(read(&["row", "pnr", "atc", "kontakt"]), column, 0));
    asked.keys = vec![Arc::new(keys)];
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_people_finds_their_rows_and_reads_a_few_pages() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let people = [3_usize, 1_400, 1_401, 2_999];
    let mut wanted: Vec<i64> = people.iter().flat_map(|p| p * EACH..(p + 1) * EACH).map(|row| row as i64).collect();
    wanted.sort_unstable();
    let list = Keys::ids(people.map(|person| spoke.pseudonym("diabetes", person)));
    let (rows, few) = direct(&admission, asking("pnr", list)).await.unwrap();
    let mut got = numbers(&rows);
    got.sort_unstable();
    assert_eq!(got, wanted);

    let (all, whole) = direct(&admission, asking("pnr", Keys::everything())).await.unwrap();
    assert_eq!(count(&all), ROWS);
    assert!(few.bytes_scanned * 2 < whole.bytes_scanned, "{few:?} and {whole:?}");

    // Nobody, and people of another project: nothing.
    let (none, effort) = direct(&admission, asking("pnr", Keys::ids([]))).await.unwrap();
    assert_eq!((count(&none), effort.bytes_scanned), (0, 0));
    spoke.grant("cancer", "enclave", &["anna@example.org"], super::fixture::LMDB);
    let strangers = Keys::ids([spoke.pseudonym("cancer", 3)]);
    assert_eq!(count(&direct(&admission, asking("pnr", strangers)).await.unwrap().0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_numbers_and_texts_are_looked_up_too() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let numbers_of = |values: Vec<i64>| {
        Keys::from_wire(wire::KeyList { kind: Some(wire::key_list::Kind::Numbers(wire::Numbers { values })) })
    };
    let (rows, _) = direct(&admission, asking("row", numbers_of(vec![5, 47_999]))).await.unwrap();
    let mut got = numbers(&rows);
    got.sort_unstable();
    assert_eq!(got, [5, 47_999]);
    let texts = wire::key_list::Kind::Texts(wire::Texts { values: vec!["A01".to_owned()] });
    let (rows, _) =
        direct(&admission, asking("atc", Keys::from_wire(wire::KeyList { kind: Some(texts) }))).await.unwrap();
    assert_eq!(count(&rows), super::fixture::GROUP);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bloom_filter_of_people_finds_all_their_rows_and_few_others() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let inside: Vec<usize> = (0..PEOPLE).step_by(10).collect();
    let list = Keys::ids(inside.iter().map(|person| spoke.pseudonym("diabetes", *person)));
    let bloom = list.within(1 << 20);
    assert!(bloom.is_bloom());
    let (rows, _) = direct(&admission, asking("pnr", bloom.clone())).await.unwrap();
    let got = numbers(&rows);
    let person = |row: &i64| usize::try_from(*row).unwrap() / EACH;
    for one in &inside {
        assert_eq!(got.iter().filter(|row| person(row) == *one).count(), EACH, "person {one}");
    }
    let strangers = got.iter().filter(|row| !inside.contains(&person(row))).count();
    println!("{strangers} of {} rows of strangers came too", ROWS - inside.len() * EACH);
    assert!(strangers * 20 < ROWS, "{strangers}");
    // With the exact list there are none, and with another condition both count.
    let (exact, _) = direct(&admission, asking("pnr", list)).await.unwrap();
    assert_eq!(count(&exact), inside.len() * EACH);
    // Another project's pseudonyms are as good as random: hardly any of its people are found.
    spoke.grant("cancer", "enclave", &["anna@example.org"], super::fixture::LMDB);
    let strangers = Keys::ids(inside.iter().map(|person| spoke.pseudonym("cancer", *person))).within(1 << 20);
    let (others, _) = direct(&admission, asking("pnr", strangers)).await.unwrap();
    assert!(count(&others) * 20 < ROWS, "{}", count(&others));
    // Other columns than those of people too: 8 of 48,000 numbers.
    let numbers_of = |values: Vec<i64>| {
        Keys::from_wire(wire::KeyList { kind: Some(wire::key_list::Kind::Numbers(wire::Numbers { values })) })
    };
    let (rows, _) = direct(&admission, asking("row", numbers_of((0..8).collect()).within(1 << 20))).await.unwrap();
    let got = numbers(&rows);
    assert!((0..8).all(|row| got.contains(&row)) && got.len() < ROWS / 20, "{}", got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_another_version_of_a_table_is_not_answered() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let asked =
        |version| Question { versions: vec![("lmdb".to_owned(), version)], ..question("diabetes", read(&["row"])) };
    assert_eq!(count(&direct(&admission, asked(0)).await.unwrap().0), ROWS);
    spoke.publish("lmdb", ROWS, ROWS).await;
    let refusal = direct(&admission, asked(0)).await.unwrap_err();
    assert!(refusal.kind == Kind::Invalid && refusal.message.contains("published anew"), "{refusal}");
    assert_eq!(count(&direct(&admission, asked(1)).await.unwrap().0), ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_do_not_fit_are_refused_by_name() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
    let wrong = asking("row", Keys::ids([[1; 16]]).within(1 << 20));
    assert_eq!(direct(&admission, wrong).await.unwrap_err().kind, Kind::Invalid);
    let wrong = asking("row", Keys::ids([[1; 16]]));
    assert_eq!(direct(&admission, wrong).await.unwrap_err().kind, Kind::Invalid);
    let mut missing = asking("pnr", Keys::everything());
    missing.keys.clear();
    let refusal = direct(&admission, missing).await.unwrap_err();
    assert!(refusal.message.contains("key list 0"), "{refusal}");

    let mut request = super::fixture::request(looked_up(read(&["row", "pnr"]), "pnr", 0));
    let mut refused = |kind| {
        request.keys = vec![wire::KeyList { kind: Some(kind) }];
        Question::from_ticket(&request.encode_to_vec(), &Limits::default()).unwrap_err()
    };
    for kind in [
        wire::key_list::Kind::Ids(vec![7; 15]),
        wire::key_list::Kind::Ids(vec![7; 32]),
        wire::key_list::Kind::Ids([[9; 16], [8; 16]].concat()),
        wire::key_list::Kind::Numbers(wire::Numbers { values: vec![2, 1] }),
        wire::key_list::Kind::Texts(wire::Texts { values: vec!["a".to_owned(), "a".to_owned()] }),
        wire::key_list::Kind::Everything(false),
        wire::key_list::Kind::Bloom(wire::Bloom { of: wire::KeyKind::Pseudonym.into(), blocks: vec![0; 33] }),
        wire::key_list::Kind::Bloom(wire::Bloom { of: 9, blocks: vec![0; 32] }),
    ] {
        assert!(refused(kind).message.contains("KeyList"));
    }
    let small = Limits { max_keys: 1_000, ..Limits::default() };
    let ids: Vec<u8> = (0..100_000_u128).flat_map(u128::to_be_bytes).collect();
    request.keys = vec![wire::KeyList { kind: Some(wire::key_list::Kind::Ids(ids)) }];
    let bytes = request.encode_to_vec();
    assert_eq!(Question::from_ticket(&bytes, &small).unwrap_err().kind, Kind::TooLarge);
    assert_eq!(Question::from_ticket(&bytes, &Limits::default()).unwrap().keys[0].len(), Some(100_000));
}
