//! The platform as an engine: a Flight SQL client in the enclave.

use super::engine::{Engine, Failed};
use crate::fixture::Running;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use demo::client::Client;

pub(super) struct Eger(Client);

impl Eger {
    pub(super) async fn connect(running: &Running) -> Result<Self, Failed> {
        running.enclave().await.map(Self).map_err(|error| Failed(error.to_string()))
    }
}

#[async_trait]
impl Engine for Eger {
    const NAME: &'static str = "eger";

    async fn ask(&mut self, sql: &str) -> Result<RecordBatch, Failed> {
        self.0.ask(sql).await.map_err(|error| Failed(error.to_string()))
    }
}
