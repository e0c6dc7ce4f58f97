//! Researchers who ask at the same time, and how long each of them waits.

use crate::report::{median, quantile};
use anyhow::{Context, Result, ensure};
use demo::client::Client;
use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Whoever is not done by then never will be.
const DEADLINE: Duration = Duration::from_secs(600);
/// So long spokes may take until they answer.
const READY: Duration = Duration::from_secs(120);
/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// Nobody may wait longer than this many times the median, and a second.
const PATIENCE: f64 = 10.0;

type Statements = [(&'static str, String); 3];

/// Who asks, and where.
pub(super) struct Crowd {
    pub(super) address: SocketAddr,
    pub(super) project: &'static str,
    /// of each researcher
    pub(super) tokens: Vec<String>,
}

/// What came of it.
pub(super) struct Run {
    /// seconds of each statement, by kind
    times: Vec<(&'static str, f64)>,
    /// seconds from the first statement to the last answer
    seconds: f64,
}

impl Crowd {
    /// So many researchers send all statements so often, one after another, each beginning with another one.
    pub(super) async fn ask(&self, researchers: usize, times: u32, statements: &Statements) -> Result<Run> {
        self.run(0..researchers, times, statements).await
    }

    /// Each statement once, answered. Fifty spokes that have just been started may not say in time what they offer.
    pub(super) async fn warm_up(&self, statements: &Statements) -> Result<()> {
        let mut client = self.client(0).await?;
        let begun = Instant::now();
        for (kind, sql) in statements {
            while let Err(refusal) = client.ask(sql).await {
                ensure!(begun.elapsed() < READY, "{kind}: {refusal}");
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Seven researchers, first alone, then next to one more who always has `many` statements there.
    pub(super) async fn beside_one_who_sends(
        &self,
        many: usize,
        times: u32,
        statements: &Statements,
    ) -> Result<(Run, Run)> {
        let alone = self.run(1..8, times, statements).await?;
        let mut greedy = tokio::task::JoinSet::new();
        for place in 0..many {
            let (_, sql) = statements[place % statements.len()].clone();
            greedy.spawn(again_and_again(self.client(0).await?, sql));
        }
        let beside = tokio::select! {
            beside = self.run(1..8, times, statements) => beside?,
            Some(ended) = greedy.join_next() => {
                match ended?? {}
            }
        };
        greedy.shutdown().await;
        Ok((alone, beside))
    }

    async fn client(&self, researcher: usize) -> Result<Client> {
        let token = self.tokens.get(researcher).context("no such researcher")?;
        Ok(Client::connect(self.address, token, self.project).await?)
    }

    async fn run(&self, who: std::ops::Range<usize>, times: u32, statements: &Statements) -> Result<Run> {
        let mut clients = Vec::new();
        for researcher in who {
            clients.push((researcher, self.client(researcher).await?));
        }
        let begun = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for (researcher, mut client) in clients {
            let statements = statements.clone();
            all.spawn(async move {
                let mut taken = Vec::new();
                for n in 0..statements.len() * times as usize {
                    let (kind, sql) = &statements[(researcher + n) % statements.len()];
                    let started = Instant::now();
                    let answer = client.ask(sql).await.with_context(|| format!("researcher {researcher}, {kind}"))?;
                    ensure!(answer.num_rows() > 0, "{kind} gave nothing");
                    taken.push((*kind, started.elapsed().as_secs_f64()));
                }
                anyhow::Ok(taken)
            });
        }
        let done = async {
            let mut times = Vec::new();
            while let Some(one) = all.join_next().await {
                times.extend(one??);
            }
            anyhow::Ok(times)
        };
        let times = tokio::time::timeout(DEADLINE, done)
            .await
            .with_context(|| format!("somebody has no answer after {} s", DEADLINE.as_secs()))??;
        Ok(Run { times, seconds: begun.elapsed().as_secs_f64() })
    }
}

async fn again_and_again(mut client: Client, sql: String) -> Result<Infallible> {
    loop {
        client.ask(&sql).await?;
    }
}

impl Run {
    fn all(&self) -> Vec<f64> {
        self.times.iter().map(|(_, seconds)| *seconds).collect()
    }

    /// Whether nobody waited far longer than the others.
    pub(super) fn starved_nobody(&self) -> Result<()> {
        let (half, longest) = (median(&self.all()), quantile(&self.all(), 1.0));
        let most = half * PATIENCE + 1.0;
        ensure!(longest <= most, "somebody waited {longest:.2} s, half of all at most {half:.2} s");
        Ok(())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all();
        write!(
            f,
            "{:.1} statements/s, median {:.3} s, p99 {:.3} s, longest {:.3} s (",
            all.len() as f64 / self.seconds,
            median(&all),
            quantile(&all, 0.99),
            quantile(&all, 1.0)
        )?;
        for (n, kind) in ["scan", "aggregate", "join"].into_iter().enumerate() {
            let of: Vec<f64> = self.times.iter().filter(|(k, _)| *k == kind).map(|(_, seconds)| *seconds).collect();
            write!(f, "{}{kind} {:.3}", if n == 0 { "" } else { ", " }, median(&of))?;
        }
        f.write_str(")")
    }
}
