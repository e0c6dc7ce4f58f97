//! Quantiles as ranges, over spokes: people who are at several count once in an interval, in both zones alike.

use crate::{
    checked,
    house::{ANNA, Build, House, lab},
    spoke::Spoke,
};
use arrow::{
    array::AsArray,
    datatypes::{DataType, Float64Type},
};
use policies::zone::Zone;
use proto::refusal::Kind;

const LAB: &str = "\"region-h\".lab_forsker";

/// Values 40 to 639, of people of whom 100 are at both regions.
async fn regions() -> (House, Spoke, Spoke) {
    let h = Spoke::new("region-h").offer("diabetes", "lab", checked::hashed(lab(0..350)));
    let m = Spoke::new("region-m").offer("diabetes", "lab", checked::hashed(lab(250..600)));
    let build = Build::new();
    std::fs::create_dir(build.path().join("national")).unwrap();
    let declared = "persons = \"overlapping\"\ndescription_en = \"Results\"\n[[column]]\nname = \"pnr\"\ntype = \"person\"\n\
                    [[column]]\nname = \"value\"\ntype = \"float64\"\n[[column]]\nname = \"kom\"\ntype = \"int64\"\n\
                    [[member]]\ncontroller = \"region-h\"\n[[member]]\ncontroller = \"region-m\"\n";
    std::fs::write(build.path().join("national/lab.toml"), declared).unwrap();
    let house = build.spoke(&h).await.spoke(&m).await.start(&[("diabetes", &[ANNA])]).await;
    (house, h, m)
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_over_several_spokes_are_those_of_the_people_of_all() {
    let (house, h, m) = regions().await;
    let mut open = house.client(ANNA, Zone::Open).await;
    let mut enclave = house.client(ANNA, Zone::Enclave).await;
    let sql = "SELECT kom, count(DISTINCT pnr) AS n, quantile_range(value, 0.5) AS median, quantile_low(value, 0.25, 50) AS q1, \
               quantile_high(value, 0.75, 50) AS q3 FROM national.lab GROUP BY kom ORDER BY kom";
    let (inside, outside) = (enclave.sql(sql).await.unwrap(), open.sql(sql).await.unwrap());
    // 101 and 102 have 300 people each, whose values are 43 to 639; three people are of 999.
    let text = |batches: &[arrow::array::RecordBatch], row: usize| {
        let all = arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
        assert_eq!(all.column(2).data_type(), &DataType::Utf8);
        let ends = [3, 4].map(|at| all.column(at).as_primitive::<Float64Type>().value(row));
        (all.column(2).as_string::<i32>().value(row).to_owned(), ends)
    };
    for kom in [0, 1] {
        assert_eq!(text(&inside, kom), ("300 to 400".to_owned(), [150.0, 500.0]));
        let (median, [low, high]) = text(&outside, kom);
        assert_eq!(median, "300 to 400");
        assert!(low <= 190.0 && 490.0 < high, "{low} {high}");
    }
    let shown = open.shown(sql).await;
    assert!(shown.contains("suppressed: fewer than 5 people") && !shown.contains("999"), "{shown}");
    // People are counted in intervals where they are; no value of anybody comes here.
    for spoke in [&h, &m] {
        let asked = spoke.asked();
        assert!(asked.iter().any(|asked| asked.contains("interval_low(")), "{asked:#?}");
        assert!(asked.iter().all(|asked| asked.contains(" GROUP BY ")), "{asked:#?}");
    }
    let joined =
        "SELECT quantile_range(a.value, 0.5) AS q FROM \"region-h\".lab a JOIN \"region-m\".lab b ON a.pnr = b.pnr";
    // those at both: 290 to 389
    assert!(enclave.shown(joined).await.contains("| 300 to 400 |"));
    let having = "SELECT kom, quantile_low(value, 0.5) AS low FROM national.lab GROUP BY kom \
                  HAVING quantile_low(value, 0.5) > 100 ORDER BY low DESC, kom";
    for client in [&mut open, &mut enclave] {
        let shown = client.shown(having).await;
        assert!(
            shown.contains("| 101 | 300.0") && shown.contains("| 102 | 300.0") && !shown.contains("999"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_spoke_that_checks_its_cells_are_those_of_the_hub() {
    let (plain, checking) = (checked::two().await, checked::checking().await);
    let mut hubs = plain.house.client(ANNA, Zone::Open).await;
    let mut spokes = checking.house.client(ANNA, Zone::Open).await;
    let mut told = 0;
    for sql in [
        format!("SELECT quantile_range(value, 0.5, 20) AS q, count(*) AS n FROM {LAB}"),
        format!(
            "SELECT quantile_range(value, 0.5, 10) AS q, quantile_low(value, 0.5, 15) AS r FROM {LAB} WHERE kom <> 999"
        ),
        format!("SELECT kom, avg(value) AS m, quantile_range(value, 0.5) AS q FROM {LAB} GROUP BY kom ORDER BY kom"),
    ] {
        let shown = hubs.shown(&sql).await;
        assert_eq!(spokes.shown(&sql).await, shown, "{sql}");
        told += usize::from(shown.contains(" to "));
    }
    assert!(told > 0, "no range was told");
    let asked = checking.region.asked();
    assert!(asked.iter().any(|asked| asked.contains("interval_low(")), "{asked:#?}");
    assert!(!asked.iter().any(|asked| asked.contains("persons(")), "{asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_are_asked_wrongly_are_refused_and_say_what_to_write() {
    let two = checked::two().await;
    for zone in [Zone::Open, Zone::Enclave] {
        let mut anna = two.house.client(ANNA, zone).await;
        for (call, why) in [
            ("quantile_range(analysiscode, 0.5)", "a column of numbers"),
            ("quantile_range(value, 1.5)", "above 0 and below 1"),
            ("quantile_range(value, value)", "a constant above 0"),
            ("quantile_range(value, 0.5, 0)", "the width of the intervals"),
            ("quantile_range(DISTINCT value, 0.5)", "Leave it out"),
            ("quantile_range(value, 0.5) OVER ()", "is an aggregate beside others"),
            ("quantile_range(value)", "quantile_range(x, 0.5, 10)"),
        ] {
            let refusal = anna.refused(&format!("SELECT {call} AS q FROM {LAB}")).await;
            assert_eq!(refusal.kind, Kind::Invalid, "{call}: {refusal}");
            assert!(
                refusal.message.contains(why) && refusal.message.contains("This works: SELECT"),
                "{call}: {refusal}"
            );
        }
        let told = anna.shown(&format!("EXPLAIN RELEASE SELECT quantile_range(value, 0.5) AS q FROM {LAB}")).await;
        assert!(told.contains("too few people around it") && told.contains("| q "), "{told}");
    }
    let mut open = two.house.client(ANNA, Zone::Open).await;
    let refusal = open.refused(&format!("SELECT kom, median(value) FROM {LAB} GROUP BY kom")).await;
    assert!(
        refusal.message.contains("SELECT quantile_range(\"value\", 0.5) AS median")
            || refusal.message.contains("SELECT quantile_range(value, 0.5) AS median"),
        "{refusal}"
    );
    assert!(two.region.asked().is_empty(), "no spoke is asked");
}
