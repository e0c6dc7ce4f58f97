//! Malformed sources: each gets its own message, none panics, none publishes half.

use super::*;

/// One good table of people; what its file holds is up to the test.
fn spoke(content: impl AsRef<[u8]>) -> Spoke {
    let spoke = Spoke::new();
    spoke.people("t", "[[column]]\nname = \"d\"\ntype = \"date\"\n[[column]]\nname = \"x\"\ntype = \"text\"\n");
    spoke.file("in/t.csv", content);
    spoke
}

/// The error, without the path of the test's folder; nothing may have been published.
async fn refused(spoke: &Spoke, code: u8) -> String {
    let error = spoke.error().await;
    assert_eq!(error.exit_code(), code, "{error}");
    assert!(spoke.snapshot("t").await.is_none(), "published after: {error}");
    assert!(spoke.files("data").is_empty(), "left: {:?}", spoke.files("data"));
    assert!(spoke.files("spill").is_empty(), "left: {:?}", spoke.files("spill"));
    error.to_string().replace(&format!("{}/", spoke.path("").display()).replace("//", "/"), "")
}

async fn says(content: impl AsRef<[u8]>, message: &str) {
    assert_eq!(refused(&spoke(content), 4).await, message);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_in_a_row() {
    says(
        "pnr;d;x\n0707614285;01-01-2020;a\n0707614285;01-",
        "in/t.csv, line 3: the file ends in the middle of a row (2 of 3 fields, no line end). Was it copied completely?",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_in_a_quoted_field() {
    says(
        "pnr;d;x\n0707614285;01-01-2020;\"a\nb;c\n",
        "in/t.csv, line 2: a quote is opened there and the file ends before it is closed. Was the file copied completely?",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_delimiter() {
    says(
        "pnr,d,x\n0707614285,01-01-2020,a\n",
        "in/t.csv, line 1: column 'pnr' is declared but not in the header (1 fields, none of them declared). The delimiter is declared as \";\" but seems to be \",\": correct source.delimiter, or write \"auto\"",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_delimiter_to_be_found() {
    let spoke = spoke("pnr:d:x\n0707614285:01-01-2020:a\n");
    let declaration = std::fs::read_to_string(spoke.path("tables/t.toml")).unwrap();
    spoke.file("tables/t.toml", declaration.replace("delimiter = \";\"", "delimiter = \"auto\""));
    assert_eq!(
        refused(&spoke, 4).await,
        "in/t.csv, line 1: none of ; , tab | separates the declared columns. Write source.delimiter, or check the columns' source names"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_encoding() {
    let spoke = spoke(b"pnr;d;x\n0707614285;01-01-2020;a\n0707614285;01-01-2020;\xE6\n");
    let declaration = std::fs::read_to_string(spoke.path("tables/t.toml")).unwrap();
    spoke.file(
        "tables/t.toml",
        declaration.replace("[[column]]\nname = \"pnr\"", "encoding = \"utf-8\"\n[[column]]\nname = \"pnr\""),
    );
    assert_eq!(
        refused(&spoke, 4).await,
        "in/t.csv, line 3: byte 0xE6 does not exist in UTF-8. Is the file Windows-1252? Then declare encoding = \"windows-1252\""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_encoding_of_utf_16() {
    let text: Vec<u8> = "\u{FEFF}pnr;d;x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    says(text, "in/t.csv: is written in UTF-16. Save it as UTF-8 (in Excel: \"CSV UTF-8\")").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_column_count_is_rejected_row_by_row() {
    let spoke = spoke("pnr;d;x\n0707614285;01-01-2020;a;b\n0707614285;01-01-2020\n");
    let error = refused(&spoke, 3).await;
    assert!(error.starts_with("table 't': 2 of 2 rows were rejected"), "{error}");
    assert!(error.contains("Most often (2 times): the header has 3 fields."), "{error}");
    assert!(spoke.rejects().contains("t.csv,2,,row of 4 fields,the header has 3 fields"), "{}", spoke.rejects());
    assert!(spoke.rejects().contains("t.csv,3,,row of 2 fields,the header has 3 fields"), "{}", spoke.rejects());
}

#[tokio::test(flavor = "multi_thread")]
async fn sixtieth_of_february() {
    let spoke = spoke("pnr;d;x\n0707614285;60-02-2020;a\n");
    let error = refused(&spoke, 3).await;
    assert!(error.contains("column 'd': a date that does not exist"), "{error}");
    assert!(spoke.rejects().contains("t.csv,2,d,date-like,a date that does not exist"), "{}", spoke.rejects());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_never_ends() {
    let mut text = b"pnr;d;x\n0707614285;01-01-2020;\"".to_vec();
    text.resize(9 << 20, b'x');
    says(
        text,
        "in/t.csv, line 2: a field is longer than 1 MiB. Is a quote opened there and never closed, or is the delimiter another one?",
    )
    .await;
    let mut text = b"pnr;d;x\n0707614285;01-01-2020;".to_vec();
    text.resize(3 << 20, b'x');
    says(
        text,
        "in/t.csv, line 2: a field is longer than 1 MiB. Is a quote opened there and never closed, or is the delimiter another one?",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_never_ends() {
    let mut text = b"pnr;d;x\n0707614285;01-01-2020;".to_vec();
    text.resize(20 << 20, b';');
    says(text, "in/t.csv, line 2: a row is longer than 16 MiB. Is the file text with line ends?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_files() {
    says("", "in/t.csv: is empty, without even a header line. Was it copied completely?").await;
    says("\n \r\n", "in/t.csv: is empty, without even a header line. Was it copied completely?").await;
    says(b"\xEF\xBB\xBF", "in/t.csv: is empty, without even a header line. Was it copied completely?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_header() {
    says(
        "pnr;d;x;PNR\n",
        "in/t.csv, line 1: column 'PNR' stands twice in the header. Rename one of them at the source",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_column() {
    says(
        "pnr;x;y\n",
        "in/t.csv, line 1: column 'd' is declared but not in the header (pnr, x, y). Give the name in the header as source = \"...\" of the column",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_table() {
    let spoke = spoke("pnr;d;x\n");
    let options = IngestOptions { tables: vec!["lmbd".parse().unwrap()], ..IngestOptions::default() };
    let error = spoke.try_ingest(options).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(error.to_string(), "there is no table 'lmbd': declared are t. Declare it in tables/lmbd.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_files() {
    for (start, message) in [
        (&b"PAR1xxxx"[..], "in/t.csv: is a Parquet file, not CSV text. Declare source.format = \"parquet\""),
        (b"\x1F\x8Bxxxx", "in/t.csv: is compressed, not CSV text. Unpack it first"),
        (
            b"PK\x03\x04xx",
            "in/t.csv: is a ZIP archive or an Excel workbook, not CSV text. Save it as CSV, or unpack it first",
        ),
        (b"abc\x00\x01", "in/t.csv: is a binary file, not CSV text. Check source.path and source.format"),
    ] {
        says(start, message).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_parquet() {
    let text = "name = \"t\"\nrole = \"reference\"\n[source]\npath = \"in/t.parquet\"\nformat = \"parquet\"\n[[column]]\nname = \"a\"\ntype = \"text\"\n";
    let spoke = Spoke::new();
    spoke.file("tables/t.toml", text);
    spoke.file("in/t.parquet", "a;b\n1;2\n");
    assert_eq!(
        refused(&spoke, 4).await,
        "in/t.parquet: is something else, not a Parquet file. Check source.path and source.format"
    );
    spoke.file("in/t.parquet", b"PAR1 and then it was cut off");
    let error = refused(&spoke, 4).await;
    assert!(error.starts_with("in/t.parquet: can't be read as Parquet: "), "{error}");
    assert!(error.ends_with("Was it copied completely?"), "{error}");
    spoke.file("in/t.parquet", "");
    assert!(refused(&spoke, 4).await.contains("is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_of_another_type() {
    let spoke = Spoke::new();
    spoke.file("tables/t.toml", "name = \"t\"\nrole = \"reference\"\n[source]\npath = \"in/t.parquet\"\nformat = \"parquet\"\n[[column]]\nname = \"a\"\ntype = \"date\"\n");
    let array: arrow::array::ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0]));
    let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    spoke.file("in/t.parquet", bytes);
    assert_eq!(
        refused(&spoke, 4).await,
        "in/t.parquet: column 'a' has type Float64, which can't become the declared date"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file() {
    let spoke = spoke("x");
    std::fs::remove_file(spoke.path("in/t.csv")).unwrap();
    assert_eq!(refused(&spoke, 4).await, "source.path = \"in/t*.csv\": no file is there under this path");
    // a link to nowhere is listed but can't be opened; permissions do not stop root
    let declaration = std::fs::read_to_string(spoke.path("tables/t.toml")).unwrap();
    spoke.file("tables/t.toml", declaration.replace("in/t*.csv", "in/t.csv"));
    std::os::unix::fs::symlink(spoke.path("in/nowhere.csv"), spoke.path("in/t.csv")).unwrap();
    let error = refused(&spoke, 4).await;
    assert!(error.contains("in/t.csv: can't be read: No such file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_custodian_refuses() {
    let mut spoke = spoke("pnr;d;x\n0707614285;01-01-2020;a\n");
    spoke.pseudonyms.refuse = true;
    let error = refused(&spoke, 5).await;
    assert_eq!(
        error,
        "table 't': custodian national refused: quota. Nothing was published; what the custodian answered so far is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_file_leaves_the_previous_snapshot() {
    let spoke = spoke("pnr;d;x\n0707614285;01-01-2020;a\n");
    spoke.ingest().await;
    let before = (spoke.rows("t").await, spoke.files("data"));
    for text in ["", "pnr;d;x\n0707614285;01-01-2020;\"a", "pnr;d\n", "pnr;d;x\n0707614285;60-02-2020;a\n"] {
        spoke.file("in/t.csv", text);
        spoke.error().await;
        assert_eq!((spoke.rows("t").await, spoke.files("data")), before);
    }
}

/// Bytes that mean something to one part of the reading or another.
const TOKENS: [&[u8]; 16] = [
    b"pnr;d;x\n",
    b"0707614285",
    b"01-01-2020",
    b";",
    b"\"",
    b"\"\"",
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b" ",
    b"\xE6",
    "\u{E6}".as_bytes(),
    b"\xFF",
    b"\0",
    b"\x1A",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    /// Whatever the bytes: rows or an error about the source, never a fault of the program.
    #[test]
    fn no_bytes_break_the_program(tokens in proptest::collection::vec(0..TOKENS.len(), 0..40), header: bool) {
        let mut text = if header { b"pnr;d;x\n".to_vec() } else { Vec::new() };
        for token in tokens {
            text.extend_from_slice(TOKENS[token]);
        }
        let spoke = spoke(&text);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = IngestOptions { max_reject_share: Some(1.0), ..IngestOptions::default() };
        match runtime.block_on(spoke.try_ingest(options)) {
            Ok(summaries) => {
                let summary = &summaries[0];
                assert_eq!(summary.rows_read, summary.rows_published + summary.rows_rejected);
                assert_eq!(runtime.block_on(spoke.rows("t")).len() as u64, summary.rows_published);
            }
            Err(error) => assert!(matches!(error.exit_code(), 2 | 4), "{error}"),
        }
    }
}
