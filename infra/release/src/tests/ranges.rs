//! Quantiles as ranges: right, alike in both zones, and nothing but what shown counts tell.

use super::{
    Rows, answer as without_noise, collect,
    noise::{after, answer, pseudonym},
    planned, register, registers, released, role,
};
use crate::release::{SchemaRoles, explain, range_functions, ranged};
use arrow::{
    array::{FixedSizeBinaryArray, Float64Array, Int32Array},
    datatypes::{DataType, Field},
};
use datafusion::prelude::{SessionConfig, SessionContext};
use policies::{
    disclosure::{PERTURBED, quantile},
    zone::Zone,
};
use proto::plan::interval::Grid;
use std::{collections::BTreeMap, sync::Arc};

const FEW: &str = "too few people around it";

/// One row of a person: their number, a municipality, a value.
type Row = (u32, Option<i32>, Option<f64>);

/// The table `t` of these rows, under a project's pseudonyms.
fn table(rows: &[Row], project: u64) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let config = config.set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true);
    let ctx = SessionContext::new_with_config(config);
    range_functions().iter().for_each(|function| ctx.register_udaf(function.as_ref().clone()));
    let people: Vec<[u8; 16]> = rows.iter().map(|row| pseudonym(row.0, project)).collect();
    let fields = vec![
        role("pnr", "person"),
        Field::new("kom", DataType::Int32, true),
        Field::new("x", DataType::Float64, true),
        Field::new("del", DataType::Int32, true),
    ];
    register(
        &ctx,
        "t",
        fields,
        vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(people.iter()).unwrap()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| i32::try_from(row.0 % 100).ok()).collect::<Int32Array>()),
        ],
        false,
    );
    ctx
}

/// `each` people around each of these values, in municipality 1.
fn clusters(values: &[f64], each: u32) -> Vec<Row> {
    let people = values.iter().enumerate().flat_map(|(at, value)| {
        (0..each).map(move |person| {
            (u32::try_from(at).unwrap() * 1_000 + person, Some(1), Some(value + f64::from(person % 40)))
        })
    });
    people.collect()
}

async fn inside(ctx: &SessionContext, sql: &str) -> Rows {
    let plan = ranged(planned(ctx, sql).await, Zone::Enclave, &SchemaRoles).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    let mut rows = collect(ctx, plan).await.1;
    rows.sort();
    rows
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn part(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

/// The value that a part of these doesn't exceed.
fn exact(values: &[f64], fraction: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (fraction * values.len() as f64 * (1.0 - 1e-12)).ceil() as usize;
    values[at.max(1) - 1]
}

#[tokio::test]
async fn a_range_holds_the_exact_quantile_but_for_a_few_in_a_hundred() {
    let (mut told, mut hidden, mut missed, mut intervals) = (0, 0, 0, 0.0);
    let (mut smallest, mut largest) = (usize::MAX, 0);
    for project in 0..12 {
        let mut random = Random(project + 1);
        let mut rows = Vec::new();
        let mut values: BTreeMap<i32, Vec<f64>> = BTreeMap::new();
        for person in 0..6_000 {
            // municipalities of about 30 to 600 people; incomes that are skewed, or ages
            let kom = i32::try_from(random.below(40) * random.below(40) / 80).unwrap();
            let value = if project % 2 == 0 {
                ((12.0 + 0.7 * (random.part() + random.part() + random.part() - 1.5)).exp() / 1e3).round() * 1e3
            } else {
                (random.part() * random.part() * 100.0).floor()
            };
            // three digits, as the open zone computes
            let value = if value > 999_999.0 { 999_000.0 } else { value };
            rows.push((person, Some(kom), Some(value)));
            values.entry(kom).or_default().push(value);
        }
        for values in values.values() {
            (smallest, largest) = (smallest.min(values.len()), largest.max(values.len()));
        }
        let ctx = table(&rows, project);
        let grid = if project % 2 == 0 { Grid::digit() } else { Grid::of(5.0).unwrap() };
        let step = grid.step().map_or(String::new(), |step| format!(", {step}"));
        for fraction in [0.5, 0.25, 0.9] {
            let sql = format!(
                "SELECT kom, quantile_low(x, {fraction}{step}) AS low, quantile_high(x, {fraction}{step}) AS high FROM t GROUP BY kom"
            );
            let shown = answer(&ctx, &sql).await;
            assert!(shown.len() > 10, "{shown:?}");
            for row in shown.iter().filter(|row| row[0] != "NULL") {
                if row[1] == "NULL" {
                    assert!(row[2] == "NULL" && row[3].contains(FEW), "{row:?}");
                    hidden += 1;
                    continue;
                }
                let [low, high] = [1, 2].map(|at| row[at].parse::<f64>().unwrap());
                let truth = exact(&values[&row[0].parse().unwrap()], fraction);
                told += 1;
                missed += u32::from(!(low <= truth && (truth < high || low == high)));
                let mut ends = low;
                while ends < high {
                    ends = grid.ends(ends);
                    intervals += 1.0;
                }
            }
            // Exact counts: one interval, which holds it always.
            let exactly = inside(&ctx, &sql).await;
            assert_eq!(exactly.len(), values.len());
            for row in exactly {
                let truth = exact(&values[&row[0].parse().unwrap()], fraction);
                let low = grid.begins(truth).unwrap();
                assert_eq!([row[1].parse(), row[2].parse()], [Ok(low), Ok(grid.ends(low))], "{row:?} {truth}");
            }
        }
    }
    println!(
        "groups of {} to {} people; of {told} ranges {missed} don't hold the quantile, {hidden} groups have none; {:.2} intervals in the mean",
        smallest,
        largest,
        intervals / f64::from(told)
    );
    assert!(told > 300 && missed * 50 < told, "{missed} of {told}");
}

#[tokio::test]
async fn ranges_stand_beside_other_aggregates_and_are_sorted_and_selected_by() {
    let mut rows = clusters(&[100.0, 200.0, 300.0, 400.0, 500.0], 80);
    // municipality 2 has higher values, the unknown one lower ones
    rows.extend(clusters(&[300.0, 400.0, 500.0, 600.0, 700.0], 80).iter().map(|row| (row.0 + 10_000, Some(2), row.2)));
    rows.extend(clusters(&[20.0, 100.0, 200.0, 300.0], 81).iter().map(|row| (row.0 + 20_000, None, row.2)));
    // twelve people of whom nobody has a value, and three people
    rows.extend((30_000..30_012).map(|person| (person, Some(3), None)));
    rows.extend((40_000..40_003).map(|person| (person, Some(4), Some(350.0))));
    let ctx = table(&rows, 7);
    let sql = "SELECT kom, count(*) AS n, avg(x) AS m, quantile_range(x, 0.5) AS median, quantile_low(x, 0.25) AS q1, \
               quantile_high(x, 0.75, 50) AS q3 FROM t GROUP BY kom";
    let (names, shown) =
        released(&ctx, &format!("{sql} ORDER BY quantile_low(x, 0.5) DESC NULLS LAST, kom")).await.unwrap();
    assert_eq!(names, ["kom", "n", "m", "median", "q1", "q3", "release_status"]);
    let of = |at: usize| -> Vec<&str> { shown.iter().map(|row| row[at].as_str()).collect() };
    assert_eq!(of(0), ["2", "1", "NULL", "3", "NULL"]);
    assert_eq!(of(1), ["400", "400", "324", "12", "NULL"]);
    assert_eq!(of(3), ["500 to 600", "300 to 400", "100 to 300", "NULL", "NULL"]);
    assert_eq!(&of(4)[..2], ["400.0", "200.0"]);
    assert!(shown[0][5].parse::<f64>().unwrap() >= 600.0, "{shown:?}");
    assert_eq!(shown[0][6], "released");
    assert!(shown[3][6].contains(&format!("suppressed: {FEW} in median, q1, q3")), "{shown:?}");
    assert_eq!(shown[4][6], "suppressed: fewer than 5 people");
    let having = without_noise(&ctx, &format!("{sql} HAVING quantile_low(x, 0.5) >= 300 ORDER BY kom")).await;
    assert_eq!(having.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["1", "2"]);
    // with noise too, and said so
    let noisy = answer(&ctx, sql).await;
    let one = noisy.iter().find(|row| row[0] == "1").unwrap();
    assert_eq!((one[3].as_str(), one[6].as_str()), ("300 to 400", PERTURBED));
    // FILTER, no groups, nothing else; what is computed of it
    let filtered = without_noise(
        &ctx,
        "SELECT quantile_range(x, 0.5) FILTER (WHERE kom = 2) AS two, quantile_range(x + 1000, 0.5, 100) FILTER (WHERE kom = 1) AS one FROM t",
    );
    assert_eq!(filtered.await, [["500 to 600", "1300 to 1400", "released"]]);
    let computed =
        without_noise(&ctx, "SELECT quantile_high(x, 0.5) - quantile_low(x, 0.5) AS width FROM t WHERE kom = 2");
    assert_eq!(computed.await, [["100.0", "released"]]);
    let nobody = without_noise(&ctx, "SELECT quantile_range(x, 0.5) AS q FROM t WHERE kom = 99").await;
    assert_eq!(nobody, [["NULL", "suppressed: fewer than 5 people"]]);
    // the same in the enclave, exactly
    let exactly = inside(&ctx, sql).await;
    let median: Vec<(&str, &str)> = exactly.iter().map(|row| (row[0].as_str(), row[3].as_str())).collect();
    assert_eq!(
        median,
        [("1", "300 to 400"), ("2", "500 to 600"), ("3", "NULL"), ("4", "300 to 400"), ("NULL", "100 to 200")]
    );
}

#[tokio::test]
async fn ranges_go_with_joins_subqueries_and_tables_without_people() {
    let ctx = registers();
    for sql in [
        "SELECT quantile_range(l.vaerdi, 0.5) AS q FROM bef b JOIN lab l ON l.pnr = b.pnr",
        "SELECT b.koen, quantile_range(l.vaerdi, 0.5) AS q FROM bef b LEFT JOIN lab l ON l.pnr = b.pnr GROUP BY b.koen",
        "WITH each AS (SELECT pnr, avg(vaerdi) AS v FROM lab GROUP BY pnr) SELECT quantile_range(v, 0.5, 50) AS q FROM each",
        "SELECT g.kom, g.q, k.navn FROM (SELECT kom, quantile_range(indkomst, 0.5) AS q FROM bef GROUP BY kom) g JOIN kommuner k ON k.kom = g.kom",
        "SELECT kom, quantile_range(indkomst, 0.5) AS q FROM bef GROUP BY kom UNION ALL SELECT koen, quantile_range(indkomst, 0.5) FROM bef GROUP BY koen",
        "SELECT count(*) AS n FROM bef WHERE kom IN (SELECT kom FROM kommuner GROUP BY kom HAVING quantile_low(kom, 0.5) > 100)",
    ] {
        without_noise(&ctx, sql).await;
        inside(&ctx, sql).await;
    }
    let rows = without_noise(&ctx, "SELECT quantile_range(kom, 0.5, 1) AS q FROM kommuner").await;
    assert_eq!(rows, [["103 to 104", "released"]]);
    // What the rules can't follow is answered in the enclave, by the person if there is one.
    let sql = "SELECT quantile_range(l.vaerdi, 0.5, 100) AS q FROM bef b FULL JOIN lab l ON l.pnr = b.pnr";
    assert!(released(&ctx, sql).await.is_err());
    assert_eq!(inside(&ctx, sql).await, [["100 to 200"]]);
}

#[tokio::test]
async fn one_person_counts_once_in_an_interval_however_many_rows() {
    let sql = "SELECT quantile_range(x, 0.5) AS q, quantile_range(x, 0.9) AS high FROM t";
    let rows = clusters(&[100.0, 200.0, 300.0, 400.0, 500.0], 40);
    let mut more = rows.clone();
    more.extend((0..3_000).map(|_| (7, Some(1), Some(900.0))));
    let (before, with) = (table(&rows, 3), table(&more, 3));
    for (sql, zone) in [(sql, "open"), (sql, "enclave")] {
        let ask = async |ctx| if zone == "open" { answer(ctx, sql).await } else { inside(ctx, sql).await };
        assert_eq!(ask(&with).await, ask(&before).await, "{zone}");
    }
    assert_eq!(inside(&with, sql).await, [["300 to 400", "500 to 600"]]);
}

#[tokio::test]
async fn explain_release_tells_of_ranges() {
    let ctx = registers();
    let sql = "SELECT kom, count(*) AS n, quantile_range(indkomst, 0.5) AS median FROM bef GROUP BY kom";
    let plan = ranged(planned(&ctx, sql).await, Zone::Open, &SchemaRoles).unwrap();
    let (_, notes) = explain(&plan, &SchemaRoles);
    let told: Vec<(&str, &str)> = notes.iter().map(|note| (note.about.as_str(), note.rule.as_ref())).collect();
    assert_eq!(
        told,
        [
            ("kom", "suppressed: fewer than 5 people"),
            ("n", PERTURBED),
            ("median", PERTURBED),
            ("median", "suppressed: too few people around it"),
            ("indkomst, kom", "resolution"),
        ]
    );
}

/// The range that shown counts tell, from the two statements that count people in intervals and people with a value.
async fn from_shown_counts(
    ctx: &SessionContext,
    ledger: &Arc<crate::release::Ledger>,
    step: f64,
    condition: &str,
) -> String {
    let intervals = format!(
        "SELECT CAST(floor(x / {step}) AS INT) AS k, count(DISTINCT pnr) AS n FROM t WHERE x IS NOT NULL {condition} GROUP BY 1"
    );
    let mut cells: Vec<(i64, u64)> = after(ctx, ledger, &intervals)
        .await
        .iter()
        .filter(|row| row[1] != "NULL")
        .map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap()))
        .collect();
    cells.sort_unstable();
    let all =
        after(ctx, ledger, &format!("SELECT count(DISTINCT pnr) AS n FROM t WHERE x IS NOT NULL {condition}")).await;
    let counts: Vec<u64> = cells.iter().map(|cell| cell.1).collect();
    let Ok(people) = all[0][0].parse() else { return "NULL".to_owned() };
    quantile::range(&counts, people, 0.5).map_or("NULL".to_owned(), |(first, last)| {
        let grid = Grid::of(step).unwrap();
        format!("{} to {}", cells[first].0 as f64 * step, grid.ends(cells[last].0 as f64 * step))
    })
}

/// Steps and limits are moved as an attacker likes; each answer is the one that the counts by interval, which are answered anyway, tell.
#[tokio::test]
async fn attack_walking_steps_and_limits_of_ranges_tells_nothing_beyond_shown_counts() {
    let mut random = Random(11);
    let rows: Vec<Row> =
        (0..900).map(|person| (person, Some(1), Some((random.part() * random.part() * 1_000.0).floor()))).collect();
    let ctx = table(&rows, 5);
    let ledger = Arc::default();
    let mut told = 0;
    for step in [7.0, 25.0, 40.0, 100.0, 333.0] {
        for limit in [1_000, 600, 412, 411, 410, 409, 150] {
            let condition = format!("AND x < {limit}");
            let counts = from_shown_counts(&ctx, &ledger, step, &condition).await;
            let sql = format!("SELECT quantile_range(x, 0.5, {step}) AS q FROM t WHERE x IS NOT NULL {condition}");
            let range = after(&ctx, &ledger, &sql).await[0][0].clone();
            assert_eq!(range, counts, "{sql}");
            told += usize::from(range != "NULL");
        }
    }
    assert!(told > 10, "{told}");
}

/// Whether one person is among those of whom a range is told: asked with and without them, at steps at which their interval has more
/// people than fall by lot.
#[tokio::test]
async fn attack_difference_of_ranges_by_one_person_is_answered_alike() {
    let mut alike = 0;
    for project in 0..6 {
        let mut random = Random(project + 100);
        // The person is the only one of part 41 with such a value.
        let mut rows: Vec<Row> = (0..3_000)
            .filter(|person| person % 100 != 41)
            .map(|person| (person, Some(1), Some((random.part() * 999.0).floor())))
            .collect();
        rows.push((5_041, Some(1), Some(505.0)));
        let ctx = table(&rows, project);
        let ledger = Arc::default();
        for step in [20, 50, 75, 100, 200] {
            let sql = |condition: &str| {
                format!(
                    "SELECT quantile_range(x, 0.5, {step}) AS q, quantile_range(x, 0.8, {step}) AS r FROM t WHERE kom = 1 {condition}"
                )
            };
            let with = after(&ctx, &ledger, &sql("")).await;
            assert_eq!(after(&ctx, &ledger, &sql("AND del <> 41")).await, with, "{step}");
            alike += usize::from(with[0][0] != "NULL");
        }
    }
    assert!(alike > 15, "{alike}");
}

/// Steps so fine that nobody shares an interval: no range, and so nobody's value.
#[tokio::test]
async fn attack_fine_steps_of_ranges_show_no_value() {
    let mut random = Random(21);
    let rows: Vec<Row> =
        (0..120).map(|person| (person, Some(1), Some(f64::from(person) * 8.0 + random.below(8) as f64))).collect();
    let ctx = table(&rows, 9);
    for (step, seen) in [("0.001", false), ("1", false), ("8", false), ("20", false), ("200", true)] {
        for fraction in ["0.5", "0.3", "0.01", "0.99"] {
            let sql = format!(
                "SELECT quantile_range(x, {fraction}, {step}) AS q, quantile_low(x, {fraction}, {step}) AS l FROM t"
            );
            let row = answer(&ctx, &sql).await.remove(0);
            let (told, status) = (row[0] != "NULL" || row[1] != "NULL", row[2].as_str());
            assert_eq!(told, seen && ["0.5", "0.3"].contains(&fraction), "{sql} {row:?}");
            assert_eq!(status.contains(FEW), !told, "{row:?}");
        }
    }
}

/// The median is the value of one person, who is alone between others: no range begins or ends there, and it is the same without them.
#[tokio::test]
async fn attack_a_lone_person_in_an_interval_is_in_no_range_of_their_own() {
    for project in 0..8 {
        let mut rows = clusters(&[100.0, 300.0, 700.0, 900.0], 40);
        let without = answer(&table(&rows, project), "SELECT quantile_range(x, 0.5) AS q FROM t").await;
        rows.push((50_000, Some(1), Some(555.0)));
        let ctx = table(&rows, project);
        assert_eq!(inside(&ctx, "SELECT quantile_range(x, 0.5) AS q FROM t").await, [["500 to 600"]]);
        for step in ["", ", 100", ", 1", ", 50"] {
            let sql = format!("SELECT quantile_low(x, 0.5{step}) AS l, quantile_high(x, 0.5{step}) AS h FROM t");
            let row = answer(&ctx, &sql).await.remove(0);
            if row[0] != "NULL" {
                let [low, high] = [0, 1].map(|at: usize| row[at].parse::<f64>().unwrap());
                assert!(low < 400.0 && high > 700.0, "{row:?}");
            }
        }
        let with = answer(&ctx, "SELECT quantile_range(x, 0.5) AS q FROM t").await;
        assert_eq!(with, without);
        assert_eq!(with[0][0], "300 to 800", "{with:?}");
    }
}
