#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
//! Files of every kind, broken in thousands of ways: the checks end soon and never panic, whatever is in them. `tests/fuzz` has the
//! same as a target for a fuzzer; `EGER_MUTATIONS=1000000` asks for more here.

use super::*;
use crate::airlock::kind::NoKind;
use arrow::{
    array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray},
    datatypes::{Field, Schema},
};
use datafusion::parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use policies::airlock::{FileForm, Form};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// One file may take so long, in a test's build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Words that mean something to a reader.
const WORDS: [&[u8]; 22] = [
    b"total",
    b"<5",
    b"*",
    b"NA",
    b"-1",
    b"1e308",
    b"nan",
    b"\"",
    b"\n",
    b"\r\n",
    b",",
    b";",
    b"\t",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"<![CDATA[",
    b"&#x41;",
    b"PAR1",
    b"[[[[",
    b"9223372036854775807",
];

/// Numbers that follow from a first one (SplitMix64).
pub(in crate::airlock) struct Chance(pub(in crate::airlock) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

fn parquet(compression: Compression) -> Vec<u8> {
    let columns: [(&str, ArrayRef); 5] = [
        ("kom", Arc::new(StringArray::from_iter_values((0..60).map(|n| format!("k{}", n % 7))))),
        ("day", Arc::new(Date32Array::from_iter_values(0..60))),
        ("at", Arc::new(TimestampMillisecondArray::from_iter((0..60).map(|n| (n % 3 > 0).then_some(n))))),
        ("n", Arc::new(Int64Array::from_iter((0..60).map(|n| (n % 5 > 0).then_some(n * 3))))),
        ("cost", Arc::new(Int64Array::from_iter_values(0..60))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, of)| Field::new(*name, of.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.map(|(_, column)| column).into()).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn png() -> Vec<u8> {
    png::tests::picture(&[png::tests::chunk(b"tEXt", b"Software\0x")], b"")
}

/// A file of each kind, with how its name ends.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let csv =
        "kom,koen,n,cost\n101,1,12,100\n101,2,,90\n101,total,33,190\n147,1,20,80\n147,2,<5,70\ntotal,total,44,9e9\n";
    let svg = "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"><!-- a --><metadata>m</metadata><style>g{fill:url(#a)}</style>\
               <g style=\"fill:none\" onclick=\"&#106;s\"><image href=\"data:image/png;base64,AAAA\"/><text>n</text></g></svg>";
    let book =
        "{\"nbformat\": 4, \"cells\": [{\"id\": \"67e55044-10b1-426f-9247-bb680e5fe0c8\", \"source\": [\"x\\n\"]}]}";
    vec![
        ("csv", text(csv)),
        ("csv", text(&csv.replace(',', ";"))),
        ("json", text("[{\"kom\": 101, \"n\": 12, \"cost\": 1.5}, {\"kom\": \"total\", \"n\": null, \"cost\": true}]")),
        ("parquet", parquet(Compression::UNCOMPRESSED)),
        ("parquet", parquet(Compression::SNAPPY)),
        ("png", png()),
        ("svg", text(svg)),
        ("pdf", text("%PDF-1.7\n1 0 obj << /ID [<5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a>] >>\nstream\n010101-1234\n")),
        ("txt", text("We saw 12 of them.\n\u{e6}\u{f8}\u{e5} 0101011234\n")),
        ("ipynb", text(book)),
    ]
}

/// `seed` with up to five things wrong; parts of `other` may be in it.
pub(in crate::airlock) fn broken(chance: &mut Chance, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len().max(1)).min(bytes.len());
        let to = (at + chance.below(40)).min(bytes.len());
        match chance.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            2 => drop(bytes.splice(at..at, WORDS[chance.below(WORDS.len())].iter().copied())),
            3 => drop(bytes.splice(at..to, WORDS[chance.below(WORDS.len())].iter().copied())),
            4 => drop(bytes.drain(at..to)),
            5 => {
                let part = bytes[at..to].to_vec();
                for _ in 0..chance.below(50) {
                    bytes.splice(at..at, part.iter().copied());
                }
            }
            6 => {
                let from = chance.below(other.len());
                let end = (from + chance.below(60)).min(other.len());
                bytes.splice(at..to, other[from..end].iter().copied());
            }
            // From the end, where Parquet and ZIP keep what they are about.
            _ => {
                let back = bytes.len().saturating_sub(1 + chance.below(64));
                if let Some(byte) = bytes.get_mut(back) {
                    *byte = u8::try_from(chance.below(256)).unwrap();
                }
            }
        }
    }
    bytes
}

fn submission(ending: &str) -> Submission {
    let file = |name: &str| FileForm {
        name: format!("{name}.{ending}"),
        description: "people".to_owned(),
        population: "all".to_owned(),
        counts: "column n".to_owned(),
        ..FileForm::default()
    };
    let table = ["csv", "json", "parquet"].contains(&ending);
    let mut first = file("a");
    if table {
        (first.count_columns, first.sum_columns) = (vec!["n".to_owned()], vec!["cost".to_owned()]);
        first.contributions = Some(format!("b.{ending}"));
    }
    let second = FileForm { count_columns: first.count_columns.clone(), ..file("b") };
    let form = Form { project: "p".to_owned(), title: "t".to_owned(), earlier: None, files: vec![first, second] };
    form.check().unwrap()
}

/// How many broken files, from which on.
pub(in crate::airlock) fn cases() -> std::ops::Range<u64> {
    let set = |name: &str, otherwise: u64| std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap());
    let first = set("EGER_SEED", 0);
    first..first + set("EGER_MUTATIONS", 4_000)
}

/// Names the file that broke something.
struct Case(u64, &'static str);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken file {} of kind {}", self.0, self.1);
        }
    }
}

#[test]
fn attack_no_broken_file_of_any_kind_stops_the_checks() {
    let (all, number) = (cases(), cases().count() as u64);
    let seeds = seeds();
    let forms: Vec<Submission> = seeds.iter().map(|(ending, _)| submission(ending)).collect();
    let (mut read, mut longest) = (0, Duration::ZERO);
    for case in all {
        let mut chance = Chance(case);
        let at = chance.below(seeds.len());
        let (ending, seed) = &seeds[at];
        let bytes = broken(&mut chance, seed, &seeds[(at + 1) % seeds.len()].1);
        let _named = Case(case, ending);
        let begun = Instant::now();
        let said: Result<_, NoKind> = examine(&forms[at], &bytes);
        longest = longest.max(begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "takes {:?}", begun.elapsed());
        if let Ok(found) = said {
            read += 1;
            assert_eq!(found.len(), 2);
            assert!(found.values().all(|of| of.len() <= MOST + 1));
        }
    }
    println!("{number} broken files, {read} of a known kind, longest {longest:?}");
    // Most are still something, so that the readers were reached.
    assert!(read * 3 > number);
}
