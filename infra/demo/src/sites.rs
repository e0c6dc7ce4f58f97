//! Fifty controllers alike, for measuring how cost grows with their number: the same rows lie at one of them, at five, at
//! twenty and at fifty, each time under another name. One more holds a list of the people.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::cast::Cast;
use crate::generate::{Options, spread};
use crate::registers::{Column, Controller, Dates, Encoding, Form, Kind, Table, column};

/// Over how many controllers the rows are spread, each time.
pub const SPREADS: [usize; 4] = [1, 5, 20, 50];
/// Holds the list of the people.
pub const CENTRAL: &str = "central";
/// Their list.
pub const COHORT: &str = "cohort";

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| (1..=50).map(|n| format!("site-{n:02}")).collect());
static SPREAD: [(&str, &str); 4] =
    [("obs_1", "obs_1.csv"), ("obs_5", "obs_5.csv"), ("obs_20", "obs_20.csv"), ("obs_50", "obs_50.csv")];

static CONTROLLERS: LazyLock<Vec<Controller>> = LazyLock::new(|| {
    let central = Controller { id: CENTRAL, da: "Register (syntetisk)", en: "Registry (synthetic)" };
    let sites = NAMES.iter().map(|id| Controller { id: id.as_str(), da: "Sted (syntetisk)", en: "Site (synthetic)" });
    std::iter::once(central).chain(sites).collect()
});

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let observations = SPREADS.into_iter().zip(SPREAD).flat_map(|(sites, (name, files))| {
        NAMES.iter().take(sites).map(move |site| Table { controller: site.as_str(), name, files, ..OBSERVATIONS })
    });
    std::iter::once(PEOPLE).chain(observations).collect()
});

const FORM: Form = Form {
    encoding: Encoding::Utf8,
    delimiter: b',',
    decimal: b'.',
    dates: Dates::Iso,
    missing: &[""],
    quote_all: false,
    crlf: false,
    dashed: false,
};

const PERSON: Column = column("pnr", "pnr", Kind::Person, "Personnummer", "Person number");

const PEOPLE: Table = Table {
    controller: CENTRAL,
    name: COHORT,
    files: "cohort.csv",
    via: None,
    event_date: None,
    form: FORM,
    columns: &[
        PERSON,
        column("sex", "sex", Kind::Int32, "Køn: 1 mand, 2 kvinde", "Sex: 1 man, 2 woman"),
        column("arm", "arm", Kind::Int32, "En af hundrede grupper", "One of a hundred groups"),
    ],
    row_filter: None,
    da: "Alle personer",
    en: "Everybody",
};

const OBSERVATIONS: Table = Table {
    controller: "",
    name: "",
    files: "",
    event_date: Some("day"),
    columns: &[
        PERSON,
        column("day", "day", Kind::Date, "Dag", "Day"),
        column("code", "code", Kind::Text, "Kode", "Code"),
        column("value", "value", Kind::Float64, "Værdi", "Value"),
        column("kom", "kom", Kind::Int32, "Kommune", "Municipality"),
    ],
    da: "Målinger",
    en: "Observations",
    ..PEOPLE
};

/// So many sites at the most, with `rows` observations in each spread.
#[must_use]
pub fn cast(rows: u64, most: usize) -> Cast {
    let sites = SPREADS.into_iter().filter(|sites| *sites <= most).max().unwrap_or(0);
    let tables = 1 + SPREADS.into_iter().filter(|sites| *sites <= most).sum::<usize>();
    let (controllers, _) = CONTROLLERS.split_at(CONTROLLERS.len().min(1 + sites));
    let (tables, _): (&'static [Table], _) = TABLES.split_at(TABLES.len().min(tables));
    Cast {
        controllers,
        tables: tables.iter().collect(),
        what: Some(format!("{rows} observations over {sites} sites")),
        write: Arc::new(move |dir: &Path, options: &Options, progress: &dyn Fn(u32)| {
            spread::write(dir, options, rows, tables, progress)
        }),
    }
}

/// How statements name the observations that lie at so many sites.
#[must_use]
pub fn table(sites: usize) -> String {
    match NAMES.first() {
        Some(only) if sites == 1 => format!("\"{only}\".obs_1"),
        _ => format!("national.obs_{sites}"),
    }
}

/// The hub's declaration of those tables as one (`national/obs_<sites>.toml`); of one alone there is none.
#[must_use]
pub fn national(sites: usize) -> String {
    let mut out = "persons = \"overlapping\"\ndescription_en = \"Observations\"\n".to_owned();
    for column in OBSERVATIONS.columns {
        let kind = match column.kind {
            Kind::Person => "person",
            Kind::Key(_) => "key",
            Kind::Text => "text",
            Kind::Int32 => "int32",
            Kind::Float64 => "float64",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
        };
        out.push_str(&format!("[[column]]\nname = \"{}\"\ntype = \"{kind}\"\n", column.name));
    }
    for name in NAMES.iter().take(sites) {
        out.push_str(&format!("[[member]]\ncontroller = \"{name}\"\n"));
    }
    out
}
