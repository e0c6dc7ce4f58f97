//! A platform of one's own for each test.

use anyhow::{Context, Result};
use arrow::{
    array::{Array, RecordBatch},
    compute::cast,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use arrow_flight::{decode::FlightRecordBatchStream, sql::client::FlightSqlServiceClient};
use demo::{
    client::Client,
    platform::{Options, PROJECT, Part, Platform},
};
use futures::StreamExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// The binary that plays every role.
pub(crate) const ROLES: &str = env!("CARGO_BIN_EXE_roles");

/// A running platform and the folder that goes with it.
pub(crate) struct Running {
    pub(crate) platform: Platform,
    pub(crate) folder: TempDir,
}

/// Options of a quiet platform of `people` below `folder`.
pub(crate) fn options(folder: &TempDir, people: u32) -> Options {
    Options::new(folder.path().join("platform"), ROLES, people)
}

/// Starts a whole platform of `people`.
pub(crate) async fn start(people: u32) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let platform = Platform::start(options(&folder, people)).await?;
    Ok(Running { platform, folder })
}

impl Running {
    /// A client of the enclave.
    pub(crate) async fn enclave(&self) -> Result<Client> {
        let address = self.platform.enclave().context("the hub runs")?;
        Ok(Client::connect(address, self.platform.token(), PROJECT).await?)
    }

    /// A client of the open zone.
    pub(crate) async fn open(&self) -> Result<Client> {
        let address = self.platform.open().context("the hub runs")?;
        Ok(Client::connect(address, self.platform.token(), PROJECT).await?)
    }

    /// An answer in the enclave of which one batch has been read, and which flows on no faster than it is read.
    pub(crate) async fn begun(&self, sql: &str) -> Result<FlightRecordBatchStream> {
        let address = self.platform.enclave().context("the hub runs")?;
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(64 * 1024)
            .connect()
            .await?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(self.platform.token().to_owned());
        client.set_header("x-eger-project", PROJECT);
        let info = client.execute(sql.to_owned(), None).await?;
        let ticket = info.endpoint.into_iter().next().and_then(|e| e.ticket).context("a ticket")?;
        let mut stream = client.do_get(ticket).await?;
        stream.next().await.context("a first batch")??;
        Ok(stream)
    }

    /// Folders of the published files of a controller.
    pub(crate) fn data_dir(&self, controller: &str) -> PathBuf {
        self.platform.spoke_dir(controller).join("data")
    }
}

/// Runs a command of the hub's operator and gives what it printed.
pub(crate) async fn hub_admin(platform: &Platform, args: &[&str]) -> Result<String> {
    let mut all: Vec<PathBuf> = std::iter::once("admin").chain(args.iter().copied()).map(PathBuf::from).collect();
    all.extend(["--config".into(), platform.config(Part::Hub)]);
    let said = platform.run("hub", &all).await?;
    anyhow::ensure!(said.success(), "hub admin {args:?}: {}", said.text);
    Ok(said.stdout)
}

/// An access token of anybody, from the platform's issuer; `more` are further arguments.
pub(crate) async fn token(platform: &Platform, user: &str, more: &[&str]) -> Result<String> {
    let mut args: Vec<PathBuf> =
        ["token", "--user", user].into_iter().chain(more.iter().copied()).map(PathBuf::from).collect();
    args.extend(["--config".into(), platform.config(Part::Issuer)]);
    let said = platform.run("issuer", &args).await?;
    anyhow::ensure!(said.success(), "{}", said.text);
    Ok(said.stdout.trim().to_owned())
}

/// Rows as text, each cell for itself; NULL is `NULL`. Whole numbers read the same in every width.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 => cast(column, &DataType::Utf8),
            _ => Ok(std::sync::Arc::clone(column)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let formatters =
        columns.iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<Vec<_>, _>>()?;
    Ok((0..batch.num_rows()).map(|row| formatters.iter().map(|f| f.value(row).to_string()).collect()).collect())
}

/// The only number in an answer of one row and one column (before `release_status`).
pub(crate) fn number(batch: &RecordBatch) -> Result<i64> {
    let column = cast(batch.columns().first().context("a column")?, &DataType::Int64)?;
    let column = arrow::array::as_primitive_array::<arrow::datatypes::Int64Type>(&column);
    anyhow::ensure!(column.len() == 1 && column.is_valid(0), "one number");
    Ok(column.value(0))
}
