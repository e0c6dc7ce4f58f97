#![allow(clippy::unwrap_used)]
use super::*;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use policies::disclosure::SUPPRESSED;
use std::sync::Arc;

fn answer() -> Vec<RecordBatch> {
    let kom: ArrayRef = Arc::new(StringArray::from(vec![Some("101"), Some("147"), None]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(120), Some(45), None]));
    let mean: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, None]));
    let status: ArrayRef =
        Arc::new(StringArray::from(vec!["released", "suppressed: fewer than 5 people in mean", SUPPRESSED]));
    let columns = [("kom", kom), ("n", n), ("mean", mean), (STATUS_COLUMN, status)];
    vec![RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()]
}

fn compared(text: &str) -> bool {
    same(&table::read(Kind::Csv, text.as_bytes()).unwrap(), &released(&answer()).unwrap())
}

#[test]
fn the_platforms_own_writing_leaves_and_no_other() {
    let text = written(&released(&answer()).unwrap()).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "kom,n,mean\n101,120,1.5\n147,45,\n");
    // Nothing was released: a table of names alone could say anything.
    assert_eq!(released(&[]), Err(Differs::Nothing));
    assert_eq!(released(&[answer()[0].slice(2, 1)]), Err(Differs::Nothing));
    assert_eq!(released(&[answer()[0].project(&[0, 1]).unwrap()]), Err(Differs::Unreadable));
}

/// Also under a threshold that a permit has raised, and where a statement has no groups.
#[test]
fn the_row_of_small_groups_and_rows_that_say_nothing_stay() {
    let of = |kom: Option<&str>, n: Option<i64>, status: &str| {
        let kom: ArrayRef = Arc::new(StringArray::from(vec![Some("101"), kom]));
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(120), n]));
        let status: ArrayRef = Arc::new(StringArray::from(vec!["perturbed", status]));
        let columns = [("kom", kom), ("n", n), (STATUS_COLUMN, status)];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    };
    let one = "kom,n\n101,120\n";
    for (row, text) in [
        (of(None, None, "suppressed: fewer than 10 people"), one),
        (of(Some("all"), None, "suppressed: fewer than 10 people"), one),
        (of(None, None, "suppressed: dominated by two people"), one),
        (of(None, Some(45), "perturbed"), "kom,n\n,45\n101,120\n"),
        (of(Some("147"), None, "suppressed: everybody or nobody in the group"), "kom,n\n101,120\n147,\n"),
    ] {
        let written = written(&released(std::slice::from_ref(&row)).unwrap()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), text);
        let alone = released(&[row.slice(1, 1)]);
        assert_eq!(alone.err(), (text == one).then_some(Differs::Nothing));
    }
}

#[test]
fn the_same_cells_in_any_order_are_the_same() {
    assert!(compared("kom,n,mean\n101,120,1.5\n147,45,\n"));
    assert!(compared("n,mean,kom\n45,,147\n120,1.50,101\n,,\n"));
}

#[test]
fn attack_a_table_that_differs_in_one_cell_does_not_leave_at_once() {
    for text in [
        "kom,n,mean\n101,121,1.5\n147,45,\n",
        // The cell that the platform doesn't show.
        "kom,n,mean\n101,120,1.5\n147,45,2.5\n",
        // A group that it doesn't show, one too few, one twice.
        "kom,n,mean\n101,120,1.5\n147,45,\n151,3,\n",
        "kom,n,mean\n101,120,1.5\n",
        "kom,n,mean\n101,120,1.5\n101,120,1.5\n",
        "kom,n\n101,120\n147,45\n",
        "kom,n,mean,more\n101,120,1.5,x\n",
        "kom,n,median\n101,120,1.5\n",
        "kom,n,mean,release_status\n101,120,1.5,released\n147,45,,released\n",
    ] {
        assert!(!compared(text), "{text}");
    }
}
