//! A hub process that has put blind totals together holds nobody's own number: each member's has a pattern of its own, which
//! is looked for in the process' memory and logs.

use super::members::{Prepared, lab, prepared};
use crate::{
    client::Client,
    house::ANNA,
    issuer::{ISSUER, Issuer},
    spoke::Spoke,
    workspace,
};
use arrow::{array::AsArray, datatypes::Int64Type};
use hub::{apply::Applications, config::HubConfig, identify::TokenStore};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Numbers of members: bytes that stand nowhere by chance. Three of them add up within 63 bits.
const TAGS: [i64; 3] = [0x1e37_79b9_7f4a_7c15, 0x0f58_476d_1ce4_e5b9, 0x14d0_49bb_1331_11eb];

/// A number in all forms in which it could stand somewhere.
fn forms(number: i64) -> Vec<Vec<u8>> {
    let (text, hex) = (number.to_string(), format!("{number:x}"));
    let grouped: Vec<&str> =
        text.as_bytes().rchunks(3).rev().map(|digits| std::str::from_utf8(digits).unwrap()).collect();
    vec![
        number.to_le_bytes().to_vec(),
        number.to_be_bytes().to_vec(),
        text.clone().into_bytes(),
        grouped.join(",").into_bytes(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
    ]
}

/// Which of the numbers stand in a file.
fn found(file: &Path, numbers: &[i64]) -> Vec<i64> {
    let bytes = std::fs::read(file).unwrap();
    let forms: Vec<(i64, Vec<u8>)> =
        numbers.iter().flat_map(|number| forms(*number).into_iter().map(|form| (*number, form))).collect();
    // A gigabyte without optimisation: looked at closely only where the first two bytes are a form's.
    let mut begins = vec![false; 1 << 16];
    for (_, form) in &forms {
        begins[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
    }
    let mut found = std::collections::BTreeSet::new();
    let mut two = 0;
    for (at, byte) in bytes.iter().enumerate() {
        two = (two << 8 | usize::from(*byte)) & 0xffff;
        if begins[two] && at > 0 {
            let rest = &bytes[at - 1..];
            found.extend(forms.iter().filter(|(_, form)| rest.starts_with(form)).map(|(number, _)| *number));
        }
    }
    numbers.iter().copied().filter(|number| found.contains(number)).collect()
}

/// A hub in a process of its own.
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Does nothing to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn image(&self, name: &str) -> PathBuf {
        let prefix = self.folder.join(name);
        let said = Command::new("gcore").arg("-o").arg(&prefix).arg(self.child.id().to_string()).output();
        let said = said.expect("gcore (Debian's package gdb)");
        let image = self.folder.join(format!("{name}.{}", self.child.id()));
        assert!(image.is_file(), "{}", String::from_utf8_lossy(&said.stderr));
        image
    }
}

/// Starts a hub as a process over these spokes; gives where its open zone listens, and a token of Anna's.
async fn start(
    folder: &Path,
    more: &str,
    spokes: &[(Spoke, std::net::SocketAddr)],
) -> (Process, std::net::SocketAddr, String) {
    let issuer = Issuer::new(1, ISSUER);
    let mut text = format!(
        "name = \"main\"\n[listen]\nopen = \"127.0.0.1:0\"\nenclave = \"127.0.0.1:0\"\n[link]\ncert = \"keys/link.crt\"\n\
         key = \"keys/link.key\"\nca = \"keys/link-ca.crt\"\n{}{more}",
        issuer.table(folder)
    );
    for (spoke, address) in spokes {
        text.push_str(&format!("[[spoke]]\ncontroller = \"{}\"\naddress = \"{address}\"\n", spoke.controller));
    }
    let path = folder.join("hub.toml");
    std::fs::write(&path, text).unwrap();
    let config = HubConfig::load(&path).unwrap();
    let applications = Applications::new(&TokenStore::open(&config.database()).await.unwrap());
    let controllers: Vec<String> = spokes.iter().map(|(spoke, _)| spoke.controller.clone()).collect();
    workspace::open(&applications, "diabetes", &[ANNA], &controllers).await;
    let ready = folder.join("ready.json");
    let log = std::fs::File::create(folder.join("hub.log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_hub"))
        .args(["serve", "--config"])
        .arg(&path)
        .arg("--ready-file")
        .arg(&ready)
        .env("EGER_LOG", "trace")
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    let mut process = Process { child, folder: folder.to_owned() };
    let mut look = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..1200 {
        look.tick().await;
        assert!(process.child.try_wait().unwrap().is_none(), "the hub has ended: {}", log_of(folder));
        if let Ok(at) = runtime::ready::read(&ready) {
            return (process, at["open"], issuer.token(ANNA, 600));
        }
    }
    panic!("the hub doesn't start: {}", log_of(folder));
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("hub.log")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_a_hub_process_searched_for_members_numbers_holds_the_total_alone() {
    let rows = (0..3).map(|n| {
        let place = usize::try_from(n).unwrap();
        // Nine people have nothing: the tenth has the member's whole number, which so stands in its rows as well.
        let mut rows = lab(n * 1000..n * 1000 + 10, 0, 1000);
        let whole = arrow::array::Int64Array::from_iter_values((0..10).map(|i| if i == 0 { TAGS[place] } else { 1 }));
        let mut columns = rows[0].columns().to_vec();
        columns[1] = std::sync::Arc::new(whole);
        rows[0] = arrow::array::RecordBatch::try_new(rows[0].schema(), columns).unwrap();
        rows
    });
    let Prepared { build, spokes, third: _third } = prepared("disjoint", rows.collect()).await;
    let spokes: Vec<_> = spokes.into_iter().zip(build.addresses()).collect();
    let (process, open, token) = start(build.path(), &build.more, &spokes).await;
    let mut anna = Client::connect(open, &token).await.project("diabetes");
    let sum = |filter: &str| format!("SELECT count(*) AS n, sum(tag) AS tag FROM national.lab{filter}");
    for _ in 0..3 {
        let batches = anna.sql(&sum("")).await.unwrap();
        let total = batches[0].column_by_name("tag").unwrap().as_primitive::<Int64Type>().value(0);
        assert_eq!(total, TAGS.iter().sum::<i64>() + 27);
    }
    let own: Vec<i64> = TAGS.iter().map(|tag| tag + 9).collect();
    let all = [TAGS.to_vec(), own.clone()].concat();
    let image = process.image("after");
    assert_eq!(found(&image, &all), [0_i64; 0], "in the hub's memory");
    // The same search finds what the hub does know: the statement that it was asked.
    let planted = TAGS[0];
    anna.sql(&sum(&format!(" WHERE tag <> {planted}"))).await.unwrap();
    assert_eq!(found(&process.image("planted"), &all), [planted], "a planted number is not found in the hub's memory");
    // Logs and everything else on its disk, where the planted one is in the image alone.
    let files = ["hub.log", "hub.db", "hub.toml"].map(|name| build.path().join(name));
    assert!(std::fs::metadata(&files[0]).unwrap().len() > 10_000, "the hub logs nothing: {}", log_of(build.path()));
    for file in &files {
        assert_eq!(found(file, &all[1..]), [0_i64; 0], "{}", file.display());
    }
    let log = build.path().join("hub.log");
    std::fs::write(build.path().join("planted.log"), format!("{}\n{}\n", log_of(build.path()), own[1])).unwrap();
    assert_eq!(found(&build.path().join("planted.log"), &all[1..]), [own[1]], "{}", log.display());
}
