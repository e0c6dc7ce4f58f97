//! What the open zone computes with: three digits of numbers, days of points in time; and that no key is a day.

use super::{answer, plain, planned, pseudonyms, refusal, register, registers, released, role};
use crate::release::{SchemaRoles, analyse, explain};
use arrow::{
    array::{ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, TimestampMicrosecondArray},
    datatypes::{DataType, Field, TimeUnit},
};
use datafusion::prelude::SessionContext;
use policies::zone::Zone;
use std::{collections::HashMap, sync::Arc};

/// 60 people with numbers of all kinds, a code of six digits, and a list of those codes.
fn fine() -> SessionContext {
    let ctx = SessionContext::new();
    let people: Vec<u32> = (1..=60).collect();
    let int = |of: fn(u32) -> i64| Int64Array::from_iter_values(people.iter().map(|n| of(*n)));
    let codes: Vec<i32> = people.iter().map(|n| 620_100 + i32::try_from(n % 3).unwrap()).collect();
    let declared = HashMap::from([("eger.codes".to_owned(), "DB07".to_owned())]);
    let columns: Vec<ArrayRef> = vec![
        pseudonyms(&people),
        Arc::new(int(|n| 100_000 + i64::from(n) * 17)),
        Arc::new(Float64Array::from_iter_values(people.iter().map(|n| 5.0 + f64::from(*n) / 1000.0))),
        Arc::new(
            Decimal128Array::from_iter_values(people.iter().map(|n| i128::from(*n) * 1_234_567 + 5_000_000))
                .with_precision_and_scale(15, 2)
                .unwrap(),
        ),
        Arc::new(Int32Array::from(codes)),
        Arc::new(int(|n| i64::from(1_950 + n))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(people.iter().map(|n| i64::from(*n) * 7_777_777_777))),
    ];
    let value = |name: &str, kind| Field::new(name, kind, true);
    let fields = vec![
        role("pnr", "person"),
        value("formue", DataType::Int64),
        value("hba1c", DataType::Float64),
        value("loen", DataType::Decimal128(15, 2)),
        value("branche", DataType::Int32).with_metadata(declared),
        value("aar", DataType::Int64),
        value("tid", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ];
    register(&ctx, "bef", fields, columns, false);
    let names: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![620_100, 620_101, 620_102])), Arc::new(Int64Array::from(vec![100_017; 3]))];
    let fields = vec![value("kode", DataType::Int32), value("antal", DataType::Int64)];
    register(&ctx, "brancher", fields, names, true);
    ctx
}

#[tokio::test]
async fn everything_is_computed_from_three_digits_and_codes_stay() {
    let ctx = fine();
    for (sql, oracle) in [
        ("SELECT sum(formue) AS s FROM bef", "SELECT sum(CAST(round(formue / 1000.0) * 1000 AS bigint)) FROM bef"),
        ("SELECT avg(hba1c) AS m FROM bef", "SELECT avg(round(hba1c * 100) / 100) FROM bef"),
        ("SELECT sum(aar) AS s FROM bef", "SELECT sum(aar) FROM bef"),
        (
            "SELECT count(*) FILTER (WHERE loen > 400000) AS n FROM bef",
            "SELECT count(*) FROM bef WHERE round(CAST(loen AS double) / 1000) * 1000 > 400000",
        ),
        (
            "SELECT count(*) AS n FROM bef WHERE tid >= TIMESTAMP '1970-01-02 10:00:00'",
            "SELECT count(*) FROM bef WHERE date_trunc('day', tid) >= TIMESTAMP '1970-01-02 10:00:00'",
        ),
    ] {
        let truth = plain(&ctx, oracle).await[0][0].parse::<f64>().unwrap();
        let shown = answer(&ctx, sql).await[0][0].parse::<f64>().unwrap();
        assert!((shown - truth).abs() < 1e-9 * truth.abs(), "{sql}: {shown} {truth}");
    }
    let mut keys = answer(&ctx, "SELECT branche, count(*) AS n FROM bef GROUP BY branche").await;
    keys.sort();
    assert_eq!(keys[..3], [["620100", "20", "released"], ["620101", "20", "released"], ["620102", "20", "released"]]);
    assert_eq!(keys[3..], [["NULL", "NULL", "suppressed: fewer than 5 people"]]);
    let linked = "SELECT count(DISTINCT a.pnr) AS n FROM bef a JOIN bef b ON a.pnr = b.pnr JOIN brancher k ON k.kode = a.branche";
    assert_eq!(answer(&ctx, linked).await[0][0], "60");
    assert_eq!(answer(&ctx, "SELECT antal FROM brancher LIMIT 1").await[0][0], "100017", "no people in it");
}

#[tokio::test]
async fn inside_the_secure_environment_nothing_is_coarser() {
    let ctx = fine();
    let sql = "SELECT formue, hba1c, tid FROM bef WHERE formue > 100500 AND tid > TIMESTAMP '1970-01-02 10:00:00'";
    let plan = planned(&ctx, sql).await;
    let same = analyse(plan.clone(), Zone::Enclave, &SchemaRoles, &Arc::default()).unwrap().into_inner();
    assert_eq!(same, plan);
}

#[tokio::test]
async fn explain_release_says_what_is_computed_with() {
    let ctx = fine();
    let told = async |sql: &str| {
        let notes = explain(&planned(&ctx, sql).await, &SchemaRoles).1;
        let told = notes.into_iter().filter(|note| note.rule == "resolution");
        told.map(|note| format!("{}: {}", note.about, note.what)).collect::<Vec<_>>()
    };
    assert_eq!(
        told("SELECT branche, avg(hba1c) AS m FROM bef WHERE formue > 5 AND tid IS NOT NULL GROUP BY branche").await,
        [
            "formue, hba1c: Computed with at three significant digits, in conditions too; whole numbers up to 9999 exactly.",
            "tid: Computed with as days, in conditions too; the time of day isn't."
        ]
    );
    assert!(told("SELECT branche, count(*) AS n FROM bef GROUP BY branche").await.is_empty());
}

#[tokio::test]
async fn a_column_without_a_rule_is_refused_by_name() {
    let ctx = registers();
    let span = Field::new("varighed", DataType::Duration(TimeUnit::Second), true);
    let values: ArrayRef = Arc::new(arrow::array::DurationSecondArray::from(vec![1, 2]));
    register(&ctx, "ophold", vec![role("pnr", "person"), span], vec![pseudonyms(&[1, 2]), values], false);
    let refused = released(&ctx, "SELECT count(*) AS n FROM ophold").await.unwrap_err();
    assert!(refused.reason.starts_with("Column ophold.varighed has a type"), "{refused}");
}

/// Learns: nothing of a day. Off (plain SQL): the days.
#[tokio::test]
async fn attack_days_as_keys_in_other_words_are_refused() {
    let ctx = registers();
    for (key, from) in [
        ("dato", "lab"),
        ("d", "(SELECT pnr, dato AS d FROM lab) x"),
        ("d", "(SELECT pnr, min(dato) AS d FROM lab GROUP BY pnr) x"),
        ("d", "(SELECT pnr, dato AS d FROM lab UNION ALL SELECT pnr, foed_dag FROM bef) x"),
        ("CAST(dato AS text)", "lab"),
        ("CAST(dato AS int)", "lab"),
        ("CAST(dato AS timestamp)", "lab"),
        ("dato + INTERVAL '1 day'", "lab"),
        ("dato - DATE '2020-01-01'", "lab"),
        ("to_char(dato, '%Y-%m-%d')", "lab"),
        ("date_trunc('day', dato)", "lab"),
        ("date_part('doy', dato)", "lab"),
        ("date_part('day', dato)", "lab"),
        ("date_part('epoch', dato)", "lab"),
        ("CASE WHEN kode = 'A' THEN dato END", "lab"),
        ("coalesce(dato, DATE '2020-01-01')", "lab"),
        ("dato - date_trunc('year', dato)", "lab"),
        ("dato - least(dato, DATE '1900-01-01')", "lab"),
        ("greatest(dato, DATE '2100-01-01') - dato", "lab"),
        ("dato - coalesce(nullif(dato, dato), DATE '1900-01-01')", "lab"),
        ("dato - CASE WHEN kode = '' THEN dato ELSE DATE '1900-01-01' END", "lab"),
        ("dato - e", "(SELECT pnr, dato, least(dato, DATE '1900-01-01') AS e FROM lab) x"),
        (
            "dato - e",
            "(SELECT pnr, dato, DATE '1900-01-01' AS e FROM lab UNION ALL SELECT pnr, dato, dato AS e FROM lab) x",
        ),
        (
            "dato - e",
            "(SELECT pnr, dato, lag(dato, 1, DATE '1900-01-01') OVER (PARTITION BY pnr ORDER BY dato) AS e FROM lab) x",
        ),
        ("CAST(dato AS int) - least(CAST(dato AS int), 0)", "lab"),
        (
            "l.dato - k.dag",
            "lab l JOIN (VALUES ('A', DATE '1900-01-01'), ('C', DATE '1900-01-01')) AS k(kode, dag) ON k.kode = l.kode",
        ),
        ("t", "(SELECT pnr, max(CAST(dato AS text)) OVER (PARTITION BY pnr, dato) AS t FROM lab) x"),
        ("t", "(SELECT pnr, first_value(CAST(dato AS int)) OVER (PARTITION BY pnr ORDER BY dato) AS t FROM lab) x"),
        ("t", "(SELECT pnr, sum(CAST(dato AS int)) OVER (PARTITION BY pnr, dato) AS t FROM lab) x"),
        ("t", "(SELECT pnr, max(CAST(dato AS text)) AS t FROM lab GROUP BY pnr) x"),
    ] {
        let sql = format!("SELECT {key} AS k, count(*) AS n FROM {from} GROUP BY {key}");
        assert!(plain(&ctx, &sql).await.len() > 20, "the attack works by itself: {sql}");
        let refused = released(&ctx, &sql).await.unwrap_err();
        assert!(refused.reason.contains("as fine as a day"), "{sql}\n{refused}");
    }
    for sql in ["SELECT DISTINCT dato FROM lab", "SELECT kode, dato, count(*) AS n FROM lab GROUP BY CUBE (kode, dato)"]
    {
        let refused = released(&ctx, sql).await.unwrap_err();
        assert!(refused.reason.contains("as fine as a day"), "{sql}\n{refused}");
    }
    let text = refusal("SELECT foed_dag, count(*) AS n FROM bef GROUP BY foed_dag").await;
    insta::assert_snapshot!(text, @r"
    A key of the result is as fine as a day, and days are what people are recognised by. Group by date_trunc('week', ..), date_trunc('month', ..) or extract(year FROM ..).
    This works: SELECT date_trunc('month', foed_dag) AS month, count(DISTINCT pnr) AS people FROM bef GROUP BY date_trunc('month', foed_dag)
    ");
}

/// Learns: nothing of a day. Off (plain SQL): the days, as week and weekday.
#[tokio::test]
async fn attack_days_as_a_week_and_a_weekday_are_refused() {
    let ctx = registers();
    let days = plain(&ctx, "SELECT DISTINCT dato FROM lab").await.len();
    let week = "date_trunc('week', dato)";
    let weekday = "CASE date_part('dow', dato) WHEN 0 THEN 0 WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 4 WHEN 5 THEN 5 WHEN 6 THEN 6 END";
    let later: Vec<String> = (1..7).map(|n| format!("dato >= {week} + INTERVAL '{n} days'")).collect();
    let later = later.join(", ");
    let own = "(SELECT pnr, dato, CASE WHEN date_part('dow', dato) IN (0, 2, 4) THEN 1 END AS a, CASE WHEN date_part('dow', dato) IN (1, 2, 5) \
               THEN 1 END AS b, CASE WHEN date_part('dow', dato) IN (3, 4, 5) THEN 1 END AS c FROM lab) x";
    for (keys, from) in [
        (format!("{week}, {weekday}"), "lab"),
        (format!("{week}, {later}"), "lab"),
        (format!("{week}, a, b, c"), own),
        (format!("concat(CAST({week} AS text), {weekday})"), "lab"),
        (
            format!("{week}, n"),
            "(SELECT pnr, dato, sum(date_part('dow', dato)) OVER (PARTITION BY pnr, dato, kode, vaerdi) AS n FROM lab) x",
        ),
        (
            format!(
                "{week}, date_part('doy', dato) % 2 = 0, date_part('doy', dato) % 4 < 2, date_part('doy', dato) % 8 < 4"
            ),
            "lab",
        ),
        (
            format!("date_part('year', dato), {}", {
                let bits = (0..9).map(|bit| format!("date_part('doy', dato) % {} < {}", 2 << bit, 1 << bit));
                bits.collect::<Vec<_>>().join(", ")
            }),
            "lab",
        ),
        (format!("GROUPING SETS (({week}, {weekday}), ({week}))"), "lab"),
    ] {
        let sql = format!("SELECT count(*) AS n FROM {from} GROUP BY {keys}");
        assert!(plain(&ctx, &sql).await.len() >= days, "the attack works by itself: {sql}");
        let refused = released(&ctx, &sql).await.unwrap_err();
        assert!(
            ["tell the day together", "as fine as a day"].iter().any(|why| refused.reason.contains(why)),
            "{sql}\n{refused}"
        );
    }
    // Alone, of other days, and beside what says how long it is between events, or which came first.
    let each = "(SELECT pnr, dato, min(dato) OVER (PARTITION BY pnr) AS f, row_number() OVER (PARTITION BY pnr ORDER BY dato) AS n FROM lab) x";
    for (keys, from) in [
        (weekday.to_owned(), "lab"),
        (format!("{weekday}, kode"), "lab"),
        (format!("GROUPING SETS (({weekday}, kode), ({weekday}))"), "lab"),
        (format!("{weekday}, date_trunc('year', foed_dag)"), "lab l JOIN bef b ON l.pnr = b.pnr"),
        (format!("{week}, dato - f, n"), each),
        (
            format!("{week}, (CAST(dato AS int) - CAST(foed_dag AS int)) / 365, dato >= foed_dag"),
            "lab l JOIN bef b ON l.pnr = b.pnr",
        ),
        (format!("{week}, dato IS NULL, CASE WHEN extract(year FROM dato) > 1970 THEN 'late' ELSE 'early' END"), "lab"),
        (
            "CASE WHEN dato < DATE '1970-02-01' THEN 'early' WHEN dato < DATE '1970-03-01' THEN 'late' END".to_owned(),
            "lab",
        ),
    ] {
        answer(&ctx, &format!("SELECT count(*) AS n FROM {from} GROUP BY {keys}")).await;
    }
}

/// Conditions name days, in keys or beside them, and are answered for each day as for any other set of people. Learns: how many people had something on
/// a day, where they aren't few. Off (plain SQL): how many, also where they are.
#[tokio::test]
async fn attack_days_named_one_by_one_show_those_of_many_people() {
    let ctx = registers();
    let each = (0..60).map(|n| format!("WHEN dato = DATE '1970-01-01' + INTERVAL '{n} days' THEN {n}"));
    let sql = format!("SELECT CASE {} END AS d, count(*) AS n FROM lab GROUP BY 1", each.collect::<Vec<_>>().join(" "));
    assert!(plain(&ctx, &sql).await.iter().filter(|row| row[0] != "NULL").count() > 20, "the attack works by itself");
    let shown = answer(&ctx, &sql).await;
    assert!(shown.iter().all(|row| row[0] == "NULL"), "of few people each: {shown:?}");
}

/// What is recommended where days are no numbers works.
#[tokio::test]
async fn ranges_of_days_work_as_their_refusal_says() {
    let ctx = registers();
    let refused = released(&ctx, "SELECT quantile_range(dato, 0.5) AS d FROM lab").await.unwrap_err();
    let each = "(SELECT pnr, min(dato) AS first_day, max(dato) AS last_day, max(dato) AS day FROM lab GROUP BY pnr) x";
    // Up to the bracket that ends the call.
    let call = |text: &str| {
        let mut open = 1;
        let end = text.find(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        format!("quantile_range({}", &text[..=end.unwrap()])
    };
    let asked: Vec<String> = refused.reason.split("quantile_range(").skip(2).map(call).collect();
    assert_eq!(asked.len(), 2, "{refused}");
    for call in asked {
        assert_eq!(answer(&ctx, &format!("SELECT {call} AS d FROM {each}")).await.len(), 1, "{call}");
    }
    let fixed = "SELECT quantile_range(CAST(dato AS int) - CAST(DATE '1970-01-01' AS int), 0.5) AS d FROM lab";
    assert!(released(&ctx, fixed).await.unwrap_err().reason.contains("as fine as a day"));
}

/// Learns: nothing of a day. Off (plain SQL): the days, as the one in which all seven weeks are the same.
#[tokio::test]
async fn attack_days_as_weeks_that_begin_on_each_of_them_are_refused() {
    let ctx = registers();
    let seven: Vec<String> = (0..7).map(|n| format!("date_trunc('week', dato + INTERVAL '{n} days')")).collect();
    let days = plain(&ctx, "SELECT DISTINCT dato FROM lab").await.len();
    assert_eq!(plain(&ctx, &format!("SELECT DISTINCT {} FROM lab", seven.join(", "))).await.len(), days);
    let [week, next] = [&seven[0], &seven[1]];
    let moved = "date_trunc('week', d)";
    for (keys, from) in [
        (seven.join(", "), "lab"),
        (format!("{week}, {next}"), "lab"),
        (format!("{next}, date_trunc('month', dato)"), "lab"),
        (format!("{week}, date_part('year', dato - INTERVAL '3 days')"), "lab"),
        (format!("concat(CAST({week} AS text), CAST({next} AS text))"), "lab"),
        (format!("CASE WHEN kode = 'A' THEN {week} ELSE {next} END"), "lab"),
        (format!("{week}, {moved}"), "(SELECT pnr, dato, dato + INTERVAL '1 day' AS d FROM lab) x"),
        (
            format!("{week}, {moved}"),
            "(SELECT pnr, dato, dato + CASE WHEN kode <> '' THEN INTERVAL '1 day' END AS d FROM lab) x",
        ),
        (
            format!("{week}, {moved}"),
            "(SELECT pnr, dato, max(dato) OVER (PARTITION BY pnr, dato) + INTERVAL '1 day' AS d FROM lab) x",
        ),
        (
            format!("{week}, w"),
            "(SELECT pnr, dato, date_trunc('week', least(dato - INTERVAL '1 day', dato)) AS w FROM lab) x",
        ),
        (
            "date_trunc('week', a.dato), date_trunc('week', b.dato + INTERVAL '1 day')".to_owned(),
            "lab a JOIN lab b ON a.pnr = b.pnr AND a.dato = b.dato",
        ),
        (format!("GROUPING SETS (({week}, {next}), ({week}))"), "lab"),
    ] {
        let sql = format!("SELECT count(*) AS n FROM {from} GROUP BY {keys}");
        assert!(plain(&ctx, &sql).await.len() > 5, "the attack works by itself: {sql}");
        let refused = released(&ctx, &sql).await.unwrap_err();
        assert!(refused.reason.contains("tell the day together"), "{sql}\n{refused}");
    }
    // What begins alike, or is of other days.
    for (keys, from) in [
        ("date_trunc('week', dato), date_trunc('month', dato), extract(year FROM dato)".to_owned(), "lab"),
        (format!("{next}, date_trunc('month', dato + INTERVAL '1 days')"), "lab"),
        (
            "date_trunc('week', l.dato), date_trunc('week', b.foed_dag - INTERVAL '1 day')".to_owned(),
            "lab l JOIN bef b ON l.pnr = b.pnr",
        ),
        (
            "date_trunc('month', a), date_trunc('month', z)".to_owned(),
            "(SELECT pnr, min(dato) AS a, max(dato) AS z FROM lab GROUP BY pnr) x",
        ),
        ("date_trunc('week', a.dato), date_trunc('week', b.dato)".to_owned(), "lab a JOIN lab b ON a.pnr = b.pnr"),
    ] {
        answer(&ctx, &format!("SELECT count(*) AS n FROM {from} GROUP BY {keys}")).await;
    }
}

#[tokio::test]
async fn weeks_months_years_and_how_long_something_took_are_keys() {
    let ctx = registers();
    for (key, from) in [
        ("date_trunc('week', dato)", "lab"),
        ("date_trunc('month', CAST(dato AS timestamp))", "lab"),
        ("m", "(SELECT pnr, date_trunc('month', min(dato)) AS m FROM lab GROUP BY pnr) x"),
        ("extract(year FROM dato)", "lab"),
        ("extract(year FROM dato) - 2", "lab"),
        ("CAST(extract(month FROM dato) AS text)", "lab"),
        ("dato > DATE '1970-02-01'", "lab"),
        ("CASE WHEN date_part('dow', dato) IN (0, 6) THEN 'weekend' ELSE 'week' END", "lab"),
        ("dato IS NULL", "lab"),
        ("l.dato - b.foed_dag", "lab l JOIN bef b ON l.pnr = b.pnr"),
        ("(l.dato + INTERVAL '1 day') - CAST(b.foed_dag AS timestamp)", "lab l JOIN bef b ON l.pnr = b.pnr"),
        ("d - f", "(SELECT pnr, max(dato) AS d, min(dato) AS f FROM lab GROUP BY pnr) x"),
        ("dato - f", "(SELECT pnr, dato, min(dato) OVER (PARTITION BY pnr) AS f FROM lab) x"),
        ("dato - f", "(SELECT pnr, dato, lag(dato) OVER (PARTITION BY pnr ORDER BY dato) AS f FROM lab) x"),
        ("n", "(SELECT pnr, row_number() OVER (PARTITION BY pnr ORDER BY dato) AS n FROM lab) x"),
        ("k", "(SELECT pnr, max(kode) OVER (PARTITION BY pnr ORDER BY dato) AS k FROM lab) x"),
        ("date_trunc('week', dato + INTERVAL '1 day')", "lab"),
        ("CAST(l.dato AS int) - CAST(b.foed_dag AS int)", "lab l JOIN bef b ON l.pnr = b.pnr"),
    ] {
        let sql = format!("SELECT {key} AS k, count(*) AS n FROM {from} GROUP BY {key}");
        assert!(!answer(&ctx, &sql).await.is_empty(), "{sql}");
    }
}

/// What is told to whoever asks for a median, with noise: the interval that holds it.
#[tokio::test]
async fn a_median_is_asked_for_as_an_interval() {
    let ctx = super::noise::large(1);
    let refused = released(&ctx, "SELECT median(alder) AS m FROM bef").await.unwrap_err();
    let rows = super::noise::answer(&ctx, &refused.example).await;
    let median: f64 = plain(&ctx, "SELECT median(alder) AS m FROM bef").await[0][0].parse().unwrap();
    let (low, high) = rows[0][0].split_once(" to ").unwrap();
    let (low, high): (f64, f64) = (low.parse().unwrap(), high.parse().unwrap());
    assert!(rows.len() == 1 && low <= median && median < high, "{rows:?} {median}");
}

/// How far sums and means of 2,000 people are off because of their digits alone; printed for the page on decisions.
#[tokio::test]
async fn sums_and_means_are_off_by_little() {
    let ctx = SessionContext::new();
    let people: Vec<u32> = (1..=2_000).collect();
    let draw = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24);
    // incomes, skewed as they are; laboratory values with two decimals
    let incomes = people.iter().map(|n| 180_000.0 * (0.2 + 1.6 * draw(*n)).exp());
    let values = people.iter().map(|n| (draw(*n ^ 0x5555) * 9_000.0 + 3_000.0).round() / 100.0);
    let columns: Vec<ArrayRef> = vec![
        pseudonyms(&people),
        Arc::new(Float64Array::from_iter_values(incomes)),
        Arc::new(Float64Array::from_iter_values(values)),
    ];
    let value = |name: &str| Field::new(name, DataType::Float64, false);
    register(&ctx, "bef", vec![role("pnr", "person"), value("indkomst"), value("vaerdi")], columns, false);
    for (what, most) in [
        ("sum(indkomst)", 1e-4),
        ("avg(indkomst)", 1e-4),
        ("stddev(indkomst)", 1e-4),
        ("avg(vaerdi)", 3e-4),
        ("stddev(vaerdi)", 1e-3),
    ] {
        let sql = format!("SELECT {what} AS x FROM bef");
        let (shown, truth) = (answer(&ctx, &sql).await, plain(&ctx, &sql).await);
        let [shown, truth] = [shown, truth].map(|rows| rows[0][0].parse::<f64>().unwrap());
        let off = (shown / truth - 1.0).abs();
        println!("{what}: off by {:.6} % because of three digits", off * 100.0);
        assert!(off > 0.0 && off < most, "{what}: {off}");
    }
}
