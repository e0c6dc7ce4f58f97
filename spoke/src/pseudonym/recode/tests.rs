//! Recoding against the definition, block by block.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::pseudonym::{OrderKey, keys::Secret};
use arrow::buffer::NullBuffer;
use proptest::prelude::*;
use std::collections::HashSet;

fn store(seed: u8) -> StoreKey {
    StoreKey::from_secret(&Secret([seed; 32]))
}

fn project(seed: u8) -> ProjectKey {
    ProjectKey::new(&Secret([seed; 32]), "diabetes".parse().unwrap(), 1)
}

fn column(values: &[Option<[u8; 16]>]) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter().copied(), 16).unwrap()
}

/// The definition: AES(K_project, P), with no S in between.
fn defined(project: &ProjectKey, role: Role, p: [u8; 16]) -> [u8; 16] {
    let cipher = if role == Role::Person { &project.person } else { &project.key };
    let mut block = Block::from(p);
    cipher.encrypt_block(&mut block);
    block.into()
}

proptest! {
    #[test]
    fn recoding_is_the_definition_and_inverts(
        values in prop::collection::vec(prop::option::weighted(0.9, any::<[u8; 16]>()), 0..700),
        from in 0usize..700,
        length in 0usize..700,
        person in any::<bool>(),
    ) {
        let role = if person { Role::Person } else { Role::Key };
        let (store, project) = (store(3), project(4));
        let recoder = Recoder::new(&store, &project, role);
        let stored: Vec<Option<[u8; 16]>> = values
            .iter()
            .map(|p| p.map(|p| if person { store.stored_person(&p) } else { store.stored_key(&p) }))
            .collect();
        let array = column(&stored);
        let from = from.min(values.len());
        let length = length.min(values.len() - from);
        let coded = recoder.forward(&array.slice(from, length)).unwrap();
        prop_assert_eq!(coded.len(), length);
        for (i, p) in values[from..from + length].iter().enumerate() {
            match p {
                None => prop_assert!(coded.is_null(i)),
                Some(p) => {
                    let expected = defined(&project, role, *p);
                    prop_assert!(coded.is_valid(i));
                    prop_assert_eq!(coded.value(i), &expected[..]);
                    prop_assert_eq!(Some(recoder.inverse(&expected)), stored[from + i]);
                }
            }
        }
        let mut list: Vec<[u8; 16]> = coded.iter().flatten().map(|v| v.try_into().unwrap()).collect();
        recoder.inverse_all(&mut list);
        prop_assert_eq!(list, stored[from..from + length].iter().flatten().copied().collect::<Vec<_>>());
    }
}

#[test]
fn empty_and_all_null_columns_stay_so() {
    let recoder = Recoder::new(&store(1), &project(1), Role::Person);
    assert_eq!(recoder.forward(&column(&[])).unwrap().len(), 0);
    let nulls = recoder.forward(&column(&[None, None])).unwrap();
    assert_eq!(nulls.null_count(), 2);
    // what stands behind a null says nothing
    let hidden = FixedSizeBinaryArray::try_new(16, Buffer::from_vec(vec![9u8; 32]), Some(NullBuffer::new_null(2)));
    assert_eq!(recoder.forward(&hidden.unwrap()).unwrap().value_data(), &[0; 32]);
    let narrow = FixedSizeBinaryArray::try_from_iter([[1u8; 8]].iter()).unwrap();
    assert!(matches!(recoder.forward(&narrow), Err(RecodeError::Width(8))));
}

#[test]
fn same_people_match_across_spokes_within_a_project_and_nowhere_else() {
    let people: Vec<[u8; 16]> = (0..500u128).map(|i| (i * 7919).to_le_bytes()).collect();
    let coded = |store: &StoreKey, project: &ProjectKey, role| {
        let stored: Vec<Option<[u8; 16]>> = people
            .iter()
            .map(|p| Some(if role == Role::Person { store.stored_person(p) } else { store.stored_key(p) }))
            .collect();
        let array = Recoder::new(store, project, role).forward(&column(&stored)).unwrap();
        array.iter().flatten().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (one, two) = (store(1), store(2));
    assert_ne!(one.stored_person(&people[1]), two.stored_person(&people[1]));
    assert_eq!(coded(&one, &project(8), Role::Person), coded(&two, &project(8), Role::Person));
    assert_eq!(coded(&one, &project(8), Role::Key), coded(&two, &project(8), Role::Key));
    let mut all = HashSet::new();
    for (project, role) in
        [(project(8), Role::Person), (project(9), Role::Person), (project(8), Role::Key), (project(9), Role::Key)]
    {
        all.extend(coded(&one, &project, role));
    }
    assert_eq!(all.len(), 4 * people.len());
}

#[test]
fn keys_print_nothing_of_themselves() {
    let secret = hex::encode([0x5a; 32]);
    let (store, project) = (store(0x5a), project(0x5a));
    let recoder = Recoder::new(&store, &project, Role::Key);
    let text = format!("{store:?} {project:?} {recoder:?} {:?}", project.order());
    assert!(!text.contains(&secret[..8]) && text.contains(store.kid()), "{text}");
    assert_ne!(store.kid(), project.kid());
}

#[test]
fn orders_of_two_projects_are_unrelated() {
    use rand_chacha::rand_core::RngCore;
    let ranks = |key: &OrderKey| {
        let mut labels: Vec<u32> = (0..200).collect();
        labels.sort_by_key(|label| key.rank(&label.to_le_bytes()));
        labels
    };
    let (one, two) = (project(1).order(), project(2).order());
    assert_eq!(ranks(&one), ranks(&project(1).order()));
    let same = ranks(&one).iter().zip(ranks(&two)).filter(|(a, b)| *a == b).count();
    assert!(same < 10, "{same} of 200 in the same place");
    assert_eq!(one.rng(b"x").next_u64(), one.rng(b"x").next_u64());
    assert_ne!(one.rng(b"x").next_u64(), one.rng(b"y").next_u64());
    assert_ne!(one.rng(b"x").next_u64(), two.rng(b"x").next_u64());
}
