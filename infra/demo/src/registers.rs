//! What the synthetic registers look like: controllers, tables, columns, and the awkward form of each file.
//!
//! One description serves three readers: the generator writes by it, the oracle reads by it, and the controllers'
//! table declarations are printed from it. The spokes know only the declarations.

use std::fmt::Write as _;
use std::path::Path;

/// A party that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Id, also the schema name in SQL.
    pub id: &'static str,
    /// Danish title.
    pub da: &'static str,
    /// English title.
    pub en: &'static str,
}

/// The four controllers of the demo.
pub const CONTROLLERS: [Controller; 4] = [
    Controller { id: "dst", da: "Danmarks Statistik (syntetisk)", en: "Statistics Denmark (synthetic)" },
    Controller { id: "sds", da: "Sundhedsdatastyrelsen (syntetisk)", en: "Danish Health Data Authority (synthetic)" },
    Controller { id: "region-h", da: "Region Hovedstaden (syntetisk)", en: "Capital Region of Denmark (synthetic)" },
    Controller { id: "region-m", da: "Region Midtjylland (syntetisk)", en: "Central Denmark Region (synthetic)" },
];

/// How bytes stand for letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Bom,
    /// ISO-8859-1.
    Latin1,
    /// Windows-1252.
    Windows1252,
}

/// How dates are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// `2021-03-09`
    Iso,
    /// `09-03-2021`
    DayFirst,
    /// `09MAR2021`
    Sas,
}

/// The form of a file.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Letters.
    pub encoding: Encoding,
    /// Between fields.
    pub delimiter: u8,
    /// In numbers.
    pub decimal: u8,
    /// Dates.
    pub dates: Dates,
    /// Every spelling of a missing value.
    pub missing: &'static [&'static str],
    /// Quotes around every field, needed or not.
    pub quote_all: bool,
    /// Lines end in CR LF.
    pub crlf: bool,
    /// Person numbers as `DDMMYY-SSSS`.
    pub dashed: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person number.
    Person,
    /// A linking id of this domain.
    Key(&'static str),
    /// Text.
    Text,
    /// Whole number.
    Int32,
    /// Number.
    Float64,
    /// Day.
    Date,
    /// Day and time of day, without zone.
    Timestamp,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Name in the file's header.
    pub source: &'static str,
    /// Type or role.
    pub kind: Kind,
    /// Unit, if it has one.
    pub unit: Option<&'static str>,
    /// Code system, if it has one.
    pub codes: Option<&'static str>,
    /// Danish description.
    pub da: &'static str,
    /// English description.
    pub en: &'static str,
    /// Whether the demo's project is granted the column.
    pub granted: bool,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Whose it is.
    pub controller: &'static str,
    /// Name in SQL.
    pub name: &'static str,
    /// Files, as a glob below the controller's folder.
    pub files: &'static str,
    /// Parent table and key, for a table that knows its people only through another one.
    pub via: Option<(&'static str, &'static str)>,
    /// Date of the event that a row tells of.
    pub event_date: Option<&'static str>,
    /// Form of the files.
    pub form: Form,
    /// Columns in the order of the file.
    pub columns: &'static [Column],
    /// Row filter that the demo's project asks for.
    pub row_filter: Option<&'static str>,
    /// Danish description.
    pub da: &'static str,
    /// English description.
    pub en: &'static str,
}

pub(crate) const fn column(
    name: &'static str,
    source: &'static str,
    kind: Kind,
    da: &'static str,
    en: &'static str,
) -> Column {
    Column { name, source, kind, unit: None, codes: None, da, en, granted: true }
}

impl Column {
    const fn unit(self, unit: &'static str) -> Column {
        Column { unit: Some(unit), ..self }
    }
    const fn codes(self, codes: &'static str) -> Column {
        Column { codes: Some(codes), ..self }
    }
    const fn withheld(self) -> Column {
        Column { granted: false, ..self }
    }
}

/// Population: Statistics Denmark, one row per person and year.
pub const BEF: Table = Table {
    controller: "dst",
    name: "bef",
    files: "bef/bef*.csv",
    via: None,
    event_date: None,
    form: Form {
        encoding: Encoding::Utf8Bom,
        delimiter: b';',
        decimal: b',',
        dates: Dates::DayFirst,
        missing: &[""],
        quote_all: false,
        crlf: true,
        dashed: false,
    },
    columns: &[
        column("pnr", "PNR", Kind::Person, "Personnummer", "Person number"),
        column("koen", "KOEN", Kind::Int32, "Køn: 1 mand, 2 kvinde", "Sex: 1 man, 2 woman").codes("DST.KOEN"),
        column("foed_dag", "FOED_DAG", Kind::Date, "Fødselsdag", "Date of birth"),
        column("kom", "KOM", Kind::Int32, "Bopælskommune", "Municipality of residence").codes("DST.KOM"),
        column("kom_navn", "KOM_NAVN", Kind::Text, "Bopælskommunens navn", "Name of the municipality"),
        column("region", "REGION", Kind::Text, "Bopælsregion", "Region of residence"),
        column("year", "AAR", Kind::Int32, "Opgørelsesår (31. december)", "Year of the count (31 December)"),
    ],
    row_filter: None,
    da: "Befolkningen, en række pr. person og år",
    en: "The population, one row per person and year",
};

/// Hospital contacts: Danish Health Data Authority, LPR3.
pub const LPR_A_KONTAKT: Table = Table {
    controller: "sds",
    name: "lpr_a_kontakt",
    files: "lpr/lpr_a_kontakt.csv",
    via: None,
    event_date: Some("kont_starttidspunkt"),
    form: LPR,
    columns: &[
        column("pnr", "pnr", Kind::Person, "Personnummer", "Person number"),
        column("dw_ek_kontakt", "dw_ek_kontakt", Kind::Key("lpr.kontakt"), "Kontaktens nøgle", "Key of the contact"),
        column(
            "kont_starttidspunkt",
            "kont_starttidspunkt",
            Kind::Timestamp,
            "Kontaktens start",
            "Start of the contact",
        ),
        column("kont_type", "kont_type", Kind::Text, "Kontakttype", "Type of contact").codes("SKS"),
        column("sor_enhed", "sor_enhed", Kind::Text, "Ansvarlig enhed", "Unit responsible").codes("SOR"),
        column("enhed_navn", "enhed_navn", Kind::Text, "Enhedens navn", "Name of the unit"),
    ],
    row_filter: None,
    da: "Landspatientregisteret, kontakter",
    en: "National patient register, contacts",
};

/// Diagnoses of the contacts.
pub const LPR_A_DIAGNOSE: Table = Table {
    controller: "sds",
    name: "lpr_a_diagnose",
    files: "lpr/lpr_a_diagnose.csv",
    via: Some(("lpr_a_kontakt", "dw_ek_kontakt")),
    event_date: None,
    form: LPR,
    columns: &[
        column("dw_ek_kontakt", "dw_ek_kontakt", Kind::Key("lpr.kontakt"), "Kontaktens nøgle", "Key of the contact"),
        column("diag_kode", "diag_kode", Kind::Text, "Diagnosekode", "Diagnosis").codes("SKS"),
        column(
            "diag_kode_type",
            "diag_kode_type",
            Kind::Text,
            "A aktionsdiagnose, B bidiagnose",
            "A main, B secondary diagnosis",
        ),
        column(
            "senere_afkraeftet",
            "senere_afkraeftet",
            Kind::Text,
            "Senere afkræftet: Ja eller Nej",
            "Refuted later: Ja (yes) or Nej (no)",
        ),
    ],
    row_filter: None,
    da: "Landspatientregisteret, diagnoser",
    en: "National patient register, diagnoses",
};

const LPR: Form = Form {
    encoding: Encoding::Utf8,
    delimiter: b',',
    decimal: b'.',
    dates: Dates::Iso,
    missing: &["", "NULL"],
    quote_all: false,
    crlf: false,
    dashed: false,
};

/// Prescriptions dispensed.
pub const LMDB: Table = Table {
    controller: "sds",
    name: "lmdb",
    files: "lmdb/lmdb*.csv",
    via: None,
    event_date: Some("eksd"),
    form: Form {
        encoding: Encoding::Windows1252,
        delimiter: b';',
        decimal: b',',
        dates: Dates::Sas,
        missing: &["", "."],
        quote_all: false,
        crlf: true,
        dashed: false,
    },
    columns: &[
        column("pnr", "PNR", Kind::Person, "Personnummer", "Person number"),
        column("eksd", "EKSD", Kind::Date, "Ekspeditionsdato", "Date dispensed"),
        column("atc", "ATC", Kind::Text, "Lægemidlets kode", "Drug").codes("ATC"),
        column("volume", "VOLUME", Kind::Float64, "Mængde i definerede døgndoser", "Amount in defined daily doses")
            .unit("DDD"),
        column("apk", "APK", Kind::Int32, "Antal pakninger", "Number of packs"),
        column("indo", "INDO", Kind::Text, "Indikationskode", "Indication").codes("DKMA.INDO"),
        column("navn", "NAVN", Kind::Text, "Lægemidlets navn og indikation", "Name of the drug and indication")
            .withheld(),
    ],
    row_filter: None,
    da: "Lægemiddelstatistikregisteret, indløste recepter",
    en: "Register of medicinal product statistics, prescriptions dispensed",
};

const LAB_COLUMNS: &[Column] = &[
    column("pnr", "CPRNR", Kind::Person, "Personnummer", "Person number"),
    column("samplingdate", "SAMPLINGDATE", Kind::Date, "Prøvetagningsdato", "Date of sampling"),
    column("analysiscode", "ANALYSISCODE", Kind::Text, "Analysekode", "Analysis").codes("NPU"),
    column("value", "VALUE", Kind::Float64, "Resultat", "Result"),
    column("unit", "UNIT", Kind::Text, "Resultatets enhed", "Unit of the result"),
    column("laboratorium", "LABORATORIUM", Kind::Text, "Laboratoriets navn", "Name of the laboratory"),
    column("kommentar", "KOMMENTAR", Kind::Text, "Bemærkning til svaret", "Remark on the result").withheld(),
];

const LAB_FILTER: Option<&str> = Some("analysiscode IN ('NPU27300', 'NPU18016', 'DNK35302', 'NPU01568')");

/// Laboratory results of the Capital Region.
pub const LAB_H: Table = Table {
    controller: "region-h",
    name: "lab_forsker",
    files: "lab/*.txt",
    via: None,
    event_date: Some("samplingdate"),
    form: Form {
        encoding: Encoding::Latin1,
        delimiter: b'\t',
        decimal: b',',
        dates: Dates::DayFirst,
        missing: &["", "-"],
        quote_all: false,
        crlf: false,
        dashed: true,
    },
    columns: LAB_COLUMNS,
    row_filter: LAB_FILTER,
    da: "Laboratoriedatabasens forskertabel, Region Hovedstaden",
    en: "Laboratory results for research, Capital Region",
};

/// Laboratory results of the Central Region.
pub const LAB_M: Table = Table {
    controller: "region-m",
    name: "lab_forsker",
    files: "lab_forsker.csv",
    via: None,
    event_date: Some("samplingdate"),
    form: Form {
        encoding: Encoding::Utf8,
        delimiter: b',',
        decimal: b'.',
        dates: Dates::Iso,
        missing: &["", "NA", ".", "NULL", "ukendt"],
        quote_all: true,
        crlf: false,
        dashed: false,
    },
    columns: LAB_COLUMNS,
    row_filter: LAB_FILTER,
    da: "Laboratoriedatabasens forskertabel, Region Midtjylland",
    en: "Laboratory results for research, Central Region",
};

/// Every table of the demo.
pub const TABLES: [&Table; 6] = [&BEF, &LPR_A_KONTAKT, &LPR_A_DIAGNOSE, &LMDB, &LAB_H, &LAB_M];

/// The tables of one controller.
pub fn tables_of(controller: &str) -> impl Iterator<Item = &'static Table> + '_ {
    TABLES.into_iter().filter(move |t| t.controller == controller)
}

impl Table {
    /// The declaration that the controller puts into `tables/<name>.toml`; `data` is the controller's own folder.
    pub fn declaration(&self, data: &Path) -> String {
        let mut out = String::new();
        let role = if self.via.is_some() { "person_via" } else { "person" };
        let source = data.join(self.files);
        let encoding = match self.form.encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => "utf-8",
            Encoding::Latin1 => "iso-8859-1",
            Encoding::Windows1252 => "windows-1252",
        };
        let dates = match self.form.dates {
            Dates::Iso => "yyyy-mm-dd",
            Dates::DayFirst => "dd-mm-yyyy",
            Dates::Sas => "date9",
        };
        let missing: Vec<String> = self.form.missing.iter().map(|m| quoted(m)).collect();
        // writing into a String cannot fail
        let _ =
            writeln!(out, "# Synthetic data made by the demo.\nname = {}\nrole = {}", quoted(self.name), quoted(role));
        if let Some(date) = self.event_date {
            let _ = writeln!(out, "event_date = {}", quoted(date));
        }
        let _ =
            writeln!(out, "mode = \"replace\"\n\n[description]\nda = {}\nen = {}", quoted(self.da), quoted(self.en));
        let _ = writeln!(
            out,
            "\n[source]\npath = {}\nformat = \"csv\"\ndelimiter = {}\nencoding = {}\ndecimal = {}\ndate = {}\nheader = true\nmissing = [{}]\nquote = {}",
            quoted(&source.to_string_lossy()),
            quoted(&char::from(self.form.delimiter).to_string()),
            quoted(encoding),
            quoted(&char::from(self.form.decimal).to_string()),
            quoted(dates),
            missing.join(", "),
            quoted("\""),
        );
        if let Some((table, key)) = self.via {
            let _ = writeln!(out, "\n[person_via]\ntable = {}\nkey = {}", quoted(table), quoted(key));
        }
        for column in self.columns {
            out.push_str(&column.declaration());
        }
        out
    }

    /// Columns that the project is granted, the person that comes through the parent table included.
    pub fn granted_columns(&self) -> Vec<&'static str> {
        let via = self.via.map(|_| "pnr");
        via.into_iter().chain(self.columns.iter().filter(|c| c.granted).map(|c| c.name)).collect()
    }
}

impl Column {
    fn declaration(&self) -> String {
        let mut out = format!("\n[[column]]\nname = {}\nsource = {}\n", quoted(self.name), quoted(self.source));
        let kind = match self.kind {
            Kind::Person => "role = \"person\"".to_owned(),
            Kind::Key(domain) => format!("role = \"key\"\ndomain = {}", quoted(domain)),
            Kind::Text => "type = \"text\"".to_owned(),
            Kind::Int32 => "type = \"int32\"".to_owned(),
            Kind::Float64 => "type = \"float64\"".to_owned(),
            Kind::Date => "type = \"date\"".to_owned(),
            Kind::Timestamp => "type = \"timestamp\"".to_owned(),
        };
        let _ = writeln!(out, "{kind}");
        for (key, value) in [("unit", self.unit), ("codes", self.codes)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {}", quoted(value));
            }
        }
        let _ = writeln!(out, "description = {{ da = {}, en = {} }}", quoted(self.da), quoted(self.en));
        out
    }
}

/// A TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn declarations_are_toml_and_name_every_column() {
        for table in TABLES {
            let text = table.declaration(Path::new("/data/it's \"here\""));
            let value: toml::Table = text.parse().unwrap();
            assert_eq!(value["column"].as_array().unwrap().len(), table.columns.len());
            assert_eq!(value["source"]["delimiter"].as_str().unwrap().as_bytes(), [table.form.delimiter]);
        }
    }

    #[test]
    fn every_table_has_a_controller() {
        assert!(TABLES.iter().all(|t| CONTROLLERS.iter().any(|c| c.id == t.controller)));
        assert_eq!(tables_of("sds").count(), 3);
    }
}
