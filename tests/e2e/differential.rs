//! Random questions to the demo's registers at their four spokes get the answer that one engine gives over the same rows
//! in one place. The grammar is the one of the hub's tests over simulated spokes.

use crate::{
    fixture::{Running, number, start},
    grammar::{Registers, Source, ordered, placed, question, seeds, shown},
};
use anyhow::{Context, Result, ensure};
use datafusion::{
    catalog::MemTable,
    prelude::{SessionConfig, SessionContext},
};
use demo::{
    oracle::Oracle,
    registers::{TABLES, Table},
};
use std::sync::Arc;

const QUESTIONS: u64 = 60;

const LAB: &[&str] = &["l.value"];

const REGISTERS: Registers = Registers {
    tables: &["bef", "lmdb", "kontakt", "diagnose", "lab_h", "lab_m"],
    sources: SOURCES,
    text: "A10BA02",
    like: "A10%",
    texts: "'DE119', 'NPU27300', 'Region Hovedstaden', 'C10AA01', 'ALCA00'",
    pattern: "^[A-D]",
    day: "2021-01-01",
    cohort: "SELECT pnr FROM {lmdb} WHERE atc LIKE 'A10%'",
    event: "SELECT 1 FROM {lab_h} e WHERE e.pnr = {p} AND e.value > 40",
    number: "SELECT avg(value) FROM {lab_m}",
};

const SOURCES: &[Source] = &[
    Source {
        text: "{lmdb} m LEFT JOIN (SELECT * FROM {bef} WHERE year = 2024) b ON b.pnr = m.pnr AND b.koen > 1",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.region"],
        whole: &["m.apk", "b.koen"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    Source {
        text: "{lmdb} m",
        person: &["m.pnr"],
        text_columns: &["m.atc", "m.indo"],
        whole: &["m.apk"],
        real: &["m.volume"],
        day: &["m.eksd"],
    },
    Source {
        text: "{bef} b",
        person: &["b.pnr"],
        text_columns: &["b.region", "b.kom_navn"],
        whole: &["b.koen", "b.kom", "b.year"],
        real: &["(b.kom / 4.0)"],
        day: &["b.foed_dag"],
    },
    Source {
        text: "{kontakt} k JOIN {diagnose} d ON k.dw_ek_kontakt = d.dw_ek_kontakt",
        person: &["k.pnr", "d.pnr"],
        text_columns: &["d.diag_kode", "k.kont_type"],
        whole: &["character_length(d.diag_kode)"],
        real: &["date_part('hour', k.kont_starttidspunkt) / 4.0"],
        day: &["k.kont_starttidspunkt"],
    },
    Source {
        text: "{kontakt} k LEFT JOIN {diagnose} d ON k.dw_ek_kontakt = d.dw_ek_kontakt AND d.diag_kode LIKE 'DE1%'",
        person: &["k.pnr"],
        text_columns: &["d.diag_kode", "k.enhed_navn"],
        whole: &["character_length(d.diag_kode)"],
        real: &["date_part('hour', k.kont_starttidspunkt) / 4.0"],
        day: &["k.kont_starttidspunkt"],
    },
    Source {
        text: "{bef} b JOIN {lmdb} m ON b.pnr = m.pnr AND b.year = 2024",
        person: &["b.pnr"],
        text_columns: &["b.region", "m.atc"],
        whole: &["b.koen", "m.apk"],
        real: &["m.volume"],
        day: &["b.foed_dag", "m.eksd"],
    },
    Source {
        text: "(SELECT * FROM {bef} WHERE year = 2023) b LEFT JOIN {lab_m} l ON b.pnr = l.pnr",
        person: &["b.pnr"],
        text_columns: &["b.kom_navn", "l.analysiscode"],
        whole: &["b.koen", "b.kom"],
        real: LAB,
        day: &["b.foed_dag", "l.samplingdate"],
    },
    Source {
        text: "(SELECT *, CAST(date_part('month', samplingdate) AS INT) AS month FROM {lab_h} \
               UNION ALL SELECT *, CAST(date_part('month', samplingdate) AS INT) FROM {lab_m}) l",
        person: &["l.pnr"],
        text_columns: &["l.analysiscode", "l.unit"],
        whole: &["l.month"],
        real: LAB,
        day: &["l.samplingdate"],
    },
    Source {
        text: "{bef} b JOIN (SELECT * FROM {lab_h} UNION ALL SELECT * FROM {lab_m}) l ON b.pnr = l.pnr AND b.year = 2022",
        person: &["b.pnr"],
        text_columns: &["b.region", "l.analysiscode"],
        whole: &["b.koen"],
        real: LAB,
        day: &["l.samplingdate"],
    },
    Source {
        text: "(SELECT * FROM {bef} WHERE year = 2024) b JOIN {kontakt} k ON b.pnr = k.pnr \
               JOIN {diagnose} d ON d.dw_ek_kontakt = k.dw_ek_kontakt JOIN {lab_h} l ON l.pnr = b.pnr",
        person: &["b.pnr"],
        text_columns: &["b.region", "d.diag_kode", "l.analysiscode"],
        whole: &["b.koen"],
        real: LAB,
        day: &["l.samplingdate"],
    },
    Source {
        text: "(SELECT pnr, atc, count(*) AS n, sum(volume) AS v FROM {lmdb} GROUP BY pnr, atc) m \
               JOIN (SELECT * FROM {bef} WHERE year = 2024) b ON b.pnr = m.pnr",
        person: &["m.pnr"],
        text_columns: &["m.atc", "b.region"],
        whole: &["m.n"],
        real: &["m.v"],
        day: &["b.foed_dag"],
    },
    Source {
        text: "{lab_h} a JOIN {lab_m} l ON a.pnr = l.pnr AND a.samplingdate < l.samplingdate",
        person: &["a.pnr"],
        text_columns: &["a.analysiscode", "l.analysiscode"],
        whole: &["character_length(l.unit)"],
        real: &["a.value", "l.value"],
        day: &["a.samplingdate"],
    },
];

/// The name of a register in questions.
fn short(table: &Table) -> &'static str {
    match (table.controller, table.name) {
        ("region-h", _) => "lab_h",
        ("region-m", _) => "lab_m",
        (_, "lpr_a_kontakt") => "kontakt",
        (_, "lpr_a_diagnose") => "diagnose",
        (_, name) => name,
    }
}

/// One engine over all that the project may see, fetched once: pseudonyms stand in for people here too.
async fn local(running: &Running) -> Result<SessionContext> {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let oracle = Oracle::open(&running.platform.registers_dir())?;
    let mut enclave = running.enclave().await?;
    for table in TABLES {
        let name = format!("\"{}\".{}", table.controller, table.name);
        let rows = enclave.ask(&format!("SELECT * FROM {name}")).await?;
        // By the files themselves, which the platform has no part in.
        let filter = table.row_filter.map_or_else(String::new, |filter| format!(" WHERE {filter}"));
        let count = number(&oracle.ask(&format!("SELECT count(*) FROM {name}{filter}")).await?)?;
        ensure!(count > 0 && i64::try_from(rows.num_rows())? == count, "{name}: {} of {count} rows", rows.num_rows());
        let memory = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        session.register_table(short(table), Arc::new(memory))?;
    }
    Ok(session)
}

#[tokio::test(flavor = "multi_thread")]
async fn differential_random_questions_to_real_spokes_equal_the_local_answer() -> Result<()> {
    let running = start(300).await?;
    let local = local(&running).await?;
    let at = |name: &str| {
        let table = TABLES.into_iter().find(|table| short(table) == name);
        table.map_or_else(String::new, |table| format!("\"{}\".{}", table.controller, table.name))
    };
    let mut enclave = running.enclave().await?;
    let (mut answered, mut empty, mut wrong) = (0_usize, 0_usize, Vec::new());
    for seed in seeds(QUESTIONS) {
        let sql = question(&REGISTERS, seed);
        #[allow(clippy::disallowed_methods, reason = "the engine by itself, which knows only these tables")]
        let frame = local.sql(&placed(&REGISTERS, &sql, str::to_owned)).await;
        // What one engine can't answer is no question, such as an aggregate that overflows.
        let Ok(truth) = frame.with_context(|| format!("seed {seed}: {sql}"))?.collect().await else { continue };
        let truth = shown(&truth, ordered(&sql));
        empty += usize::from(truth.is_empty());
        println!("ASK {seed} {sql}");
        match enclave.ask(&placed(&REGISTERS, &sql, at)).await {
            Ok(answer) if shown(std::slice::from_ref(&answer), ordered(&sql)) == truth => answered += 1,
            Ok(answer) => wrong
                .push(format!("seed {seed}: {sql}\n  got  {:?}\n  want {truth:?}", shown(&[answer], ordered(&sql)))),
            Err(refused) => wrong.push(format!("seed {seed}: {sql}\n  refused: {refused}")),
        }
    }
    let all = answered + wrong.len();
    ensure!(wrong.is_empty(), "{} wrong of {all}:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    println!("{answered} answers equal the local one, {empty} of them without rows");
    ensure!(answered > 0, "nothing was asked");
    running.platform.stop().await?;
    Ok(())
}
