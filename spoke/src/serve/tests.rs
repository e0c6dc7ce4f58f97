//! The path of a query through the spoke, over published files and real TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admission;
mod audit;
mod blind;
mod checked;
mod ending;
mod filtering;
mod fixture;
mod hostile;
mod keylists;
mod leftout;
mod limits;
mod link;
mod measured;
mod order;
mod quick;
mod results;
mod rules;
mod small;
mod streams;
