//! What goes wrong in a spoke's answer, and exactly where: armed by a test for one user, so that many go on side by side.

use crate::spoke::Guard;
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder};
use futures::{StreamExt, stream::BoxStream};
use prost::Message;
use proto::{
    refusal::{Kind, Refusal},
    schema, wire,
};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::watch;
use tonic::{Response, Status, body::Body};

/// Between two messages of a slow spoke.
const SLOW: Duration = Duration::from_millis(20);
/// How long a test waits for a place to be reached.
const WAIT: Duration = Duration::from_secs(20);

/// Where in a spoke's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// it is asked what it offers
    Catalogue,
    /// the question has arrived, nothing has left
    Arrived,
    /// one batch of rows has left
    Middle,
    /// all rows have left, the final status has not
    End,
}

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// nothing, until the test lets it go on
    Frozen,
    /// goes on slowly
    Slow,
    /// sends bytes that are no Arrow data, or no catalogue
    Garbage,
    /// sends another schema than was announced
    AnotherSchema,
    /// sends the beginning of a batch, or of a catalogue
    Truncated,
    /// ends without a final status
    NoStatus,
    /// refuses with a text that nobody should read as it is
    Hostile,
    /// says that it is away
    Away,
}

impl What {
    pub const ALL: [Self; 7] =
        [Self::Frozen, Self::Slow, Self::Garbage, Self::AnotherSchema, Self::Truncated, Self::NoStatus, Self::Hostile];
}

/// Drives a terminal, turns the reading direction, adds lines that look like somebody else's, and goes on for long.
pub fn hostile_text() -> String {
    format!("\u{1b}[2J\u{1b}[31mpanic\r\nhub: all is well\u{202e}\u{7}\0 {}", "more and more ".repeat(300))
}

/// A fault that waits for its place.
#[derive(Debug)]
pub struct Armed {
    pub place: Place,
    pub what: What,
    left: AtomicUsize,
    reached: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Armed {
    /// Each time the place is reached.
    pub fn new(place: Place, what: What) -> Arc<Self> {
        Self::times(place, what, usize::MAX)
    }

    /// The first `times` times.
    pub fn times(place: Place, what: What, times: usize) -> Arc<Self> {
        let (reached, open) = (watch::channel(0).0, watch::channel(false).0);
        Arc::new(Self { place, what, left: AtomicUsize::new(times), reached, open })
    }

    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// Lets what is frozen go on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub async fn until_reached(&self) {
        self.until(|| true).await;
    }

    /// Until the place is reached while `holds`: a question that was given up before may arrive late, and goes at once.
    pub async fn until(&self, holds: impl Fn() -> bool) {
        let mut reached = self.reached.subscribe();
        let seen = reached.wait_for(|n| *n > 0 && holds());
        tokio::time::timeout(WAIT, seen).await.expect("the fault's place is not reached").unwrap();
    }

    /// Is there; goes on when it may.
    async fn here(&self) {
        self.reached.send_modify(|n| *n += 1);
        match self.what {
            What::Frozen => drop(self.open.subscribe().wait_for(|open| *open).await),
            What::Slow => tokio::time::sleep(SLOW).await,
            _ => {}
        }
    }
}

/// The faults of one spoke, by the user whose question meets them.
#[derive(Debug, Default)]
pub struct Faults(Mutex<HashMap<String, Arc<Armed>>>);

impl Faults {
    pub fn arm(&self, user: &str, fault: &Arc<Armed>) {
        self.0.lock().unwrap().insert(user.to_owned(), Arc::clone(fault));
    }

    pub fn disarm(&self, user: &str) {
        self.0.lock().unwrap().remove(user);
    }

    pub fn of(&self, user: &str) -> Option<Arc<Armed>> {
        self.0.lock().unwrap().get(user).cloned()
    }
}

type Out<T> = BoxStream<'static, Result<T, Status>>;

fn refuses(what: What) -> Option<Status> {
    match what {
        What::Hostile => Some(Refusal::new(Kind::Invalid, hostile_text()).into()),
        What::Away => Some(Refusal::new(Kind::Unavailable, "away").into()),
        _ => None,
    }
}

fn marked<T>(body: Out<T>, what: What) -> Response<Out<T>> {
    let mut response = Response::new(body);
    if what == What::NoStatus {
        response.extensions_mut().insert(NoStatus);
    }
    response
}

/// The answer to the question what there is.
pub async fn catalogue(
    fault: Option<Arc<Armed>>,
    mut reply: wire::CatalogueReply,
) -> Result<Response<Out<arrow_flight::Result>>, Status> {
    let one = |body: Vec<u8>| futures::stream::iter([Ok(arrow_flight::Result { body: body.into() })]).boxed();
    let Some(fault) = fault.filter(|fault| fault.place == Place::Catalogue && fault.take()) else {
        return Ok(Response::new(one(reply.encode_to_vec())));
    };
    fault.here().await;
    if let Some(status) = refuses(fault.what) {
        return Err(status);
    }
    let body = match fault.what {
        What::Garbage => vec![0xff; 64],
        What::AnotherSchema => {
            reply.tables.iter_mut().for_each(|table| table.arrow_schema = schema::to_bytes(&surprise()));
            reply.encode_to_vec()
        }
        What::Truncated => {
            let mut body = reply.encode_to_vec();
            body.truncate(body.len() / 2);
            body
        }
        _ => reply.encode_to_vec(),
    };
    Ok(marked(one(body), fault.what))
}

fn surprise() -> Schema {
    Schema::new(vec![Field::new("surprise", DataType::Int32, true)])
}

/// The rows. `guard` counts the question as running while it is looked after, also before it has an answer.
pub async fn answer(
    fault: Option<Arc<Armed>>,
    guard: Guard,
    answer: impl Future<Output = Result<Out<FlightData>, Refusal>>,
) -> Result<Response<Out<FlightData>>, Status> {
    let Some(fault) = fault.filter(|fault| fault.place != Place::Catalogue && fault.take()) else {
        let answer = answer.await?;
        drop(guard);
        return Ok(Response::new(answer));
    };
    let arrived = fault.place == Place::Arrived;
    if arrived {
        fault.here().await;
        if let Some(status) = refuses(fault.what) {
            return Err(status);
        }
    }
    let whole = answer.await?;
    let what = fault.what;
    let breaking = Breaking { fault, whole, batches: 0, last: None, there: arrived, over: false, _guard: guard };
    Ok(marked(futures::stream::unfold(breaking, Breaking::next).boxed(), what))
}

struct Breaking {
    fault: Arc<Armed>,
    whole: Out<FlightData>,
    batches: usize,
    last: Option<FlightData>,
    /// its place was reached
    there: bool,
    over: bool,
    _guard: Guard,
}

impl Breaking {
    async fn next(mut self) -> Option<(Result<FlightData, Status>, Self)> {
        if self.over {
            return None;
        }
        if self.fault.place == Place::Middle && self.batches == 1 && !self.there {
            self.arrive().await;
        }
        if self.there && !matches!(self.fault.what, What::Frozen | What::Slow) {
            return self.breaks().await;
        }
        let next = self.whole.next().await;
        if next.is_none() && self.fault.place == Place::End && !self.there {
            self.arrive().await;
            if !matches!(self.fault.what, What::Frozen | What::Slow) {
                return self.breaks().await;
            }
        }
        if self.there && self.fault.what == What::Slow {
            tokio::time::sleep(SLOW).await;
        }
        self.note(next.as_ref()?.as_ref().ok());
        Some((next?, self))
    }

    async fn arrive(&mut self) {
        self.there = true;
        self.fault.here().await;
    }

    /// The first message is the schema.
    fn note(&mut self, message: Option<&FlightData>) {
        if let Some(message) = message.filter(|message| !message.data_body.is_empty()) {
            self.batches += 1;
            self.last = Some(message.clone());
        }
    }

    async fn breaks(mut self) -> Option<(Result<FlightData, Status>, Self)> {
        let message = match self.fault.what {
            What::Garbage => Ok(FlightData { data_header: vec![0xff; 64].into(), ..FlightData::default() }),
            What::AnotherSchema => {
                let empty = futures::stream::empty();
                let mut other = FlightDataEncoderBuilder::new().with_schema(surprise().into()).build(empty);
                Ok(other.next().await?.unwrap())
            }
            What::Truncated => match self.whole.next().await {
                // The schema goes first.
                Some(Ok(message)) if message.data_body.is_empty() => return Some((Ok(message), self)),
                Some(Ok(message)) => Ok(half(message)),
                Some(Err(status)) => Err(status),
                None => Ok(half(self.last.clone().expect("an answer without a batch can't be cut"))),
            },
            what => Err(refuses(what)?),
        };
        self.over = true;
        Some((message, self))
    }
}

/// A batch that lacks values. Half of a small one would be whole: the rest is padding.
fn half(mut message: FlightData) -> FlightData {
    message.data_body.truncate(message.data_body.len().div_ceil(2).min(4));
    message
}

/// Marks a response whose end is to have no final status.
#[derive(Debug, Clone, Copy)]
struct NoStatus;

/// The responses of a server, some of them without their final status.
pub fn without_status(response: http::Response<Body>) -> http::Response<Body> {
    if response.extensions().get::<NoStatus>().is_none() {
        return response;
    }
    response.map(|body| Body::new(Cut(body)))
}

struct Cut(Body);

impl http_body::Body for Cut {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Status>>> {
        let frame = futures::ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_ok_and(http_body::Frame::is_trailers)))
    }
}
