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
async fn lists_that_do_not_fit_are_refused_by_name() {
    let spoke = Fixture::new().await;
    let admission = spoke.admission().await;
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
