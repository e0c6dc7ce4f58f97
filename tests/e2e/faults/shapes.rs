//! The shapes of statements over the demo's registers. Each needs [`VICTIM`].

/// The spoke that is killed, frozen and slowed.
pub(super) const VICTIM: &str = "sds";
/// The spoke whose keys go to it, or that gets its keys.
pub(super) const OTHER: &str = "dst";

/// One shape of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

/// A table over both.
pub(super) const NATIONAL: &str = r#"
persons = "overlapping"
description_en = "People, with a number of each register"

[[column]]
name = "pnr"
type = "person"

[[column]]
name = "n"
type = "int32"

[[member]]
controller = "dst"
table = "bef"
[member.columns]
n = { from = "year" }

[[member]]
controller = "sds"
table = "lmdb"
[member.columns]
n = { from = "apk" }
"#;

const fn shape(name: &'static str, sql: &'static str) -> Shape {
    Shape { name, sql }
}

/// A join of a cohort with its prescriptions: one of both sends the other a key list.
pub(super) const COHORT: Shape = shape(
    "join with a key list",
    "SELECT b.koen, COUNT(*) AS n FROM dst.bef b JOIN sds.lmdb l ON l.pnr = b.pnr WHERE b.year = 2024 GROUP BY b.koen",
);

pub(super) const SHAPES: [Shape; 11] = [
    shape("scan of one spoke", "SELECT eksd, atc, volume FROM sds.lmdb WHERE atc LIKE 'A10%'"),
    shape("aggregate at one spoke", "SELECT atc, COUNT(*) AS n, SUM(apk) AS packs FROM sds.lmdb GROUP BY atc"),
    shape(
        "join at one spoke",
        "SELECT d.diag_kode, COUNT(*) AS n FROM sds.lpr_a_kontakt k \
         JOIN sds.lpr_a_diagnose d ON d.dw_ek_kontakt = k.dw_ek_kontakt AND d.pnr = k.pnr GROUP BY d.diag_kode",
    ),
    COHORT,
    // Rows without a partner are wanted from both sides, so nobody may leave any out.
    shape(
        "join without a key list",
        "SELECT COUNT(*) AS n, COUNT(l.pnr) AS treated FROM (SELECT pnr FROM dst.bef WHERE year = 2024) b \
         FULL JOIN (SELECT pnr, SUM(apk) AS packs FROM sds.lmdb GROUP BY pnr) l ON l.pnr = b.pnr",
    ),
    shape(
        "aggregate over a national table",
        "SELECT controller, COUNT(*) AS n, SUM(n) AS s FROM national.people GROUP BY controller",
    ),
    shape("people of overlapping spokes", "SELECT COUNT(DISTINCT pnr) AS people FROM national.people"),
    shape("first rows of several", "SELECT n, controller FROM national.people ORDER BY n DESC, controller LIMIT 5"),
    shape("union", "SELECT kom_navn AS t FROM dst.bef UNION SELECT atc FROM sds.lmdb"),
    shape(
        "window function",
        "SELECT controller, n, RANK() OVER (PARTITION BY controller ORDER BY n) AS r FROM national.people WHERE n < 3",
    ),
    shape(
        "IN subquery",
        "SELECT koen, COUNT(*) AS n FROM dst.bef WHERE pnr IN (SELECT pnr FROM sds.lmdb WHERE atc = 'A10BA02') \
         GROUP BY koen",
    ),
];
