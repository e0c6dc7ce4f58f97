//! Two ledgers over the same people: a spoke that checks its own cells remembers those, the hub remembers the cells that it makes, and nobody
//! compares the two. This says what that tells, so that it is noticed when it changes.

use crate::{
    checked::hashed,
    house::{ANNA, Build, people},
    spoke::Spoke,
};
use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Field, Int64Type, Schema},
};
use policies::zone::Zone;
use proto::schema;
use std::{collections::BTreeMap, sync::Arc};

const GROUPS: i64 = 120;
const EACH: i64 = 40;

/// People of these groups. `lacks`: without the first one of every other group.
fn groups(lacks: bool) -> Vec<RecordBatch> {
    let person = [(schema::ROLE.to_owned(), schema::PERSON.to_owned())].into();
    let schema = Arc::new(Schema::new(vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("gruppe", DataType::Int64, true),
    ]));
    let of = |group: i64| {
        let first = i64::from(lacks && lacking(group));
        let all = group * EACH + first..(group + 1) * EACH;
        let group = Int64Array::from_iter_values(all.clone().map(|_| group));
        let columns: Vec<ArrayRef> = vec![people(all), Arc::new(group)];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let batches: Vec<RecordBatch> = (0..GROUPS).map(of).collect();
    hashed(vec![concat_batches(&schema, &batches).unwrap()])
}

fn lacking(group: i64) -> bool {
    group % 2 == 0
}

/// The groups whose shown counts differ: those in which one person is missing, and the others.
async fn told(checks: bool) -> [usize; 2] {
    let sds = Spoke::new("sds").offer("diabetes", "alle", groups(false));
    let region = Spoke::new("region-h").offer("diabetes", "alle", groups(true));
    if checks {
        region.checks(5);
    }
    let house = Build::new().spoke(&sds).await.spoke(&region).await.start(&[("diabetes", &[ANNA])]).await;
    let mut anna = house.client(ANNA, Zone::Open).await;
    let mut shown = Vec::new();
    for controller in ["sds", "region-h"] {
        let sql = format!("SELECT gruppe, count(DISTINCT pnr) AS n FROM \"{controller}\".alle GROUP BY gruppe");
        let mut counts = BTreeMap::new();
        for batch in anna.sql(&sql).await.unwrap() {
            let [group, n] = [0, 1].map(|at: usize| batch.column(at).as_primitive::<Int64Type>().clone());
            counts.extend(group.iter().zip(&n).filter_map(|(group, n)| Some((group?, n?))));
        }
        assert_eq!(counts.len() as i64, GROUPS);
        shown.push(counts);
    }
    [true, false].map(|lacks| {
        let of = |(group, n): &(&i64, &i64)| lacking(**group) == lacks && shown[1][*group] != **n;
        shown[0].iter().filter(of).count()
    })
}

/// Learns: that somebody whom one controller has isn't at the other, for four groups in five, by two statements; not who, nor anything of
/// them, unless one knows all others. Off (both in the hub's ledger): nothing.
#[tokio::test(flavor = "multi_thread")]
async fn attack_two_ledgers_over_the_same_people_tell_that_one_is_missing() {
    let [missing, same] = told(true).await;
    let pairs = usize::try_from(GROUPS / 2).unwrap();
    println!(
        "the spoke's ledger and the hub's aren't compared: of {pairs} groups in which one person is missing at the spoke, {missing} are shown as \
         other numbers; of {pairs} of the same people, {same}"
    );
    assert_eq!(same, 0, "the same people have the same noise in both");
    assert!(missing * 2 > pairs && missing < pairs, "{missing}");
    assert_eq!(told(false).await, [0, 0], "in one ledger both are answered alike");
}
