//! A spoke with two projects, an approver, an issuer of tokens and published tables, and a hub that asks it.

mod signed;

pub(super) use signed::{ANNA, ISSUER, claims, issuer_key, permit, tables_of, token, token_by};

use crate::{
    admit::Admission,
    approve::approvers,
    config::SpokeConfig,
    declare::{Mode, Text},
    ingest::survey::Survey,
    init::{self, InitOptions},
    pseudonym::{ProjectKey, Recoder, Role, StoreKey, project_key::Held},
    publish::{Commit, NewFile, State, Store},
    receive::Question,
    rules::Rules,
    scan::{self, Effort},
    serve::{self, ServeError, ServeOptions},
};
use arrow::{
    array::{ArrayRef, AsArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use arrow_flight::{
    Action, Ticket, decode::FlightRecordBatchStream, error::FlightError, flight_service_client::FlightServiceClient,
};
use datafusion::{logical_expr::Expr, prelude::col};
use futures::{StreamExt, TryStreamExt};
use parquet::{
    arrow::ArrowWriter,
    file::properties::{EnabledStatistics, WriterProperties},
};
use policies::permit::{Output, Permit, Revocation, SignedPermit, User};
use prost::Message;
use proto::{
    ids::{PermitId, ProjectId, QueryId, TableName},
    plan,
    refusal::{Kind, Refusal},
    schema,
    wire::{CatalogueReply, CatalogueRequest, Envelope, Fragment, Rel, ScanRequest, Zone},
};
use runtime::{
    ca::Authority,
    peer::Peer,
    seal,
    sign::SigningKey,
    tls::{self, Tls, TlsFiles},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Rows of `lmdb`, in six row groups.
pub(super) const ROWS: usize = 48_000;
/// Rows of a row group of `lmdb`.
pub(super) const GROUP: usize = 8_000;
/// People in every table; each has as many rows as any other.
pub(super) const PEOPLE: usize = 3_000;
/// First day in `lmdb`; one day more every 100 rows.
pub(super) const FIRST_DAY: i32 = 18_000;

pub(super) struct Fixture {
    folder: TempDir,
    pub(super) config: SpokeConfig,
    pub(super) authority: Authority,
    /// whose signatures count
    pub(super) approver: SigningKey,
    /// S of every person, in the order of the file
    pub(super) stored: Vec<[u8; 16]>,
    pub(super) store_key: StoreKey,
    recoders: Mutex<HashMap<(String, Role), Recoder>>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// `more` is appended to `spoke.toml`, whose `[serve]` section is empty.
    pub(super) async fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = InitOptions {
            folder: folder.path().to_owned(),
            controller: "region-h".parse().unwrap(),
            title_da: String::new(),
            title_en: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            hub: "main".to_owned(),
            custodian: "127.0.0.1:1".to_owned(),
            custodian_name: "national".to_owned(),
            separate_ingest: false,
        };
        init::run(&options).unwrap();
        let path = folder.path().join("spoke.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (text, _) = text.split_once("\n[serve]").unwrap();
        let text = format!("{}\n", text.replace("mode = \"dial\"", "mode = \"listen\""));
        let issuer = format!("[[issuer]]\nurl = \"{ISSUER}\"\njwks_file = \"issuer.jwks\"\n");
        std::fs::write(&path, format!("{text}[serve]\nthreads = 2\n{more}\n{issuer}")).unwrap();
        std::fs::write(folder.path().join("issuer.jwks"), signed::jwks()).unwrap();
        let config = SpokeConfig::load(&path).unwrap();
        let authority = Authority::create("test hub").unwrap();
        let pass = config.passphrase().unwrap();
        for project in ["diabetes", "cancer"] {
            Held::new(project.parse().unwrap(), 1).unwrap().store(&config.projects_dir(), &pass).unwrap();
        }
        let store_key = StoreKey::load(&config.store_key(), &pass).unwrap();
        let mut stored: Vec<[u8; 16]> =
            (0..PEOPLE).map(|person| store_key.stored_person(&(person as u128 * 7919 + 1).to_be_bytes())).collect();
        stored.sort_unstable();
        let approver = SigningKey::generate().unwrap();
        approvers::trust(&config.approvers_dir(), "bente", &approver.public()).unwrap();
        let fixture = Self { folder, config, authority, approver, stored, store_key, recoders: Mutex::default() };
        fixture.issue(&Peer::spoke("region-h").unwrap(), "keys/link");
        fixture.publish("lmdb", ROWS, GROUP).await;
        fixture.grant("diabetes", "enclave", &["anna@example.org"], LMDB);
        fixture
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for `who`, as files whose names start with `stem`.
    pub(super) fn issue(&self, who: &Peer, stem: &str) -> TlsFiles {
        issue_from(&self.authority, who, &self.path().join(stem))
    }

    /// Signs a permit for the tables of a TOML text; of a project's permits the newest counts.
    pub(super) fn grant(&self, project: &str, zone: &str, users: &[&str], tables: &str) -> PermitId {
        let mut permit = permit(project);
        permit.output = if zone == "enclave" { Output::EnclaveRows } else { Output::HubAggregates };
        permit.users =
            users.iter().map(|user| User { user: user.parse().unwrap(), issuer: ISSUER.to_owned() }).collect();
        permit.tables = tables_of(tables);
        self.sign(permit)
    }

    /// Signs a permit as this controller's approver and puts it where it counts.
    pub(super) fn sign(&self, permit: Permit) -> PermitId {
        let signed = SignedPermit::sign(permit, &self.approver).unwrap();
        let project = &signed.permit().project;
        // While nothing was permitted, a serving spoke may have destroyed the key.
        self.put(signed.permit().id, signed.compact());
        if !self.config.project_key(project).exists() {
            self.make_key(project);
        }
        signed.permit().id
    }

    /// A key of the first epoch for `project`, as its lead would have given it.
    pub(super) fn make_key(&self, project: &ProjectId) {
        let pass = self.config.passphrase().unwrap();
        Held::new(project.clone(), 1).unwrap().store(&self.config.projects_dir(), &pass).unwrap();
    }

    /// A text as the permit of that id, whatever it is; never seen half written.
    pub(super) fn put(&self, id: PermitId, text: &str) {
        let written = self.path().join(format!("{id}.new"));
        std::fs::write(&written, text).unwrap();
        std::fs::rename(written, self.permit_file(id)).unwrap();
    }

    pub(super) fn permit_file(&self, id: PermitId) -> PathBuf {
        self.config.permits_dir().join(format!("{id}.jws"))
    }

    pub(super) fn revoke(&self, id: PermitId) {
        let revocation = Revocation {
            permit: id,
            controller: self.config.controller.clone(),
            project: "diabetes".parse().unwrap(),
            approver: "Bente".to_owned(),
            reason: "the consent was taken back".to_owned(),
            decided_at: chrono::Utc::now(),
        };
        let path = self.config.permits_dir().join(format!("{id}.revoked.jws"));
        std::fs::write(path, revocation.sign(&self.approver).unwrap()).unwrap();
    }

    /// The spoke's state, as the commands open it.
    pub(super) async fn state(&self) -> State {
        State::open(&self.config.state_db()).await.unwrap()
    }

    /// Waits until these removals, and no others, are written down for the hub.
    pub(super) async fn asked(&self, names: &[&str]) {
        let written = || {
            let list = std::fs::read_dir(self.config.receipts_dir()).into_iter().flatten();
            let names = list.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
            let mut names: Vec<String> =
                names.filter_map(|name| Some(name.strip_suffix(".pending")?.to_owned())).collect();
            names.sort();
            names
        };
        let wait = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
            while written() != names {
                look.tick().await;
            }
        });
        assert!(wait.await.is_ok(), "{:?} instead of {names:?}", written());
    }

    /// The events of the audit log, each line checked.
    pub(super) fn audit(&self) -> Vec<serde_json::Value> {
        runtime::audit::read(&self.config.audit_log()).unwrap().map(|item| item.unwrap().0.event).collect()
    }

    /// Publishes a table of `rows` rows sorted by person; `row` is each row's place in the file.
    pub(super) async fn publish(&self, table: &str, rows: usize, group: usize) {
        let batch = self.rows(&raw_schema(), rows);
        self.publish_batch(table, &batch, group).await;
    }

    /// The same with these rows.
    pub(super) async fn publish_batch(&self, table: &str, batch: &RecordBatch, group: usize) {
        let table: TableName = table.parse().unwrap();
        let (schema, rows) = (batch.schema(), batch.num_rows());
        let mut survey = Survey::new(&schema, Some(0));
        survey.add(batch);
        let statistics = survey.finish();
        let name = format!("part-{}.parquet", QueryId::new());
        let path = self.path().join("data").join(table.as_str()).join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_data_page_row_count_limit(2_000)
            .set_write_batch_size(1_000)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_column_bloom_filter_enabled("pnr".into(), true)
            .set_column_dictionary_enabled("pnr".into(), false)
            .build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        let file = NewFile { name, size, rows: rows as u64, row_groups: u32::try_from(rows.div_ceil(group)).unwrap() };
        let commit = Commit {
            ingest: QueryId::new().to_string(),
            mode: Mode::Replace,
            schema,
            files: vec![file],
            link_kid: "link".to_owned(),
            store_kid: self.store_key.kid().to_owned(),
            description: Text { da: "Medicin".to_owned(), en: "Prescriptions".to_owned() },
            event_date: Some("eksd".to_owned()),
            statistics: Some(statistics),
        };
        Store::open(&self.config).unwrap().commit(&table, &commit).await.unwrap();
    }

    fn rows(&self, schema: &SchemaRef, rows: usize) -> RecordBatch {
        let each = rows / PEOPLE;
        let person = |row: usize| self.stored[(row / each).min(PEOPLE - 1)];
        let pnr = FixedSizeBinaryArray::try_from_iter((0..rows).map(person)).unwrap();
        let contact = FixedSizeBinaryArray::try_from_iter(
            (0..rows).map(|row| self.store_key.stored_key(&(row as u128 / 2).to_be_bytes())),
        )
        .unwrap();
        let day = Date32Array::from_iter_values((0..rows).map(|row| FIRST_DAY + i32::try_from(row / 100).unwrap()));
        let code = StringArray::from_iter_values((0..rows).map(|row| format!("A{:02}", row / GROUP)));
        let volume = Float64Array::from_iter((0..rows).map(|row| (row % 10 != 0).then_some(row as f64)));
        let number = Int64Array::from_iter_values((0..rows).map(|row| i64::try_from(row).unwrap()));
        let columns: Vec<ArrayRef> =
            vec![Arc::new(pnr), Arc::new(contact), Arc::new(day), Arc::new(code), Arc::new(volume), Arc::new(number)];
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    /// Stored pseudonyms to a project's. Opening a key is slow, so it is done once.
    pub(super) fn recoder(&self, project: &str, role: Role) -> Recoder {
        let mut known = self.recoders.lock().unwrap();
        known.entry((project.to_owned(), role)).or_insert_with(|| self.open_recoder(project, role)).clone()
    }

    fn open_recoder(&self, project: &str, role: Role) -> Recoder {
        let pass = self.config.passphrase().unwrap();
        let key = ProjectKey::load(&self.config.project_key(&project.parse().unwrap()), &pass).unwrap();
        Recoder::new(&self.store_key, &key, role)
    }

    /// The project's pseudonym of a person, by place in the file.
    pub(super) fn pseudonym(&self, project: &str, person: usize) -> [u8; 16] {
        let column = FixedSizeBinaryArray::try_from_iter([self.stored[person]].into_iter()).unwrap();
        self.recoder(project, Role::Person).forward(&column).unwrap().value(0).try_into().unwrap()
    }

    pub(super) async fn admission(&self) -> Admission {
        let runtime = serve::engine(&self.config.serve, &self.config.spill_dir()).unwrap();
        Admission::new(&self.config, Store::open(&self.config).unwrap(), runtime, Rules::new().unwrap()).await.unwrap()
    }

    pub(super) async fn serve(&self) -> Server {
        self.serve_by(Rules::new().unwrap()).await
    }

    /// Serves by other rules than those compiled in.
    pub(super) async fn serve_by(&self, rules: Rules) -> Server {
        let (ready, bound) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let options = ServeOptions {
            config: self.config.clone(),
            listen: None,
            ready: Some(ready),
            tap: None,
            shutdown: shutdown.clone(),
        };
        let task = tokio::spawn(serve::run_by(options, rules));
        Server { address: bound.await.unwrap(), shutdown, task }
    }

    /// A client that holds a certificate for `who`.
    pub(super) fn client(&self, server: &Server, who: &Peer) -> Hub {
        let files = self.issue(who, &format!("client-{}", who.name));
        Hub::connect(server.address, &files)
    }

    pub(super) fn hub(&self, server: &Server) -> Hub {
        self.client(server, &Peer::hub("main").unwrap())
    }
}

pub(super) fn issue_from(authority: &Authority, who: &Peer, stem: &Path) -> TlsFiles {
    let at = |end: &str| PathBuf::from(format!("{}{end}", stem.display()));
    let issued = authority.issue(who, 30).unwrap();
    let files = TlsFiles { cert: at(".crt"), key: at(".key"), ca: at("-ca.crt") };
    std::fs::write(&files.cert, &issued.cert_pem).unwrap();
    seal::write_private(&files.key, issued.key_pem.as_bytes()).unwrap();
    std::fs::write(&files.ca, authority.cert_pem()).unwrap();
    files
}

/// The usual grant: all columns of `lmdb` but `volume`.
pub(super) const LMDB: &str =
    "[[table]]\nname = \"lmdb\"\ncolumns = [\"pnr\", \"kontakt\", \"eksd\", \"atc\", \"row\"]\n";

fn raw_schema() -> SchemaRef {
    let role = |name: &str, role: &str| {
        Field::new(name, DataType::FixedSizeBinary(16), true)
            .with_metadata(HashMap::from([(schema::ROLE.to_owned(), role.to_owned())]))
    };
    let code = HashMap::from([
        (schema::CODES.to_owned(), "ATC".to_owned()),
        (schema::EN.to_owned(), "What was dispensed".to_owned()),
    ]);
    Arc::new(Schema::new(vec![
        role("pnr", schema::PERSON),
        role("kontakt", schema::KEY),
        Field::new("eksd", DataType::Date32, true),
        Field::new("atc", DataType::Utf8, true).with_metadata(code),
        Field::new("volume", DataType::Float64, true),
        Field::new("row", DataType::Int64, true),
    ]))
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<Result<(), ServeError>>,
}

/// Who asks a spoke.
#[derive(Clone)]
pub(super) struct Hub {
    pub(super) flight: FlightServiceClient<Channel>,
}

impl Hub {
    pub(super) fn connect(address: SocketAddr, files: &TlsFiles) -> Self {
        let tls = Tls::load(files).unwrap();
        let channel = tls::channel(&address.to_string(), Peer::spoke("region-h").unwrap(), &tls);
        Self { flight: FlightServiceClient::new(channel).max_decoding_message_size(tls::MAX_MESSAGE) }
    }

    pub(super) async fn start(&mut self, ticket: Vec<u8>) -> Result<FlightRecordBatchStream, Refusal> {
        let answer = self.flight.do_get(Ticket { ticket: ticket.into() }).await?;
        Ok(FlightRecordBatchStream::new_from_flight_data(
            answer.into_inner().map_err(|status| FlightError::Tonic(Box::new(status))),
        ))
    }

    pub(super) async fn ticket(&mut self, ticket: Vec<u8>) -> Result<Vec<RecordBatch>, Refusal> {
        let mut rows = self.start(ticket).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch.map_err(refusal)?);
        }
        Ok(batches)
    }

    pub(super) async fn ask(&mut self, request: &ScanRequest) -> Result<Vec<RecordBatch>, Refusal> {
        self.ticket(request.encode_to_vec()).await
    }

    pub(super) async fn act(&mut self, kind: &str, body: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let action = Action { r#type: kind.to_owned(), body: body.into() };
        let mut reply = self.flight.do_action(action).await?.into_inner();
        Ok(reply.next().await.unwrap()?.body.to_vec())
    }

    pub(super) async fn catalogue(&mut self, envelope: Envelope) -> Result<CatalogueReply, Refusal> {
        let body = CatalogueRequest { envelope: Some(envelope) }.encode_to_vec();
        let action = Action { r#type: "eger.v1.catalogue".to_owned(), body: body.into() };
        let mut reply = self.flight.do_action(action).await?.into_inner();
        let result = reply.next().await.unwrap()?;
        Ok(CatalogueReply::decode(result.body).unwrap())
    }
}

pub(super) fn refusal(error: FlightError) -> Refusal {
    match error {
        FlightError::Tonic(status) => Refusal::from(*status),
        other => Refusal::new(Kind::Internal, other.to_string()),
    }
}

pub(super) fn envelope() -> Envelope {
    Envelope {
        version: 1,
        query_id: QueryId::new().to_string(),
        project: "diabetes".to_owned(),
        user: "anna@example.org".to_owned(),
        deadline_unix_ms: 0,
        max_rows: 0,
        max_bytes: 0,
        traceparent: String::new(),
        zone: Zone::Enclave.into(),
        token: token(ANNA),
        ..Envelope::default()
    }
}

pub(super) fn request(root: Rel) -> ScanRequest {
    ScanRequest {
        blind: None,
        quick: None,
        versions: Vec::new(),
        envelope: Some(envelope()),
        fragment: Some(plan::fragment(root)),
        schema_fingerprint: Vec::new(),
        keys: Vec::new(),
        accepts: Vec::new(),
    }
}

pub(super) fn read(columns: &[&str]) -> Rel {
    read_of("lmdb", columns)
}

pub(super) fn read_of(table: &str, columns: &[&str]) -> Rel {
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    plan::read(&table.parse().unwrap(), &columns)
}

/// Reads what the predicate needs, filters, and shows `columns`.
pub(super) fn filtered(columns: &[&str], predicate: &Expr) -> Rel {
    let mut needed: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    for column in predicate.column_refs() {
        if !needed.contains(&column.name) {
            needed.push(column.name.clone());
        }
    }
    let shown = columns.iter().map(|&name| plan::named(name, plan::encode_expr(&col(name)).unwrap())).collect();
    let rows = plan::read(&"lmdb".parse().unwrap(), &needed);
    plan::project(plan::filter(rows, plan::encode_expr(predicate).unwrap()), shown)
}

pub(super) fn question(project: &str, root: Rel) -> Question {
    let mut envelope = envelope();
    envelope.project = project.to_owned();
    Question {
        envelope: (&envelope).try_into().unwrap(),
        fragment: Fragment { version: 1, root: Some(root) },
        fingerprint: None,
        keys: Vec::new(),
        versions: Vec::new(),
        accepts: Vec::new(),
        blind: None,
        quick: None,
    }
}

/// Asks without a link in between.
pub(super) async fn direct(admission: &Admission, question: Question) -> Result<(Vec<RecordBatch>, Effort), Refusal> {
    let running = scan::run(admission.admit(question).await?).await?;
    let work = running.work.clone();
    let rows =
        running.rows.try_collect().await.map_err(|error| scan::failure::refusal(&error, &running.context.query))?;
    Ok((rows, work.effort()))
}

pub(super) fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The values of column `row`, in the order in which they came.
pub(super) fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    batches
        .iter()
        .flat_map(|batch| batch.column_by_name("row").unwrap().as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

/// The pseudonyms in a column, in the order in which they came.
pub(super) fn pseudonyms(batches: &[RecordBatch], column: &str) -> Vec<[u8; 16]> {
    batches
        .iter()
        .flat_map(|batch| {
            let column = batch.column_by_name(column).unwrap().as_fixed_size_binary();
            column.iter().map(|value| value.unwrap().try_into().unwrap()).collect::<Vec<[u8; 16]>>()
        })
        .collect()
}
