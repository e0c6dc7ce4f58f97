#![allow(clippy::unwrap_used, clippy::panic)]
use super::{super::pace::Pace, *};
use crate::config::Compression as Configured;
use arrow::{
    array::{ArrayRef, AsArray, BinaryViewArray, DictionaryArray, Int64Array, LargeStringArray, StringViewArray},
    datatypes::{DataType, Int32Type},
    ipc,
};
use arrow_flight::{decode::FlightRecordBatchStream, error::FlightError};
use futures::TryStreamExt;
use proto::{refusal::Kind, wire::Compression};

fn numbers(rows: usize) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|n| n % 7)));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

/// The messages of an answer of these batches.
async fn sent(batches: Vec<RecordBatch>, configured: Configured, accepts: &[Compression]) -> Vec<FlightData> {
    let schema = batches[0].schema();
    let rows = futures::stream::iter(batches.into_iter().map(Ok));
    messages(&schema, rows, Pace::new(configured).of(accepts)).map(Result::unwrap).collect().await
}

async fn read(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let data = futures::stream::iter(messages.into_iter().map(Ok::<_, FlightError>));
    FlightRecordBatchStream::new_from_flight_data(data).try_collect().await.unwrap()
}

fn codec(message: &FlightData) -> Option<CompressionType> {
    let message = ipc::root_as_message(&message.data_header).unwrap();
    message.header_as_record_batch().unwrap().compression().map(|c| c.codec())
}

#[tokio::test]
async fn an_answer_is_compressed_as_configured_and_only_as_the_hub_reads_it() {
    let whole = numbers(200_000);
    let both = [Compression::Lz4, Compression::Zstd];
    for (configured, accepts, expected) in [
        (Configured::None, &both[..], None),
        (Configured::Lz4, &both[..], Some(CompressionType::LZ4_FRAME)),
        (Configured::Zstd, &both[..], Some(CompressionType::ZSTD)),
        (Configured::Zstd, &both[..1], None),
        (Configured::Lz4, &[], None),
    ] {
        let messages = sent(vec![whole.clone()], configured, accepts).await;
        assert_eq!(messages.len(), 3, "a schema, and two messages of less than 1 MiB each");
        assert!(messages[1..].iter().all(|message| codec(message) == expected), "{configured:?}");
        let bytes: usize = messages.iter().map(|message| message.data_body.len()).sum();
        assert_eq!(expected.is_some(), bytes < 400_000, "{bytes}");
        let rows = read(messages).await;
        assert_eq!(arrow::compute::concat_batches(&whole.schema(), &rows).unwrap(), whole);
    }
}

#[tokio::test]
async fn layouts_of_texts_leave_as_plain_texts() {
    let values = [Some("a"), None, Some("longer than a view holds by itself"), Some("a")];
    let columns: [ArrayRef; 3] = [
        Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(StringViewArray::from(values.to_vec())),
        Arc::new(LargeStringArray::from(values.to_vec())),
    ];
    let bytes: ArrayRef = Arc::new(BinaryViewArray::from_iter(values.map(|v| v.map(str::as_bytes))));
    let named = columns.into_iter().chain([bytes]).enumerate().map(|(n, column)| (format!("c{n}"), column));
    let batch = RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (name, column, true))).unwrap();
    let rows = read(sent(vec![batch], Configured::None, &[]).await).await;
    let types: Vec<_> = rows[0].schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Binary]);
    for column in &rows[0].columns()[..3] {
        assert_eq!(column.as_string::<i32>().iter().collect::<Vec<_>>(), values);
    }
}

#[tokio::test]
async fn an_empty_answer_has_a_schema_and_an_error_is_the_last_word() {
    let messages = sent(vec![RecordBatch::new_empty(numbers(1).schema())], Configured::Auto, &[]).await;
    assert_eq!(messages.len(), 1);
    let gone = || Err(Refusal::new(Kind::Denied, "over"));
    let rows = futures::stream::iter([Ok(numbers(1)), gone(), Ok(numbers(1))]);
    let pace = Pace::new(Configured::Auto).of(&[]);
    let said: Vec<_> = super::messages(&numbers(1).schema(), rows, pace).collect().await;
    assert!(matches!(said.as_slice(), [Ok(_), Ok(_), Err(Unsent::Ended(_))]), "{said:?}");
}

#[tokio::test]
async fn rows_without_columns_are_counted() {
    let options = RecordBatchOptions::new().with_row_count(Some(10));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let rows = read(sent(vec![batch], Configured::Lz4, &[Compression::Lz4]).await).await;
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
}

/// How the messages of 24 MiB were compressed when each takes its bytes' time over a link of `link` bytes a second.
async fn over(link: f64) -> Vec<Option<CompressionType>> {
    let batch = numbers(MESSAGE_BYTES / 8);
    let schema = batch.schema();
    let rows = futures::stream::iter((0..24).map(move |_| Ok(batch.clone())));
    let pace = Pace::new(Configured::Auto).of(&[Compression::Lz4, Compression::Zstd]);
    let mut answer = std::pin::pin!(messages(&schema, rows, pace));
    let mut seen = Vec::new();
    while let Some(message) = answer.next().await {
        let message = message.unwrap();
        if !message.data_body.is_empty() {
            seen.push(codec(&message));
            tokio::time::sleep(Duration::from_secs_f64(message.data_body.len() as f64 / link)).await;
        }
    }
    seen
}

#[tokio::test]
async fn a_slow_link_is_noticed_while_an_answer_is_on_its_way() {
    let slow = over(10e6).await;
    assert_eq!((slow.len(), slow[0]), (24, None), "nothing is known at first");
    assert!(slow[23].is_some(), "{slow:?}");
    // Nobody waits for this one.
    assert!(over(f64::INFINITY).await.iter().all(Option::is_none));
}
