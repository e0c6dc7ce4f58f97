#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use proto::{ids::ProjectId, plan::contributions::amounts};
use std::collections::BTreeSet;

/// As a project's pseudonyms are.
fn pseudonym(person: u32) -> [u8; 16] {
    let mut state = u64::from(person) + 1;
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        state = (state ^ (state >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = state.to_be_bytes()[0];
    }
    bytes
}

fn cell(people: impl IntoIterator<Item = u32>) -> Summary {
    let different: BTreeSet<u32> = people.into_iter().collect();
    let mut summary = Summary::default();
    for person in different {
        summary.add(&pseudonym(person));
    }
    summary
}

fn shown(ledger: &Ledger, people: impl IntoIterator<Item = u32>) -> u64 {
    ledger.shown(&[Some(cell(people))]).unwrap()[0].unwrap()
}

#[test]
fn attack_difference_by_few_people_is_answered_as_if_there_were_none() {
    for differ in 1..=9_u32 {
        let ledger = Ledger::default();
        let first = shown(&ledger, 0..500);
        for other in
            [cell(0..500 + differ), cell(differ..500), cell((0..500 - differ / 2).chain(900..900 + differ.div_ceil(2)))]
        {
            assert_eq!(ledger.shown(&[Some(other)]).unwrap(), [Some(first)], "by {differ}");
        }
        // Off: each would have its own noise.
        let own: BTreeSet<u64> = (0..40)
            .map(|n| {
                let c = cell(0..500 + n % 10);
                own(c.people, c.key, Threshold::DEFAULT)
            })
            .collect();
        assert!(own.len() > 1);
    }
}

#[test]
fn other_people_have_their_own_answer_and_steps_lead_nowhere() {
    let ledger = Ledger::default();
    shown(&ledger, 0..500);
    let far = cell(0..540);
    assert_eq!(shown(&ledger, 0..540), own(far.people, far.key, Threshold::DEFAULT));
    // nine more each time: what is shown doesn't stay at the first
    let steps: Vec<u64> = (0..20).map(|step| shown(&ledger, 0..600 + step * 9)).collect();
    assert!(steps.last().unwrap() > &(600 + 19 * 9 - 20), "{steps:?}");
}

/// The sum of people who have so much each.
fn sum(people: impl IntoIterator<Item = u32>, each: impl Fn(u32) -> f64, shown: f64) -> Record {
    let mut marks = Summary::default();
    for person in people {
        amounts::add(&mut marks, &pseudonym(person), &[each(person)]);
    }
    Record { of: Of::Sum, marks, shown }
}

fn again(ledger: &Ledger, record: Record) -> f64 {
    ledger.statistics(&[Some(record)]).unwrap()[0].unwrap().number
}

fn age(person: u32) -> f64 {
    f64::from(20 + person % 61)
}

#[test]
fn attack_difference_of_statistics_by_few_contributions_is_answered_as_if_there_were_none() {
    for differ in 1..=9_u32 {
        let ledger = Ledger::default();
        assert_eq!(again(&ledger, sum(0..500, age, 1.0)), 1.0);
        for other in [
            sum(0..500 + differ, age, 2.0),
            sum(differ..500, age, 3.0),
            sum(0..500, |person| age(person) + f64::from(u8::from(person < differ)), 4.0),
        ] {
            assert_eq!(again(&ledger, other), 1.0, "by {differ}");
        }
    }
    let ledger = Ledger::default();
    assert_eq!(again(&ledger, sum(0..500, age, 1.0)), 1.0);
    assert_eq!(again(&ledger, sum(0..520, age, 2.0)), 2.0);
    assert_eq!(again(&ledger, sum(0..500, |person| 2.0 * age(person), 3.0)), 3.0, "other values of the same people");
    assert_eq!(again(&ledger, Record { of: Of::Mean, ..sum(0..500, age, 4.0) }), 4.0, "another function");
    assert_eq!(again(&ledger, sum(0..501, age, 5.0)), 1.0);
    assert_eq!(ledger.statistics(&[None]).unwrap(), [None]);
    assert_eq!(ledger.size().0, 4);
    // The people of a count are none of a sum.
    assert_eq!(shown(&ledger, 0..500), own(500, cell(0..500).key, Threshold::DEFAULT));
}

/// Between ten and twelve contributions the lot of those who differ decides, whatever the unit.
#[test]
fn contributions_at_the_boundary_fall_by_lot_and_in_other_units_by_the_same() {
    let mut told = [0, 0, 0];
    for from in (0..120).map(|set| set * 1_000) {
        for (above, told) in told.iter_mut().enumerate() {
            let differ = 10 + u32::try_from(above).unwrap();
            let answers: Vec<bool> = [1.0, 2.0, 0.001]
                .into_iter()
                .map(|unit| {
                    let ledger = Ledger::default();
                    again(&ledger, sum(from..from + 200, |person| unit * age(person), 1.0));
                    again(&ledger, sum(from..from + 200 + differ, |person| unit * age(person), 2.0)) == 2.0
                })
                .collect();
            // two who meet in a mark may differ in one fewer
            if answers.iter().all(|own| *own) {
                *told += 1;
            }
        }
    }
    assert!((5..30).contains(&told[0]) && (40..80).contains(&told[1]) && (90..116).contains(&told[2]), "{told:?}");
}

#[test]
fn sums_of_few_people_with_nothing_in_common_are_not_alike() {
    for people in 10..14 {
        let ledger = Ledger::default();
        for from in (0..60).map(|set| set * 100) {
            for (unit, shown) in [(1.0, 1.0), (300.0, 2.0), (0.7, 3.0)] {
                let record = sum(from..from + people, |person| unit * age(person), shown + f64::from(from));
                assert_eq!(again(&ledger, record), shown + f64::from(from));
            }
        }
    }
}

#[test]
fn a_ledger_of_cells_alone_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("diabetes-1.cells");
    let old =
        [b"eger cells 0001\n".to_vec(), cell(0..300).write().unwrap(), cell(900..950).write().unwrap(), vec![7; 90]];
    std::fs::write(&path, old.concat()).unwrap();
    let project: ProjectId = "diabetes".parse().unwrap();
    let first = [own(300, cell(0..300).key, Threshold::DEFAULT), own(50, cell(900..950).key, Threshold::DEFAULT)];
    for _ in 0..2 {
        let ledgers = Ledgers::new(folder.path().to_owned());
        let ledger = ledgers.of(&project, 1);
        assert_eq!([shown(&ledger, 0..303), shown(&ledger, 901..950)], first);
        assert_eq!(again(&ledger, sum(0..300, age, 1.5)), 1.5);
        assert_eq!(again(&ledger, sum(0..299, age, 2.5)), 1.5);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 16 + 3 * 270);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn few_and_nobody_are_not_kept() {
    let ledger = Ledger::default();
    assert_eq!(ledger.shown(&[Some(cell(0..4)), Some(cell([])), None]).unwrap(), [Some(4), Some(0), None]);
    assert_eq!(ledger.size().0, 0);
}

#[test]
fn an_earlier_cell_of_fewer_people_is_not_shown_below_a_raised_threshold() {
    let ten = Threshold::DEFAULT.raised_to(10);
    for from in (0..100).map(|group| group * 1_000) {
        let ledger = Ledger::default();
        let first = shown(&ledger, from..from + 8);
        assert_eq!(ledger.shown_under(&[Some(cell(from..from + 12))], ten).unwrap(), [Some(10)]);
        assert_eq!(shown(&ledger, from..from + 8), first);
        // Of others it has the noise of its distance.
        let own = ledger.shown_under(&[Some(cell(from + 100..from + 111))], ten).unwrap();
        assert!(own.iter().flatten().all(|n| (10..=16).contains(n)), "{own:?}");
        assert_eq!(
            ledger.shown_under(&[Some(cell(from + 200..from + 209))], ten).unwrap(),
            [Some(9)],
            "release hides it"
        );
    }
}

#[test]
fn what_was_released_is_known_after_a_restart_and_a_torn_record_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let project: ProjectId = "diabetes".parse().unwrap();
    let path = folder.path().join("diabetes-3.cells");
    let first = {
        let ledgers = Ledgers::new(folder.path().to_owned());
        shown(&ledgers.of(&project, 3), 0..700)
    };
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([1; 40]);
    std::fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let ledgers = Ledgers::new(folder.path().to_owned());
        let ledger = ledgers.of(&project, 3);
        assert_eq!(shown(&ledger, 0..707), first, "nearly the same people, as the first time");
        shown(&ledger, 2_000..3_000);
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 16 + 2 * 270);
    // another key, another ledger
    let ledgers = Ledgers::new(folder.path().to_owned());
    let other = cell(0..707);
    assert_eq!(shown(&ledgers.of(&project, 4), 0..707), own(other.people, other.key, Threshold::DEFAULT));
}

#[test]
fn a_full_ledger_answers_what_was_released_and_nothing_new() {
    let ledger = Ledger { most: 2, ..Ledger::default() };
    let first = shown(&ledger, 0..100);
    shown(&ledger, 200..400);
    let refused = ledger.shown(&[Some(cell(500..600))]).unwrap_err().to_string();
    assert!(refused.contains("(2)") && refused.contains("another one"), "{refused}");
    assert_eq!(shown(&ledger, 0..100), first);
    assert_eq!(shown(&ledger, 0..103), first, "nearly the same people");
}

#[test]
fn a_ledger_that_cannot_be_written_or_read_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let project: ProjectId = "diabetes".parse().unwrap();
    // A disk without room: every write fails, whoever runs the test.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("diabetes-1.cells")).unwrap();
    std::fs::write(folder.path().join("diabetes-2.cells"), "something else, and long enough").unwrap();
    let ledgers = Ledgers::new(folder.path().to_owned());
    for epoch in [1, 2] {
        let refused = ledgers.of(&project, epoch).shown(&[Some(cell(0..100))]).unwrap_err().to_string();
        assert!(refused.contains("Tell the hub's operator") && !refused.contains("cells"), "{refused}");
    }
}

/// What others are answered depends on it, so nobody may be answered on what a write that failed would have kept.
#[test]
fn what_could_not_be_written_was_never_released() {
    let folder = tempfile::tempdir().unwrap();
    let ledgers = Ledgers::new(folder.path().to_owned());
    let ledger = ledgers.of(&"diabetes".parse().unwrap(), 1);
    shown(&ledger, 0..100);
    // Decided while another statement's cells are on their way to a disk that has no room.
    *ledger.file.lock().unwrap() = Some(File::of(std::fs::File::open("/dev/full").unwrap()));
    let decided = ledger.decide_people(&[Some(cell(0..500))], Threshold::DEFAULT).unwrap().unwrap();
    let beside = ledger.decide_people(&[Some(cell(0..507))], Threshold::DEFAULT).unwrap().unwrap();
    assert!(!ledger.settled(&decided) && !ledger.settled(&beside));
    ledger.settle(&decided).unwrap_err();
    ledger.settle(&beside).unwrap_err();
    assert!(!ledger.settled(&beside), "also when as many others have been written since");
    let other = cell(0..507);
    assert_eq!(shown(&ledger, 0..507), own(other.people, other.key, Threshold::DEFAULT), "0..500 was not released");
    assert!(!ledger.settled(&beside));
    assert_eq!(ledger.size().0, 2);
}

#[test]
fn statements_beside_each_other_wait_for_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let ledgers = Ledgers::new(folder.path().to_owned());
    let ledger = ledgers.of(&"diabetes".parse().unwrap(), 1);
    shown(&ledger, 0..100);
    let first = ledger.decide_people(&[Some(cell(200..400))], Threshold::DEFAULT).unwrap().unwrap();
    let second = ledger.decide_people(&[Some(cell(500..800))], Threshold::DEFAULT).unwrap().unwrap();
    let known = ledger.decide_people(&[Some(cell(0..103)), Some(cell(0..3))], Threshold::DEFAULT).unwrap().unwrap();
    assert!(ledger.settled(&known) && !ledger.settled(&first));
    ledger.settle(&second).unwrap();
    assert!(ledger.settled(&first), "written with it");
    let path = folder.path().join("diabetes-1.cells");
    assert_eq!(std::fs::metadata(path).unwrap().len(), 16 + 3 * 270);
}

#[test]
fn many_at_once_agree_with_each_other_and_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let project: ProjectId = "diabetes".parse().unwrap();
    let ledgers = Ledgers::new(folder.path().to_owned());
    let answers: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let ask = |turn: u32| {
            let ledger = ledgers.of(&project, 1);
            move || (0..30_u32).map(|n| shown(&ledger, (n + turn) % 30 * 50..(n + turn) % 30 * 60 + 200)).collect()
        };
        let asked: Vec<_> = (0..4).map(|turn| scope.spawn(ask(turn * 7))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let again = Ledgers::new(folder.path().to_owned());
    drop(ledgers);
    again.read();
    let ledger = again.of(&project, 1);
    assert!(ledger.size().0 > 0, "read before it is needed");
    for (turn, shown_then) in (0_u32..).zip(&answers) {
        for (n, answer) in (0_u32..).zip(shown_then) {
            let at = (n + turn * 7) % 30;
            assert_eq!(shown(&ledger, at * 50..at * 60 + 200), *answer);
        }
    }
}

#[test]
fn the_ledgers_of_newest_keys_are_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two]: [ProjectId; 2] = ["heart-1", "heart"].map(|id| id.parse().unwrap());
    {
        let ledgers = Ledgers::new(folder.path().to_owned());
        for (project, epoch) in [(&one, 9), (&one, 10), (&two, 3)] {
            shown(&ledgers.of(project, epoch), 0..100);
        }
    }
    std::fs::write(folder.path().join("notes.txt"), "something else").unwrap();
    let ledgers = Ledgers::new(folder.path().to_owned());
    ledgers.read();
    let cells = |project, epoch| ledgers.of(project, epoch).size().0;
    assert_eq!((cells(&one, 9), cells(&one, 10), cells(&two, 3)), (0, 1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// In whatever order: the same people are shown the same for ever, and whoever has an answer of their own differs from all
    /// others who have one by more than nine.
    #[test]
    fn answers_never_tell_a_difference_of_few(
        asked in prop::collection::vec((0_u32..60, 0_u32..40, 5_u32..300), 1..40),
    ) {
        let ledger = Ledger::default();
        let kept = || ledger.size().0;
        let mut first: Vec<(BTreeSet<u32>, u64)> = Vec::new();
        let mut own_answer: Vec<BTreeSet<u32>> = Vec::new();
        for (from, skip, size) in asked {
            let people: BTreeSet<u32> = (from..from + size).filter(|person| person % 41 != skip).collect();
            let before = kept();
            let answer = shown(&ledger, people.iter().copied());
            if kept() > before {
                own_answer.push(people.clone());
            }
            first.push((people, answer));
        }
        for (people, before) in first.iter().rev() {
            prop_assert_eq!(shown(&ledger, people.iter().copied()), *before);
        }
        for (n, a) in own_answer.iter().enumerate() {
            for b in own_answer.iter().take(n) {
                prop_assert!(a.symmetric_difference(b).count() as u64 > NEAR);
            }
        }
    }
}
