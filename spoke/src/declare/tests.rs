#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

const GOOD: &str = r#"name = "lmdb"
role = "person"
event_date = "eksd"
[description]
da = "Recepter"
[source]
path = "in/*.csv"
format = "csv"
encoding = "windows-1252"
[[column]]
name = "pnr"
source = "PNR"
role = "person"
[[column]]
name = "eksd"
type = "date"
date = "date9"
[[column]]
name = "recnum"
role = "key"
[[column]]
name = "pris"
type = "decimal(8,2)"
"#;

fn error(texts: &[(&str, &str)]) -> String {
    parse_all(texts.iter().copied()).unwrap_err().to_string()
}

/// The good declaration with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    error(&[("lmdb.toml", &GOOD.replacen(from, to, 1))])
}

#[test]
fn a_declaration_is_read_with_its_defaults() {
    let tables = parse_all([("lmdb.toml", GOOD)]).unwrap();
    let decl = tables.values().next().unwrap();
    assert_eq!(decl.mode, Mode::Replace);
    assert_eq!(decl.source.missing, ["", "."]);
    assert_eq!(decl.source.delimiter, Delimiter::Auto);
    assert_eq!(decl.source.decimal, Decimal::Comma);
    assert_eq!(decl.columns[0].source, "PNR");
    assert_eq!(decl.columns[2].kind, ColumnKind::Key { domain: "lmdb.recnum".to_owned() });
    assert_eq!(decl.columns[3].kind, ColumnKind::Value(ValueType::Decimal(8, 2)));
    assert_eq!(decl.person(), Some("pnr"));
    assert!(decl.links());
    assert_ne!(
        decl.digest(),
        parse_all([("x", GOOD.replace("Recepter", "x").as_str())]).unwrap().values().next().unwrap().digest()
    );
}

#[test]
fn errors_name_file_and_line_and_say_what_to_write() {
    for (from, to, says) in [
        ("role = \"person\"\nevent", "role = \"people\"\nevent", "lmdb.toml, line 2: unknown variant `people`"),
        ("event_date = \"eksd\"", "event_dato = \"eksd\"", "lmdb.toml, line 3: unknown field `event_dato`"),
        (
            "event_date = \"eksd\"",
            "event_date = \"dato\"",
            "line 3: event_date names column 'dato', which is not declared",
        ),
        (
            "event_date = \"eksd\"",
            "event_date = \"pris\"",
            "line 3: event_date names column 'pris', which is not of type date or timestamp",
        ),
        ("format = \"csv\"", "format = \"xlsx\"", "line 8: unknown variant `xlsx`"),
        ("path = \"in/*.csv\"", "path = \"\"", "source.path is empty"),
        ("windows-1252", "ebcdic", "line 9: unknown variant `ebcdic`"),
        ("name = \"lmdb\"", "name = \"LMDB\"", "line 1: not a valid table name"),
        ("name = \"pnr\"\nsource", "name = \"Pnr\"\nsource", "line 11: 'Pnr' is no name"),
        ("name = \"pris\"", "name = \"eksd\"", "line 22: column 'eksd' is declared twice"),
        (
            "name = \"pris\"",
            "name = \"pris\"\nsource = \"pnr\"",
            "column 'pris' takes source column 'pnr', which another column takes already",
        ),
        ("type = \"decimal(8,2)\"", "type = \"money\"", "line 23: 'money' is not a type; write text, int32"),
        ("type = \"decimal(8,2)\"", "type = \"decimal(3,9)\"", "no more decimals than digits"),
        ("type = \"decimal(8,2)\"", "unit = \"kr\"", "column 'pris' has neither a type nor a role"),
        (
            "type = \"decimal(8,2)\"",
            "type = \"text\"\ndate = \"date9\"",
            "'date' belongs to columns of type date or timestamp",
        ),
        (
            "type = \"decimal(8,2)\"",
            "type = \"text\"\ndomain = \"x\"",
            "'domain' belongs to columns with role = \"key\"",
        ),
        ("role = \"key\"", "role = \"key\"\ndomain = \"A b\"", "domain must be names joined by '.'"),
        ("role = \"key\"", "role = \"key\"\ntype = \"text\"", "column 'recnum' has both a role and a type"),
        ("role = \"key\"", "role = \"person\"", "line 19: a table has one person column; this is the second"),
        (
            "source = \"PNR\"\nrole = \"person\"",
            "type = \"text\"",
            "line 2: role is \"person\" but no column has role = \"person\"",
        ),
        (
            "role = \"person\"\nevent",
            "role = \"reference\"\nevent",
            "only a table with role = \"person\" has a column with role = \"person\"",
        ),
        (
            "[description]",
            "[person_via]\ntable = \"x\"\nkey = \"recnum\"\n[description]",
            "[person_via] belongs to tables with role = \"person_via\"",
        ),
        ("encoding = \"windows-1252\"", "quote = \"||\"", "quote must be"),
    ] {
        let error = changed(from, to);
        assert!(error.contains(says), "{error}\n  should say: {says}");
        assert!(error.starts_with("lmdb.toml, line "), "{error}");
    }
    assert!(
        error(&[("x.toml", "name = \"x\"\nrole = \"reference\"\n[source]\npath = \"a\"\nformat = \"csv\"\n")])
            .contains("no columns are declared")
    );
    assert!(error(&[("a", GOOD), ("b", GOOD)]).contains("table 'lmdb' is declared in a too"));
}

const KONTAKT: &str = r#"name = "kontakt"
role = "person"
[source]
path = "k"
format = "csv"
[[column]]
name = "cpr"
role = "person"
[[column]]
name = "id"
role = "key"
domain = "lpr.kontakt"
"#;
const DIAGNOSE: &str = r#"name = "diagnose"
role = "person_via"
[source]
path = "d"
format = "csv"
[[column]]
name = "id"
role = "key"
[person_via]
table = "kontakt"
key = "id"
"#;

#[test]
fn a_child_takes_person_and_domain_from_its_parent() {
    let below = DIAGNOSE.replace("\"diagnose\"", "\"below\"").replace("\"kontakt\"", "\"diagnose\"");
    let tables = parse_all([("d", DIAGNOSE), ("k", KONTAKT), ("b", below.as_str())]).unwrap();
    for name in ["diagnose", "below"] {
        let decl = &tables[&name.parse().unwrap()];
        assert_eq!(decl.columns[0].kind, ColumnKind::Key { domain: "lpr.kontakt".to_owned() }, "{name}");
        assert_eq!(decl.schema().field(0).name(), "pnr");
    }
    assert_eq!(tables[&"diagnose".parse().unwrap()].person_via.as_ref().unwrap().parent_person, "cpr");
    assert_eq!(tables[&"below".parse().unwrap()].person_via.as_ref().unwrap().parent_person, "pnr");
}

#[test]
fn children_must_fit_their_parents() {
    assert!(
        error(&[("d", DIAGNOSE)]).contains("d, line 10: [person_via] names table 'kontakt', which is not declared")
    );
    let no_key = KONTAKT.replace("role = \"key\"\ndomain = \"lpr.kontakt\"", "type = \"text\"");
    assert!(
        error(&[("d", DIAGNOSE), ("k", &no_key)]).contains("table 'kontakt' has no column 'id' with role = \"key\"")
    );
    let other = DIAGNOSE.replace("role = \"key\"\n", "role = \"key\"\ndomain = \"x.y\"\n");
    assert!(
        error(&[("d", &other), ("k", KONTAKT)])
            .contains("key 'id' has domain 'x.y' here and 'lpr.kontakt' in table 'kontakt'")
    );
    let reference = KONTAKT
        .replace("role = \"person\"\n[source]", "role = \"reference\"\n[source]")
        .replace("role = \"person\"", "type = \"text\"");
    assert!(error(&[("d", DIAGNOSE), ("k", &reference)]).contains("which has no people itself"));
    let circle = DIAGNOSE.replace("table = \"kontakt\"", "table = \"diagnose\"");
    assert!(error(&[("d", &circle)]).contains("leads back to 'diagnose'"));
    let wrong_key = DIAGNOSE.replace("key = \"id\"", "key = \"nr\"");
    assert!(error(&[("d", &wrong_key), ("k", KONTAKT)]).contains("line 11: [person_via] key names 'nr'"));
    let append = DIAGNOSE.replace("role = \"person_via\"", "role = \"person_via\"\nmode = \"append\"");
    assert!(error(&[("d", &append), ("k", KONTAKT)]).contains("can't have mode = \"append\""));
    let taken = DIAGNOSE.replace("[person_via]", "[[column]]\nname = \"pnr\"\ntype = \"text\"\n[person_via]");
    assert!(error(&[("d", &taken), ("k", KONTAKT)]).contains("adds a column 'pnr', but one of that name is declared"));
}

#[test]
fn a_folder_is_read_and_files_are_called_as_their_tables() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lmdb.toml"), GOOD).unwrap();
    std::fs::write(dir.path().join("README.md"), "no table").unwrap();
    assert_eq!(load_all(dir.path()).unwrap().len(), 1);
    std::fs::write(dir.path().join("other.toml"), KONTAKT).unwrap();
    let error = load_all(dir.path()).unwrap_err().to_string();
    assert!(error.contains("name is 'kontakt' but the file is called other.toml"), "{error}");
    assert!(load_all(&dir.path().join("none")).unwrap_err().to_string().contains("can't be read"));
}
