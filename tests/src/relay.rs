//! A relay of bytes between a hub's gateway and a spoke's links: late, narrow, or holding what the spoke says, as a test
//! wants it. It sees ciphertext only.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

/// Bytes taken at once.
const CHUNK: usize = 16 << 10;
/// A narrow line lets something pass so often.
const TICK: Duration = Duration::from_millis(20);
/// Chunks that may be on their way.
const ON_WAY: usize = 64;

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// each byte comes so much later
    pub delay: Duration,
    /// no more than this a second, both ways; `None`: no limit
    pub bytes_per_second: Option<u32>,
    /// how many bytes the side that connects may still say; `None`: no limit
    pub may_say: Option<usize>,
}

/// The relay. Dropping it cuts its connections.
pub struct Relay {
    address: SocketAddr,
    line: watch::Sender<Line>,
    up: Arc<Up>,
}

/// What the side that connects says, on all connections together.
struct Up {
    /// bytes that may still pass, when there is a limit
    left: AtomicUsize,
    /// bytes that may not pass now
    held: watch::Sender<usize>,
}

impl Up {
    /// Takes at most `most` bytes of what may pass.
    fn take(&self, most: usize) -> usize {
        let taken = |left: usize| Some(left - left.min(most));
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).unwrap_or_else(|left| left).min(most)
    }
}

impl Relay {
    /// Listens on a port of its own for connections to `target`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let line = watch::channel(Line::default()).0;
        let up = Arc::new(Up { left: AtomicUsize::new(0), held: watch::channel(0).0 });
        let (state, shared) = (line.subscribe(), Arc::clone(&up));
        tokio::spawn(async move {
            let mut over = state.clone();
            loop {
                let near = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // Nobody holds the relay any more.
                    () = ended(&mut over) => return,
                };
                let Ok((near, _)) = near else { continue };
                tokio::spawn(connect(near, target, state.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { address, line, up })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on bytes go this way.
    pub fn set(&self, line: Line) {
        self.up.left.store(line.may_say.unwrap_or(0), Ordering::SeqCst);
        self.line.send_replace(line);
    }

    /// Waits until it holds bytes back, at most for `within`. Whether it does.
    pub async fn holds(&self, within: Duration) -> bool {
        let mut held = self.up.held.subscribe();
        let holds = held.wait_for(|bytes| *bytes > 0);
        matches!(tokio::time::timeout(within, holds).await, Ok(Ok(_)))
    }
}

async fn ended(line: &mut watch::Receiver<Line>) {
    while line.changed().await.is_ok() {}
}

async fn connect(near: TcpStream, target: SocketAddr, line: watch::Receiver<Line>, up: Arc<Up>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let mut over = line.clone();
    tokio::select! {
        () = pass(near_in, far_out, line.clone(), Some(up)) => {}
        () = pass(far_in, near_out, line, None) => {}
        () = ended(&mut over) => {}
    }
}

/// One way, until either end is gone. What is held back when the sender's machine goes never arrives.
async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, line: watch::Receiver<Line>, up: Option<Arc<Up>>) {
    let (sender, chunks) = mpsc::channel::<(Instant, Vec<u8>)>(ON_WAY);
    let delay = line.clone();
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    let read = async move {
        let _over = guard;
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    let due = Instant::now() + delay.borrow().delay;
                    if sender.send((due, buffer.get(..n).unwrap_or_default().to_vec())).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    tokio::join!(read, write(chunks, to, line, up, over));
}

async fn write(
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    up: Option<Arc<Up>>,
    over: CancellationToken,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        tokio::time::sleep_until(due.into()).await;
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let now = *line.borrow_and_update();
            let most = now.bytes_per_second.map_or(rest.len(), |rate| rest.len().min(in_one_tick(rate)));
            let most = match (now.may_say, &up) {
                (Some(_), Some(up)) => up.take(most),
                _ => most,
            };
            if let (0, Some(up)) = (most, &up) {
                up.held.send_modify(|bytes| *bytes += rest.len());
                let goes_on = tokio::select! {
                    changed = line.changed() => changed.is_ok(),
                    () = over.cancelled() => false,
                };
                up.held.send_modify(|bytes| *bytes -= rest.len());
                if !goes_on {
                    return;
                }
                continue;
            }
            let (part, after) = rest.split_at(most);
            rest = after;
            if to.write_all(part).await.is_err() {
                return;
            }
            if now.bytes_per_second.is_some() {
                tokio::time::sleep(TICK).await;
            }
        }
    }
}

/// What passes between two looks at the clock.
fn in_one_tick(rate: u32) -> usize {
    usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(TICK.as_millis() as usize).div_euclid(1000).max(1)
}
