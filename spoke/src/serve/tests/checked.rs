//! Cells that the spoke checks itself: what leaves under a permit whose output is `spoke_aggregates`, however a hub asks.

use super::fixture::{Fixture, Hub, Server, envelope, permit, read_of, request, tables_of};
use arrow::{
    array::{ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use arrow_flight::Ticket;
use datafusion::{
    datasource::MemTable,
    logical_expr::LogicalPlan,
    prelude::{SessionConfig, SessionContext, col, lit},
};
use futures::TryStreamExt;
use policies::{
    disclosure::{
        Threshold,
        noise::{CellKey, perturbed},
    },
    permit::{Output, Permit},
    zone,
};
use prost::Message;
use proto::{
    plan,
    refusal::Kind,
    schema,
    wire::{self, MeasureKind, Rel, ScanRequest, Zone, key_list},
};
use release::{Ledger, SchemaRoles};
use std::{collections::HashMap, sync::Arc};

/// Municipalities and their people; of F one has nearly everything.
const KOM: [(&str, usize); 6] = [("A", 40), ("B", 12), ("C", 7), ("D", 3), ("E", 1), ("F", 12)];
/// The amount of the only person of E.
const PLANTED: i64 = 0x0123_4567_89ab_cdef;
/// That of the one in F.
const LARGE: i64 = 5_000_000;

const PEOPLE: &str = "[[table]]\nname = \"people\"\ncolumns = [\"pnr\", \"kom\", \"amount\"]\n";

fn columns() -> SchemaRef {
    let person = HashMap::from([(schema::ROLE.to_owned(), schema::PERSON.to_owned())]);
    Arc::new(Schema::new(vec![
        Field::new("pnr", DataType::FixedSizeBinary(16), true).with_metadata(person),
        Field::new("kom", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, true),
    ]))
}

/// Each person's municipality and amount, by place among the stored people.
fn people() -> Vec<(&'static str, i64)> {
    let each = KOM.iter().flat_map(|(kom, people)| std::iter::repeat_n(*kom, *people));
    let amount = |(at, kom): (usize, &'static str)| match kom {
        "E" => (kom, PLANTED),
        "F" if at == KOM.iter().map(|(_, people)| people).sum::<usize>() - 1 => (kom, LARGE),
        _ => (kom, 100 + 3 * i64::try_from(at).unwrap()),
    };
    each.enumerate().map(amount).collect()
}

struct Place {
    spoke: Fixture,
    server: Server,
    hub: Hub,
}

impl Place {
    async fn new(output: Output) -> Self {
        Self::at(Fixture::new().await, output).await
    }

    async fn at(spoke: Fixture, output: Output) -> Self {
        let rows = people();
        let pnr = FixedSizeBinaryArray::try_from_iter(spoke.stored.iter().take(rows.len()).copied()).unwrap();
        let kom = StringArray::from_iter_values(rows.iter().map(|(kom, _)| *kom));
        let amount = Int64Array::from_iter_values(rows.iter().map(|(_, amount)| *amount));
        let batch: Vec<ArrayRef> = vec![Arc::new(pnr), Arc::new(kom), Arc::new(amount)];
        let batch = RecordBatch::try_new(columns(), batch).unwrap();
        spoke.publish_batch("people", &batch, 1_000).await;
        spoke.sign(of(output));
        let server = spoke.serve().await;
        let hub = spoke.hub(&server);
        Self { spoke, server, hub }
    }

    async fn ask(&mut self, root: Rel) -> Result<Vec<RecordBatch>, proto::refusal::Refusal> {
        self.hub.ask(&open(root)).await
    }

    /// A statement as an honest hub asks it, answered: its columns as text, sorted.
    async fn sql(&mut self, sql: &str) -> Vec<Vec<String>> {
        let asked = analysed(&context(&[]), sql).await;
        let root = plan::say(&asked).unwrap().fragment.root.unwrap();
        let shown = asked.schema().fields().len();
        texts(&self.ask(root).await.unwrap(), shown)
    }
}

/// Off: whoever asks for enough averages noise away.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_that_checks_its_cells_shows_no_more_new_numbers_than_its_cap() {
    let spoke = Fixture::with("statistics_per_day = 5\n").await;
    let mut place = Place::at(spoke, Output::SpokeAggregates).await;
    // three or four groups that are shown, and the row of small ones
    let asked = "SELECT kom, count(DISTINCT pnr) AS n FROM people GROUP BY kom";
    let first = place.sql(asked).await;
    let more = "SELECT kom, sum(amount) AS s FROM people GROUP BY kom";
    let more = plan::say(&analysed(&context(&[]), more).await).unwrap().fragment.root.unwrap();
    let refusal = place.ask(more).await.unwrap_err();
    assert_eq!(refusal.kind, Kind::Exhausted);
    assert!(refusal.message.contains("5 new ones a day (UTC)"), "{refusal}");
    assert_eq!(place.sql(asked).await, first);
}

fn of(output: Output) -> Permit {
    Permit { output, tables: tables_of(PEOPLE), ..permit("diabetes") }
}

fn open(root: Rel) -> ScanRequest {
    let mut request = request(root);
    request.envelope.as_mut().unwrap().zone = Zone::Open.into();
    request
}

/// A session that has the table with these rows.
fn context(rows: &[RecordBatch]) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().execution.skip_physical_aggregate_schema_check = true;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    let fitting = |batch: &RecordBatch| {
        let kom = arrow::compute::cast(batch.column(1), &DataType::Utf8).unwrap();
        RecordBatch::try_new(columns(), vec![Arc::clone(batch.column(0)), kom, Arc::clone(batch.column(2))]).unwrap()
    };
    let table = MemTable::try_new(columns(), vec![rows.iter().map(fitting).collect()]).unwrap();
    context.register_table("people", Arc::new(table)).unwrap();
    context
}

async fn analysed(context: &SessionContext, sql: &str) -> LogicalPlan {
    let state = context.state();
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap()
}

/// The first columns as text, sorted by rows.
fn texts(batches: &[RecordBatch], shown: usize) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
            rows.push(batch.columns().iter().take(shown).map(cell).collect());
        }
    }
    rows.sort();
    rows
}

fn column(name: &str) -> Option<wire::Expr> {
    Some(plan::encode_expr(&col(name)).unwrap())
}

fn by(keys: &[&str], measures: Vec<wire::NamedMeasure>) -> Rel {
    let keys = keys.iter().map(|key| plan::named(*key, column(key).unwrap())).collect();
    plan::aggregate(read_of("people", &["pnr", "kom", "amount"]), keys, measures)
}

fn only(kom: &str) -> Rel {
    let condition = plan::encode_expr(&col("kom").eq(lit(kom))).unwrap();
    plan::filter(read_of("people", &["pnr", "kom", "amount"]), condition)
}

/// The first row's number.
fn number(batches: &[RecordBatch]) -> Option<i64> {
    let column = batches.iter().find(|batch| batch.num_rows() > 0)?.column(0).as_primitive::<Int64Type>().clone();
    column.iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoke_releases_cell_by_cell_what_the_hubs_open_zone_would_show_of_the_same_people() {
    let statements = [
        "SELECT count(*) AS n FROM people",
        "SELECT kom, count(*) AS n FROM people GROUP BY kom",
        "SELECT kom, count(DISTINCT pnr) AS n, sum(amount) AS s, avg(amount) AS m FROM people GROUP BY kom",
        "SELECT kom, count(DISTINCT pnr) FILTER (WHERE amount > 150) AS n FROM people GROUP BY kom",
        "SELECT kom, avg(CASE WHEN amount > 160 THEN 1 ELSE 0 END) AS share, stddev(amount) AS d FROM people GROUP BY kom",
        "SELECT kom, n FROM (SELECT kom, count(amount) AS n FROM people WHERE amount > 120 GROUP BY kom) g WHERE n > 6",
        "SELECT DISTINCT kom FROM people",
        "SELECT n, count(*) AS people FROM (SELECT pnr, count(*) AS n FROM people GROUP BY pnr) e GROUP BY n",
    ];
    // As the hub has them: rows under the same project's pseudonyms.
    let mut place = Place::new(Output::HubAggregates).await;
    let rows = place.ask(read_of("people", &["pnr", "kom", "amount"])).await.unwrap();
    let at_hub = context(&rows);
    let ledger = Arc::new(Ledger::default());
    let mut shown = Vec::new();
    for sql in statements {
        let released = release::analyse(analysed(&at_hub, sql).await, zone::Zone::Open, &SchemaRoles, &ledger).unwrap();
        let answer = at_hub.execute_logical_plan(released.into_inner()).await.unwrap().collect().await.unwrap();
        let columns = answer.first().map_or(1, RecordBatch::num_columns) - 1;
        shown.push(texts(&answer, columns));
    }
    place.spoke.sign(of(Output::SpokeAggregates));
    for (sql, expected) in statements.iter().zip(&shown) {
        assert!(!expected.is_empty(), "{sql}");
        assert_eq!(place.sql(sql).await, *expected, "{sql}");
    }
    // Again, and after the spoke was started anew: the same, from what it has written down.
    for _ in 0..2 {
        let Place { spoke, server, .. } = place;
        server.shutdown.cancel();
        server.task.await.unwrap().unwrap();
        let server = spoke.serve().await;
        let hub = spoke.hub(&server);
        place = Place { spoke, server, hub };
        assert_eq!(place.sql(statements[2]).await, shown[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_groups_come_as_one_row_and_say_which_rule_hid_them() {
    let mut place = Place::new(Output::SpokeAggregates).await;
    let count = || vec![plan::measure("n", MeasureKind::Count, None)];
    let folded = |batches: &[RecordBatch]| {
        let mut found = Vec::new();
        for batch in batches {
            let (keys, rules) = (batch.column(0), batch.column_by_name("hidden_1").unwrap());
            let rules = rules.as_primitive::<UInt8Type>();
            found.extend((0..batch.num_rows()).filter(|row| keys.is_null(*row)).map(|row| rules.value(row)));
        }
        found
    };
    let answer = place.ask(by(&["kom"], count())).await.unwrap();
    // Groups just above the threshold are among the small ones by lot: C, which has seven people.
    assert_eq!(folded(&answer), [1]);
    assert!((4..=5).contains(&super::fixture::count(&answer)));
    // A permit asks for larger groups.
    place.spoke.sign(Permit { threshold: Some(10), ..of(Output::SpokeAggregates) });
    let answer = place.ask(by(&["kom"], count())).await.unwrap();
    // A has enough, B and F have twelve.
    assert_eq!(folded(&answer), [110]);
    assert!((2..=4).contains(&super::fixture::count(&answer)));
    let told = place.hub.catalogue(wire::Envelope { zone: Zone::Open.into(), ..envelope() }).await.unwrap();
    assert_eq!((told.checked.unwrap().threshold, told.threshold), (10, 10));
    // Whatever leaves, whoever makes numbers of it is told.
    for (output, threshold, wanted) in
        [(Output::HubAggregates, Some(12), 12), (Output::EnclaveRows, Some(9), 9), (Output::HubAggregates, None, 5)]
    {
        place.spoke.sign(Permit { threshold, ..of(output) });
        let told = place.hub.catalogue(wire::Envelope { zone: Zone::Open.into(), ..envelope() }).await.unwrap();
        assert_eq!((told.checked, told.threshold), (None, wanted), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_hostile_hub_asks_a_spoke_that_checks_its_cells_for_rows_and_keys() {
    let mut place = Place::new(Output::SpokeAggregates).await;
    let measure = |kind, argument: &str| vec![plan::measure("x", kind, column(argument))];
    let people = |kind| wire::NamedMeasure {
        name: "x".to_owned(),
        measure: Some(wire::Measure {
            kind: MeasureKind::Contributions.into(),
            argument: column("pnr"),
            value: kind,
            filter: None,
        }),
    };
    let amount = plan::encode_expr(&datafusion::logical_expr::cast(col("amount"), DataType::Float64)).unwrap();
    let limited = plan::limit(read_of("people", &["pnr", "kom", "amount"]), 5);
    let asked = [
        ("rows", read_of("people", &["pnr", "kom", "amount"])),
        ("rows without the person", read_of("people", &["kom", "amount"])),
        ("one person's row", only("E")),
        (
            "who is in it",
            plan::aggregate(read_of("people", &["pnr"]), vec![plan::named("pnr", column("pnr").unwrap())], vec![]),
        ),
        ("a number for each person", by(&["pnr"], vec![plan::measure("n", MeasureKind::Count, None)])),
        ("the largest", by(&["kom"], measure(MeasureKind::Max, "amount"))),
        ("a person's pseudonym as the smallest", by(&["kom"], measure(MeasureKind::Min, "pnr"))),
        ("who its people are, for a count to be merged", by(&["kom"], measure(MeasureKind::Persons, "pnr"))),
        ("what its people contribute, for a sum to be merged", by(&["kom"], vec![people(Some(amount))])),
        ("a sum over some rows", plan::aggregate(limited, vec![], measure(MeasureKind::Sum, "amount"))),
        (
            "a part without the people",
            plan::aggregate(read_of("people", &["kom"]), vec![], vec![plan::measure("n", MeasureKind::Count, None)]),
        ),
    ];
    for (what, root) in asked {
        let refusal = place.ask(root).await.map(|rows| texts(&rows, 9)).expect_err(what);
        assert!([Kind::Denied, Kind::Invalid].contains(&refusal.kind), "{what}: {refusal}");
        assert!(!refusal.message.contains(&PLANTED.to_string()), "{what}: {refusal}");
    }
    // In the enclave there is nothing at all.
    assert_eq!(place.hub.ask(&request(only("A"))).await.unwrap_err().kind, Kind::Denied);
    // Lists choose people.
    let count = || plan::aggregate(only("A"), vec![], vec![plan::measure("n", MeasureKind::Count, None)]);
    let ids = wire::KeyList { kind: Some(key_list::Kind::Numbers(wire::Numbers { values: vec![1] })) };
    let refusal = place.hub.ask(&ScanRequest { keys: vec![ids], ..open(count()) }).await.unwrap_err();
    assert!(refusal.message.contains("key lists"), "{refusal}");
    // Nor is it told how many there are.
    let told = place.hub.catalogue(wire::Envelope { zone: Zone::Open.into(), ..envelope() }).await.unwrap();
    let table = &told.tables[0];
    assert_eq!((table.name.as_str(), table.rows, table.bytes, table.persons), ("people", 0, 0, 0));
    assert!(table.columns.iter().all(|column| column.distinct == 0 && column.nulls == 0));
    assert!(place.ask(count()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_hostile_hub_gets_no_small_cell_and_no_raw_number_from_a_spoke_that_checks_its_cells() {
    let mut place = Place::new(Output::SpokeAggregates).await;
    let n = || vec![plan::measure("n", MeasureKind::Count, None)];
    let sum = || vec![plan::measure("s", MeasureKind::Sum, column("amount"))];
    // A group of one to four by its name, however it is asked for: there is one, and that is all.
    for kom in ["D", "E"] {
        for measures in [n(), sum(), vec![plan::measure("p", MeasureKind::CountDistinct, column("pnr"))]] {
            let answer = place.ask(plan::aggregate(only(kom), vec![], measures)).await.unwrap();
            assert_eq!(number(&answer), None, "{kom}");
        }
    }
    // A sum of fewer than ten, and one that one person dominates, who counts as others do there.
    for (kom, most) in [("C", None), ("F", Some(12 * 600))] {
        let shown = number(&place.ask(plan::aggregate(only(kom), vec![], sum())).await.unwrap());
        assert!(shown <= most && most.is_none_or(|most| most < LARGE / 100), "{kom}: {shown:?}");
    }
    // Those that are shown aren't what they are, for one at least of some.
    let exact: HashMap<&str, i64> = KOM.iter().map(|(kom, people)| (*kom, i64::try_from(*people).unwrap())).collect();
    let answer = place.ask(by(&["kom"], n())).await.unwrap();
    let mut seen = Vec::new();
    for batch in &answer {
        let (kom, shown) = (arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap(), batch.column(1));
        let shown = shown.as_primitive::<Int64Type>();
        seen.extend(kom.as_string::<i32>().iter().zip(shown).map(|(k, n)| (k.map(str::to_owned), n)));
    }
    for (kom, shown) in seen {
        match (kom, shown) {
            (Some(kom), Some(shown)) => assert!((shown - exact[kom.as_str()]).abs() <= 5, "{kom}"),
            (kom, shown) => assert_eq!((kom, shown), (None, None)),
        }
    }
    // On the link there is no byte of the planted number.
    let asked = [plan::aggregate(only("E"), vec![], sum()), by(&["kom"], sum()), by(&["kom", "amount"], n())];
    for root in asked {
        assert!(!on_the_link(&mut place.hub, root).await);
    }
    // With rows that may leave, it is there to be found.
    place.spoke.sign(of(Output::HubAggregates));
    assert!(on_the_link(&mut place.hub, plan::aggregate(only("E"), vec![], sum())).await);
}

/// Whether the planted number is among the bytes of an answer.
async fn on_the_link(hub: &mut Hub, root: Rel) -> bool {
    let answer = hub.flight.do_get(Ticket { ticket: open(root).encode_to_vec().into() }).await.unwrap();
    let messages: Vec<_> = answer.into_inner().try_collect().await.unwrap();
    assert!(messages.len() > 1, "an answer has a schema and rows");
    let mut bytes =
        messages.iter().flat_map(|message| [&message.data_body, &message.data_header, &message.app_metadata]);
    bytes.any(|bytes| bytes.windows(8).any(|window| *window == PLANTED.to_le_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_difference_by_one_person_at_a_spoke_that_checks_its_cells_is_answered_alike() {
    let mut place = Place::new(Output::SpokeAggregates).await;
    let without = |amount: i64| {
        let condition = plan::encode_expr(&col("kom").eq(lit("A")).and(col("amount").not_eq(lit(amount)))).unwrap();
        let rows = plan::filter(read_of("people", &["pnr", "kom", "amount"]), condition);
        plan::aggregate(rows, vec![], vec![plan::measure("n", MeasureKind::Count, None)])
    };
    let rows = people();
    let key = |place: &Place, at: usize| place.spoke.pseudonym("diabetes", at)[15];
    let whole = (0..40).fold(0_u8, |sum, at| sum.wrapping_add(key(&place, at)));
    let all = number(&place.ask(without(-1)).await.unwrap()).unwrap();
    let own = |people, key| i64::try_from(perturbed(people, CellKey::new(key), Threshold::DEFAULT)).unwrap();
    assert_eq!(all, own(40, whole));
    let mut told = 0;
    for (at, (_, amount)) in rows.iter().enumerate().take(8) {
        assert_eq!(number(&place.ask(without(*amount)).await.unwrap()).unwrap(), all, "without person {at}");
        told += usize::from(own(39, whole.wrapping_sub(key(&place, at))) != all);
    }
    assert!(told > 0, "noise of their own would have told some of them");
    // Sums and spreads the same.
    let condition = |amount: i64| if amount < 0 { String::new() } else { format!("AND amount <> {amount}") };
    for what in ["sum(amount)", "avg(amount)", "stddev_pop(amount)", "var_samp(amount)"] {
        let sql = |amount: i64| format!("SELECT {what} AS x FROM people WHERE kom = 'A' {}", condition(amount));
        let all = place.sql(&sql(-1)).await;
        assert!(all[0][0] != "NULL", "{what}: {all:?}");
        for (_, amount) in rows.iter().take(8) {
            assert_eq!(place.sql(&sql(*amount)).await, all, "{what}");
        }
    }
}
