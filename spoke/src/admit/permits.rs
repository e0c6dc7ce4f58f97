//! The controller's permits as they stand now: read again whenever a file changed, for every question and once a second.
//!
//! Every permit that questions run under has a token here. When the permit stops to be the live one - revoked, replaced,
//! over, its file removed, its approver trusted no more - the token is cancelled and what runs under it ends.
//!
//! INVARIANT: when the folders can't be read, nobody is permitted anything and everything that runs ends.

use crate::{
    approve::book::{Book, Folders, State},
    member::{LivePermits, Standing},
};
use chrono::{NaiveDate, Utc};
use policies::permit::{Permit, SignedPermit};
use proto::ids::{PermitId, ProjectId};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// How often the folders are looked at when nobody asks.
const LOOK: Duration = Duration::from_secs(1);

/// Name, time, size and number of each file: another state means that something changed.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64, u64)>;

/// A permit under which a question may run, while its token isn't cancelled.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) permit: Arc<Permit>,
    pub(crate) ended: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PermitBook {
    folders: Folders,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: Files,
    book: Option<Arc<Book>>,
    permits: HashMap<PermitId, Arc<Permit>>,
    running: HashMap<PermitId, CancellationToken>,
}

impl PermitBook {
    pub(crate) fn new(folders: Folders) -> Self {
        Self { folders, known: Mutex::default() }
    }

    /// The permit of `project` that counts now.
    pub(crate) async fn find(self: &Arc<Self>, project: &ProjectId) -> Option<Live> {
        let (book, project) = (Arc::clone(self), project.clone());
        tokio::task::spawn_blocking(move || {
            let today = today();
            let mut known = book.look(today);
            let permit = known.book.as_ref()?.live(&project, today)?.permit().id;
            known.live(permit)
        })
        .await
        .ok()
        .flatten()
    }

    /// How many permits are live, as the folders were seen last.
    pub(crate) fn live_now(&self) -> usize {
        let (known, today) = (self.known.lock().unwrap_or_else(PoisonError::into_inner), today());
        let Some(book) = &known.book else { return 0 };
        known.permits.values().filter(|permit| book.state(permit, today) == State::Live).count()
    }

    /// The signed texts of all that counts here.
    pub(crate) async fn statements(self: &Arc<Self>) -> Option<Vec<String>> {
        let book = Arc::clone(self);
        let read = move || book.look(today()).book.as_ref().map(|book| book.statements().to_vec());
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Looks at the folders each second until `stop`; what is no longer permitted ends.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            let book = Arc::clone(&self);
            // A look that panicked is followed by another.
            let _ = tokio::task::spawn_blocking(move || drop(book.look(today()))).await;
        }
    }

    /// The permits as the folders stand now; cancels what is over.
    fn look(&self, today: NaiveDate) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = known.refresh(&self.folders) {
            tracing::error!(
                permits = %self.folders.permits.display(), approvers = %self.folders.approvers.display(), %error,
                "the permits can't be read; nothing is permitted"
            );
            known.book = None;
            known.files = Files::new();
        }
        known.end(today);
        known
    }
}

impl Known {
    fn refresh(&mut self, folders: &Folders) -> io::Result<()> {
        let mut files = Files::new();
        list(&folders.permits, &mut files)?;
        list(&folders.approvers, &mut files)?;
        if self.book.is_some() && files == self.files {
            return Ok(());
        }
        let book = Book::read(folders)?;
        for (file, reason) in book.broken() {
            tracing::error!(file = %file.display(), %reason, "a file counts for nothing");
        }
        tracing::info!(permits = book.permits().count(), "permits read");
        self.permits = book.permits().map(|held| (held.permit().id, Arc::new(held.permit().clone()))).collect();
        self.book = Some(Arc::new(book));
        self.files = files;
        Ok(())
    }

    fn live(&mut self, id: PermitId) -> Option<Live> {
        let permit = Arc::clone(self.permits.get(&id)?);
        let ended = self.running.entry(id).or_default().clone();
        Some(Live { permit, ended })
    }

    /// Cancels what runs under a permit that is not live any more.
    fn end(&mut self, today: NaiveDate) {
        let Self { book, running, .. } = self;
        running.retain(|id, token| {
            let permit = book.as_ref().and_then(|book| book.permit(*id).map(|held| (book, held.permit())));
            let live = permit.is_some_and(|(book, permit)| book.state(permit, today) == State::Live);
            if !live {
                tracing::info!(permit = %id, "what runs under the permit ends");
                token.cancel();
            }
            live
        });
    }
}

impl LivePermits for PermitBook {
    fn interrupt(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, token) in known.running.drain() {
            token.cancel();
        }
    }

    fn live(&self, project: &ProjectId) -> Option<Arc<SignedPermit>> {
        let today = today();
        let known = self.look(today);
        known.book.as_ref()?.live(project, today).map(|held| Arc::new(held.signed.clone()))
    }

    fn standing(&self, project: &ProjectId) -> Option<Standing> {
        let today = today();
        let known = self.look(today);
        let book = known.book.as_ref()?;
        let expected = book.has_future(project, today);
        Some(if expected { Standing::Expected } else { Standing::Over(book.end(project, today)) })
    }

    fn ongoing(&self) -> Option<Vec<ProjectId>> {
        let today = today();
        self.look(today).book.as_ref().map(|book| book.ongoing(today).into_iter().collect())
    }
}

fn today() -> NaiveDate {
    Utc::now().date_naive()
}

fn list(folder: &Path, files: &mut Files) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        // A file that goes away in between will be seen as gone next time, and can't be read now.
        if let Ok(meta) = entry.metadata() {
            #[cfg(unix)]
            let number = std::os::unix::fs::MetadataExt::ino(&meta);
            #[cfg(not(unix))]
            let number = 0;
            files.insert(entry.path(), (meta.modified().ok(), meta.len(), number));
        }
    }
    Ok(())
}
