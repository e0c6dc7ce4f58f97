#![allow(clippy::unwrap_used)]
use super::*;
use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt, stream};

fn batch(rows: i64, text: &str) -> RecordBatch {
    let fields = vec![Field::new("n", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows)),
        Arc::new(StringArray::from_iter((0..rows).map(|n| (n % 3 != 0).then_some(text)))),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn key(name: &str) -> Key {
    let mut facts = Facts::new();
    facts.add("name", name.as_bytes());
    facts.key()
}

fn place(results: &Arc<Results>, name: &str) -> Place {
    Place {
        results: Arc::clone(results),
        key: key(name),
        project: "diabetes".parse().unwrap(),
        ended: CancellationToken::new(),
    }
}

type Item = Result<RecordBatch, DataFusionError>;

/// Lets the rows pass, so many of them; whether they were kept.
async fn pass(place: Place, items: Vec<Item>, read: usize) {
    let schema = batch(0, "").schema();
    let rows = stream::iter(items).boxed();
    let rows = match Filling::new(place, &schema) {
        Some(filling) => collected(rows, filling),
        None => rows,
    };
    let _: Vec<Item> = rows.take(read).collect().await;
}

async fn whole(results: &Arc<Results>, name: &str, batch: &RecordBatch) {
    pass(place(results, name), vec![Ok(batch.clone())], usize::MAX).await;
}

#[tokio::test]
async fn an_answer_comes_again_as_it_was() {
    let results = Results::new(1 << 20).unwrap();
    assert!(place(&results, "a").find().is_none());
    let batches = [batch(700, "æøå"), batch(0, ""), batch(31, "")];
    pass(place(&results, "a"), batches.iter().cloned().map(Ok).collect(), usize::MAX).await;
    let kept = place(&results, "a").find().unwrap();
    let again: Vec<RecordBatch> = again(&kept).try_collect().await.unwrap();
    assert_eq!(again, batches);
    assert!(place(&results, "b").find().is_none());
    // Rows without columns are counted rows.
    let schema = Arc::new(Schema::empty());
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(12));
    let bare = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
    let filling = Filling::new(place(&results, "bare"), &schema).unwrap();
    let _: Vec<Item> = collected(stream::iter([Ok(bare)]).boxed(), filling).collect().await;
    let kept = place(&results, "bare").find().unwrap();
    let rows: Vec<RecordBatch> = super::again(&kept).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 12);
}

#[tokio::test]
async fn what_broke_or_was_not_read_to_its_end_or_ended_with_its_permit_is_not_kept() {
    let results = Results::new(1 << 20).unwrap();
    let rows = || Ok(batch(10, "x"));
    let broken = || Err(DataFusionError::Execution("no".to_owned()));
    pass(place(&results, "broken"), vec![rows(), broken()], usize::MAX).await;
    pass(place(&results, "left"), vec![rows(), rows()], 1).await;
    let over = place(&results, "over");
    over.ended.cancel();
    pass(over, vec![rows()], usize::MAX).await;
    assert_eq!(results.kept(), (0, 0));
    assert_eq!(results.lock().filling, 0);
    // What was kept in time goes with its permit.
    let later = place(&results, "later");
    let ended = later.ended.clone();
    pass(later, vec![rows()], usize::MAX).await;
    assert!(place(&results, "later").find().is_some());
    ended.cancel();
    assert!(place(&results, "later").find().is_none());
    assert_eq!(results.kept(), (0, 0));
}

#[tokio::test]
async fn memory_is_bounded_and_what_was_asked_for_longest_ago_goes_first() {
    let one = batch(1_000, "some text");
    let most = 1 << 20;
    let results = Results::new(most).unwrap();
    whole(&results, "first", &one).await;
    let (_, each) = results.kept();
    let room = most / each;
    for n in 0..room * 3 {
        whole(&results, &n.to_string(), &one).await;
        // Asked for again and again.
        assert!(place(&results, "first").find().is_some(), "{n}");
        let kept = results.lock();
        assert!(kept.bytes + kept.filling <= most, "{} and {}", kept.bytes, kept.filling);
        assert_eq!(kept.bytes, kept.answers.iter().map(|(_, answer)| answer.bytes()).sum::<usize>());
    }
    assert!(place(&results, "0").find().is_none());
    let (answers, _) = results.kept();
    assert!(answers > 2 && answers <= room, "{answers} of {room}");
    // More than its share: not kept, and nothing goes for it.
    let large = batch(20_000, "some text");
    whole(&results, "large", &large).await;
    assert!(place(&results, "large").find().is_none());
    assert!(place(&results, "first").find().is_some());
    assert_eq!(results.lock().filling, 0);
}

#[tokio::test]
async fn many_at_once_stay_within_the_bound() {
    let results = Results::new(1 << 20).unwrap();
    let schema = batch(0, "").schema();
    let part = batch(1_500, "some text");
    let mut open: Vec<_> = (0..64)
        .filter_map(|n| Filling::new(place(&results, &n.to_string()), &schema))
        .map(|filling| collected(stream::iter([Ok(part.clone()), Ok(part.clone())]).boxed(), filling))
        .collect();
    for rows in &mut open {
        rows.next().await.unwrap().unwrap();
        assert!(results.lock().filling <= 1 << 20);
    }
    let collecting = results.lock().filling;
    assert!(collecting > 1 << 19, "{collecting}");
    drop(open);
    assert_eq!(results.lock().filling, 0);
}

#[tokio::test]
async fn a_projects_answers_go_with_its_key_and_all_when_somebody_leaves() {
    let results = Results::new(1 << 20).unwrap();
    let other = Place { project: "cancer".parse().unwrap(), ..place(&results, "other") };
    pass(other, vec![Ok(batch(5, "x"))], usize::MAX).await;
    whole(&results, "own", &batch(5, "x")).await;
    results.forget(&"diabetes".parse().unwrap());
    assert!(place(&results, "own").find().is_none() && place(&results, "other").find().is_some());
    results.clear();
    assert_eq!(results.kept(), (0, 0));
    assert!(Results::new(0).is_none());
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    let of = |parts: &[(&str, &str)]| {
        let mut facts = Facts::new();
        parts.iter().for_each(|(name, value)| facts.add(name, value.as_bytes()));
        facts.key()
    };
    assert_eq!(of(&[("a", "b")]), of(&[("a", "b")]));
    assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
    assert_ne!(of(&[("a", "b"), ("c", "")]), of(&[("a", "bc")]));
    assert_ne!(of(&[("table", "x"), ("table", "y")]), of(&[("table", "y"), ("table", "x")]));
}
