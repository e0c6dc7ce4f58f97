//! What becomes of rows.

use super::*;
use arrow::{
    array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, TimestampNanosecondArray},
    datatypes::DataType,
};
use parquet::arrow::ArrowWriter;

const COLUMNS: &str = "[[column]]\nname = \"eksd\"\ntype = \"date\"\n[[column]]\nname = \"atc\"\ntype = \"text\"\ncodes = \"ATC\"\ndescription = { da = \"Lægemiddel\", en = \"Drug\" }\n[[column]]\nname = \"volume\"\ntype = \"float64\"\nunit = \"{DDD}\"\n[[column]]\nname = \"recnum\"\nrole = \"key\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_file_becomes_a_pseudonymised_table() {
    let spoke = Spoke::new();
    spoke.declare(
        "lmdb",
        "person",
        "event_date = \"eksd\"\n[description]\nda = \"Recepter\"\nen = \"Prescriptions\"\n",
        &format!("[[column]]\nname = \"pnr\"\nrole = \"person\"\nsource = \"CPR nr\"\n{COLUMNS}"),
    );
    // 1-byte æ, hyphenated, lost zero, quoted, missing person, extra column, Windows line ends
    spoke.file(
        "in/lmdb1.csv",
        b"CPR nr;EKSD;ATC;Volume;recnum;unused\r\n070761-4285;01-02-2020;\"A10BA02;\xE6\";1,5;k1;x\r\n707614285;02-02-2020;.;;k2;x\r\n;03-02-2020;C09;2;;x\r\n3112991231;03-02-2020;\"say \"\"hej\"\"\";-3,25;k1;x",
    );
    let summary = &spoke.ingest().await[0];
    assert_eq!(summary.rows_published, 4);
    assert_eq!((summary.person_numbers, summary.people, summary.missing_persons), (3, 2, 1));
    assert_eq!((summary.modulus_11_failures, summary.impossible_dates), (1, 0));
    assert_eq!((summary.new_evaluations, summary.cache_hits), (2, 1));
    let mut expected = vec![
        format!("{}|2020-02-01|A10BA02;æ|1.5|{}", hex(person(707_614_285)), hex(hashed(b"lmdb.recnum k1"))),
        format!("{}|2020-02-02|-|-|{}", hex(person(707_614_285)), hex(hashed(b"lmdb.recnum k2"))),
        format!("{}|2020-02-03|say \"hej\"|-3.25|{}", hex(person(3_112_991_231)), hex(hashed(b"lmdb.recnum k1"))),
    ];
    expected.sort();
    expected.push("-|2020-02-03|C09|2.0|-".to_owned());
    assert_eq!(spoke.rows("lmdb").await, expected);

    let snapshot = spoke.snapshot("lmdb").await.unwrap();
    assert_eq!((snapshot.version, snapshot.rows, snapshot.files.len()), (0, 4, 1));
    assert_eq!(snapshot.files[0].row_groups, 1);
    assert_eq!(snapshot.event_date.as_deref(), Some("eksd"));
    assert_eq!(snapshot.description.da, "Recepter");
    assert_eq!(snapshot.link_kid, "link-1");
    let field = |name: &str| snapshot.schema.field_with_name(name).unwrap().clone();
    assert_eq!(*field("pnr").data_type(), DataType::FixedSizeBinary(16));
    assert_eq!(field("pnr").metadata()["eger.role"], "person");
    assert_eq!(field("recnum").metadata()["eger.role"], "key");
    assert_eq!(field("atc").metadata()["eger.da"], "Lægemiddel");
    assert_eq!(field("volume").metadata()["eger.unit"], "{DDD}");
    assert_eq!(spoke.store().tables().await.unwrap(), ["lmdb".parse().unwrap()]);
    assert!(spoke.files("spill").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_person_number_is_in_any_file_that_stays() {
    let spoke = Spoke::new();
    spoke.people("lmdb", COLUMNS);
    spoke.file("in/lmdb.csv", "pnr;eksd;atc;volume;recnum\n0707614285;01-02-2020;A;1;k\n0101901234;60-02-2020;A;1;k\n");
    let options = IngestOptions { max_reject_share: Some(0.5), ..IngestOptions::default() };
    let summary = spoke.try_ingest(options).await.unwrap();
    assert_eq!(summary[0].rows_rejected, 1);
    for file in spoke.files("") {
        if file.starts_with("in/") {
            continue;
        }
        // The database's own journal may go while we look.
        let bytes = match std::fs::read(spoke.path(&file)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        for number in ["0707614285", "0101901234", "707614285", "101901234"] {
            assert!(!bytes.windows(number.len()).any(|window| window == number.as_bytes()), "{number} in {file}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_are_reported_without_their_values() {
    let spoke = Spoke::with("[ingest]\nmax_reject_share = 0.9\n");
    spoke.people("lmdb", COLUMNS);
    spoke.file(
        "in/lmdb.csv",
        "pnr;eksd;atc;volume;recnum\n0707614285;01-02-2020;A;1;k\nhemmelig;60-02-2020;\"a\nb\";1.5;k\n0707614285;01-02-2020;A;1\n0707614285;01-02-2020;A;x;k\n",
    );
    let summary = &spoke.ingest().await[0];
    assert_eq!((summary.rows_read, summary.rows_published, summary.rows_rejected), (4, 1, 3));
    let file = spoke.path("in/lmdb.csv").display().to_string();
    assert_eq!(
        spoke.rejects(),
        format!(
            "file,line,column,value,reason\n\
             {file},3,pnr,text of 8 characters,\"not a person number: expected ten digits, with or without a hyphen after the sixth\"\n\
             {file},3,eksd,date-like,a date that does not exist\n\
             {file},3,volume,number,\"not a number in the declared form (decimal comma or point, no thousands separators)\"\n\
             {file},5,,row of 4 fields,the header has 5 fields\n\
             {file},6,volume,text of 1 characters,\"not a number in the declared form (decimal comma or point, no thousands separators)\"\n"
        )
    );
    assert_eq!(summary.rejects.as_ref().unwrap().parent().unwrap(), spoke.path("rejects"));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rejects_publish_nothing() {
    let spoke = Spoke::new();
    spoke.people("lmdb", COLUMNS);
    spoke.file("in/lmdb.csv", "pnr;eksd;atc;volume;recnum\n0707614285;60-02-2020;A;1;k\n");
    let error = spoke.error().await;
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    assert!(text.starts_with("table 'lmdb': 1 of 1 rows were rejected, more than the 1% that [ingest] max_reject_share allows. Most often (1 times): column 'eksd': a date that does not exist. See "), "{text}");
    assert!(spoke.snapshot("lmdb").await.is_none());
    assert_eq!(spoke.files("data"), Vec::<String>::new());
}

/// Many rows, small memory: spilled runs, many pieces, several row groups.
#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_memory_come_out_sorted_and_complete() {
    let spoke = Spoke::with("[ingest]\nmemory = \"1MiB\"\nthreads = 3\n");
    spoke.people("many", "[[column]]\nname = \"n\"\ntype = \"int64\"\n[[column]]\nname = \"note\"\ntype = \"text\"\n");
    let mut text = String::from("pnr;n;note\n");
    let count = 150_000_u64;
    for n in 0..count {
        let number = 101_000_000 + (n * 7919) % 5_000;
        let person = if n % 50 == 0 { String::new() } else { format!("{number:010}") };
        let note = if n % 1000 == 0 { "\"first\nsecond; æ\"" } else { "plain" };
        text.push_str(&format!("{person};{n};{note}\n"));
    }
    spoke.file("in/many.csv", text);
    let summary = &spoke.ingest().await[0];
    assert_eq!(summary.rows_published, count);
    assert_eq!(summary.missing_persons, count / 50);
    // the hundred numbers of rows without a person have no other rows
    assert_eq!(summary.people, 4_900);
    let batches = spoke.batches("many").await;
    assert!(sorted_by_person(&batches));
    let mut numbers: Vec<i64> = Vec::new();
    for batch in &batches {
        let n = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
        let people = batch.column(0).as_any().downcast_ref::<arrow::array::FixedSizeBinaryArray>().unwrap();
        for row in 0..batch.num_rows() {
            let number = 101_000_000 + (n.value(row) as u64 * 7919) % 5_000;
            if n.value(row) % 50 == 0 {
                assert!(people.is_null(row));
            } else {
                assert_eq!(people.value(row), person(number));
            }
        }
        numbers.extend(n.values());
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..count as i64));
    let snapshot = spoke.snapshot("many").await.unwrap();
    assert_eq!(snapshot.files[0].row_groups, 3);
    assert!(spoke.files("spill").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_through_the_parent() {
    let spoke = Spoke::new();
    spoke.people("kontakt", "[[column]]\nname = \"id\"\nrole = \"key\"\n");
    spoke.declare(
        "diagnose",
        "person_via",
        "[person_via]\ntable = \"kontakt\"\nkey = \"id\"\n",
        "[[column]]\nname = \"id\"\nrole = \"key\"\n[[column]]\nname = \"kode\"\ntype = \"text\"\n",
    );
    spoke.file("in/kontakt.csv", "pnr;id\n0707614285;1\n3112991231;2\n;3\n0707614285;4\n3112991231;4\n");
    spoke.file("in/diagnose.csv", "id;kode\n1;DE11\n2;DE10\n9;DX\n3;DN\n;DT\n1;DI\n4;DM\n");
    let summaries = spoke.ingest().await;
    let summary = &summaries[1];
    assert_eq!(summary.table, "diagnose");
    assert_eq!(
        (summary.rows_published, summary.rows_without_parent, summary.ambiguous_keys, summary.people),
        (7, 2, 1, 2)
    );
    let found = |kode: &str, rows: &[String]| {
        rows.iter().find(|row| row.ends_with(&format!("|{kode}"))).unwrap().split('|').next().unwrap().to_owned()
    };
    let rows = spoke.rows("diagnose").await;
    assert_eq!(found("DE11", &rows), hex(person(707_614_285)));
    assert_eq!(found("DI", &rows), hex(person(707_614_285)));
    assert_eq!(found("DE10", &rows), hex(person(3_112_991_231)));
    for kode in ["DX", "DN", "DT", "DM"] {
        assert_eq!(found(kode, &rows), "-", "{kode}");
    }
    assert!(sorted_by_person(&spoke.batches("diagnose").await));
    // the child's key matches the parent's: it took its domain
    assert!(rows.iter().any(|row| row.contains(&hex(hashed(b"kontakt.id 1")))));

    // a changed parent is new input for the child
    let again = spoke.ingest().await;
    assert!(again.iter().all(|summary| summary.outcome == super::super::Outcome::NothingNew));
    spoke.file("in/kontakt.csv", "pnr;id\n0707614285;1\n3112991231;2\n0707614285;9\n");
    let third = spoke.ingest().await;
    assert_eq!(third[1].outcome, super::super::Outcome::Published);
    assert_eq!(found("DX", &spoke.rows("diagnose").await), hex(person(707_614_285)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_waits_for_its_parent() {
    let spoke = Spoke::new();
    spoke.people("kontakt", "[[column]]\nname = \"id\"\nrole = \"key\"\n");
    spoke.declare(
        "diagnose",
        "person_via",
        "[person_via]\ntable = \"kontakt\"\nkey = \"id\"\n",
        "[[column]]\nname = \"id\"\nrole = \"key\"\n",
    );
    spoke.file("in/diagnose.csv", "id\n1\n");
    let options = IngestOptions { tables: vec!["diagnose".parse().unwrap()], ..IngestOptions::default() };
    let error = spoke.try_ingest(options).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "table 'diagnose' finds its people through 'kontakt', which is not published yet. Ingest 'kontakt' first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_table_needs_no_custodian_and_keeps_its_order() {
    let spoke = Spoke::new();
    spoke.declare("koder", "reference", "", "[[column]]\nname = \"kode\"\ntype = \"text\"\n[[column]]\nname = \"tal\"\ntype = \"decimal(6,2)\"\n[[column]]\nname = \"aktiv\"\ntype = \"boolean\"\n[[column]]\nname = \"fra\"\ntype = \"timestamp\"\ndate = \"date9\"\n");
    spoke.file("in/koder.csv", "kode;tal;aktiv;fra\nb;1,5;ja;01JAN2020:12:30:00\na;-20;nej;.\n");
    let summary = &spoke.ingest().await[0];
    assert_eq!(summary.people, 0);
    assert_eq!(spoke.rows("koder").await, ["b|1.50|true|2020-01-01T12:30:00", "a|-20.00|false|-"]);
    assert_eq!(spoke.snapshot("koder").await.unwrap().link_kid, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_sources_mean_the_same_as_csv() {
    let spoke = Spoke::with("[ingest]\nmax_reject_share = 0.5\n");
    spoke.file(
        "tables/lab.toml",
        "name = \"lab\"\nrole = \"person\"\n[source]\npath = \"in/lab.parquet\"\nformat = \"parquet\"\n[[column]]\nname = \"pnr\"\nsource = \"PNR\"\nrole = \"person\"\n[[column]]\nname = \"day\"\ntype = \"date\"\n[[column]]\nname = \"at\"\ntype = \"timestamp\"\n[[column]]\nname = \"value\"\ntype = \"float64\"\n[[column]]\nname = \"code\"\ntype = \"text\"\n[[column]]\nname = \"n\"\ntype = \"int32\"\n",
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("PNR", Arc::new(Int64Array::from(vec![Some(707_614_285), None, Some(3_112_991_231), Some(5)]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 3]))),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000, 0, 0, 0]))),
        ("value", Arc::new(Float64Array::from(vec![1.5, f64::NAN, 2.0, 1.0]))),
        ("code", Arc::new(StringArray::from(vec!["a;b", "c", "", "d"]))),
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("unused", Arc::new(StringArray::from(vec!["x"; 4]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    spoke.file("in/lab.parquet", &bytes);
    let summary = &spoke.ingest().await[0];
    assert_eq!((summary.rows_read, summary.rows_rejected), (4, 2));
    let mut expected = vec![
        format!("{}|1970-01-01|1970-01-01T00:00:01.500|1.5|a;b|1", hex(person(707_614_285))),
        format!("{}|1970-01-03|1970-01-01T00:00:00|2.0|-|3", hex(person(3_112_991_231))),
    ];
    expected.sort();
    assert_eq!(spoke.rows("lab").await, expected);
    assert!(spoke.rejects().contains(",2,value,text of 3 characters,"), "{}", spoke.rejects());
    assert!(spoke.rejects().contains(",4,pnr,number of 1 digits,"), "{}", spoke.rejects());
    assert_eq!(spoke.ingest().await[0].outcome, super::super::Outcome::NothingNew);
}

#[tokio::test(flavor = "multi_thread")]
async fn person_numbers_in_other_columns_are_refused() {
    for (kind, declared) in
        [("role = \"key\"", "a key"), ("type = \"text\"", "a value"), ("type = \"int64\"", "a value")]
    {
        let spoke = Spoke::new();
        spoke.people("t", &format!("[[column]]\nname = \"mor\"\n{kind}\n"));
        spoke.file(
            "in/t.csv",
            "pnr;mor\n0707614285;0707614285\n0707614285;3112991231\n3112991231;1201803456\n3112991231;99\n",
        );
        let error = spoke.error().await;
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            format!(
                "table 't', column 'mor': 75% of its values have the form of person numbers, but it is declared as {declared}. Declare it with role = \"person\", or leave the column out; nothing was published"
            )
        );
        assert!(spoke.snapshot("t").await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_and_delimiter_gives_the_same_rows() {
    let text = "navn;værdi\næble;1,5\nøl €;2,5\n";
    let windows = encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
    let latin = encoding_rs::WINDOWS_1252.encode(&text.replace(" €", "")).0.into_owned();
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("utf-8", text.as_bytes().to_vec(), true),
        ("auto", text.as_bytes().to_vec(), true),
        ("auto", [b"\xEF\xBB\xBF", text.as_bytes()].concat(), true),
        ("windows-1252", [b"\xEF\xBB\xBF", text.as_bytes()].concat(), true),
        ("windows-1252", windows.clone(), true),
        ("auto", windows, true),
        ("iso-8859-1", latin, false),
        ("auto", text.replace(';', "\t").into_bytes(), true),
        ("auto", text.replace(';', "|").replace('\n', "\r").into_bytes(), true),
    ];
    for (encoding, bytes, euro) in cases {
        let spoke = Spoke::new();
        spoke.file(
            "tables/t.toml",
            format!("name = \"t\"\nrole = \"reference\"\n[source]\npath = \"in/t.csv\"\nformat = \"csv\"\nencoding = \"{encoding}\"\n[[column]]\nname = \"navn\"\ntype = \"text\"\n[[column]]\nname = \"vaerdi\"\nsource = \"Værdi\"\ntype = \"float64\"\n"),
        );
        spoke.file("in/t.csv", &bytes);
        spoke.ingest().await;
        let second = if euro { "øl €|2.5" } else { "øl|2.5" };
        assert_eq!(spoke.rows("t").await, ["æble|1.5", second], "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_header_is_read_by_position() {
    let spoke = Spoke::new();
    spoke.declare(
        "t",
        "reference",
        "",
        "header = false\n[[column]]\nname = \"a\"\ntype = \"text\"\n[[column]]\nname = \"b\"\ntype = \"int32\"\n",
    );
    spoke.file("in/t.csv", "x;1\ny;2\n");
    spoke.ingest().await;
    assert_eq!(spoke.rows("t").await, ["x|1", "y|2"]);
    spoke.file("in/t.csv", "x;1;3\n");
    let error = spoke.error().await.to_string();
    assert!(error.contains("line 1: has 3 fields where 2 columns are declared"), "{error}");
}
