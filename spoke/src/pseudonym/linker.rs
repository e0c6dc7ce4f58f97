//! Person number -> S at ingest: from the cache, else from the custodian. Key domains' hash keys come the same way.
//!
//! INVARIANT: an S is given out only after its P is durably in the encrypted cache; P is wiped at once after.

mod error;
mod hasher;
mod options;

pub use error::LinkError;
pub use hasher::KeyHasher;
pub use options::LinkerOptions;

use super::{
    blind::{Input, domain_id, is_domain},
    cache::{CacheFile, Entries, Entry, Load},
    custodian::{self, Custodian},
    keys::{KeyError, StoreKey},
    map::PersonMap,
};
use aes::{Block, cipher::BlockCipherEncrypt};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// The largest person number, ten digits.
const LARGEST: u64 = 9_999_999_999;
/// Results are made durable in portions of so many: a sync costs milliseconds, their evaluation a second.
const DURABLE: usize = 16_384;

/// Links people and keys for one ingest; holds the cache's lock while it lives.
pub struct Linker {
    custodian: Custodian,
    cache: Arc<Mutex<CacheFile>>,
    known: Known,
    link_kid: String,
}

impl std::fmt::Debug for Linker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Linker({}, {} people known)", self.link_kid, self.known.people.len())
    }
}

/// What the cache holds, ready to use: S of people, P of domains.
struct Known {
    store: StoreKey,
    people: PersonMap,
    domains: HashMap<u64, Zeroizing<[u8; 16]>>,
}

impl Load for Known {
    fn expect(&mut self, entries: usize) {
        self.people = PersonMap::with_room_for(entries);
    }

    fn block(&mut self, entries: &[Entry]) {
        let mut blocks: Zeroizing<Vec<[u8; 16]>> = Zeroizing::new(entries.iter().map(|entry| entry.p).collect());
        let (stored, _) = Block::slice_as_chunks_mut(blocks.as_flattened_mut());
        self.store.person.encrypt_blocks(stored);
        for (entry, stored) in entries.iter().zip(blocks.iter()) {
            if is_domain(entry.id) {
                self.domains.insert(entry.id, Zeroizing::new(entry.p));
            } else {
                self.people.insert(entry.id, *stored);
            }
        }
    }
}

impl Linker {
    /// Opens the cache (made when missing). The custodian is called only when somebody is not in it.
    ///
    /// # Errors
    /// When the cache can't be opened, is of another key, or is in use.
    pub async fn open(options: LinkerOptions) -> Result<Self, LinkError> {
        let LinkerOptions { address, custodian, tls, public_key, cache, cache_key, store_key, retry } = options;
        let link = public_key.to_bytes();
        let link_kid = public_key.link_kid();
        let opened = tokio::task::spawn_blocking(move || {
            let mut known = Known { store: store_key, people: PersonMap::with_room_for(0), domains: HashMap::new() };
            CacheFile::open(&cache, &cache_key, &link, &mut known).map(|file| (file, known))
        });
        let (file, known) = opened.await.map_err(|_| LinkError::Worker)??;
        let custodian = Custodian::new(&address, custodian, &tls, public_key, retry);
        tracing::debug!(people = known.people.len(), %link_kid, "person cache is open");
        Ok(Self { custodian, cache: Arc::new(Mutex::new(file)), known, link_kid })
    }

    /// Id of the linkage key, for file metadata.
    #[must_use]
    pub fn link_kid(&self) -> &str {
        &self.link_kid
    }

    /// How many people are known without asking.
    #[must_use]
    pub fn known_people(&self) -> usize {
        self.known.people.len()
    }

    /// S of every number (normalised, ten digits packed into an integer), in the order given. Numbers may repeat.
    ///
    /// # Errors
    /// When a number has more than ten digits, the custodian can't be asked, or the cache not be written. Whatever was
    /// evaluated before the error is kept.
    pub async fn persons(&mut self, numbers: &[u64]) -> Result<Vec<[u8; 16]>, LinkError> {
        let mut stored = Vec::with_capacity(numbers.len());
        let mut missing = Vec::new();
        for (index, number) in numbers.iter().enumerate() {
            if *number > LARGEST {
                return Err(LinkError::Number { index });
            }
            match self.known.people.get(*number) {
                Some(value) => stored.push(*value),
                None => {
                    missing.push(*number);
                    stored.push([0; 16]);
                }
            }
        }
        if missing.is_empty() {
            return Ok(stored);
        }
        missing.sort_unstable();
        missing.dedup();
        // Asked in no order: the custodian shall not see a file's order in it.
        shuffle(&mut missing)?;
        self.evaluate(missing.into_iter().map(Input::Person).collect()).await?;
        for (number, value) in numbers.iter().zip(&mut stored) {
            *value = *self.known.people.get(*number).ok_or_else(|| self.custodian.incomplete())?;
        }
        Ok(stored)
    }

    /// The hasher of a key domain: the same at every spoke up to its store key, so that equal keys match across spokes
    /// within a project.
    ///
    /// # Errors
    /// As [`Linker::persons`].
    pub async fn key_domain(&mut self, domain: &str) -> Result<KeyHasher, LinkError> {
        if domain.is_empty() || domain.len() > 200 {
            return Err(LinkError::Domain);
        }
        let id = domain_id(domain);
        if !self.known.domains.contains_key(&id) {
            self.evaluate(vec![Input::Domain(domain.into())]).await?;
        }
        let p = self.known.domains.get(&id).ok_or_else(|| self.custodian.incomplete())?;
        Ok(KeyHasher::new(p, &self.known.store))
    }

    /// Evaluates, makes durable, remembers.
    async fn evaluate(&mut self, inputs: Vec<Input>) -> Result<(), LinkError> {
        // Room for everything: a vector that grows would leave a copy behind unwiped.
        let room = inputs.len().min(DURABLE + custodian::BATCH);
        let collect = || Entries(Vec::with_capacity(room));
        let mut run = self.custodian.evaluate(inputs);
        let mut pending = collect();
        let result = loop {
            match run.next().await {
                Ok(Some(entries)) => {
                    pending.0.extend_from_slice(&entries.0);
                    if pending.0.len() >= DURABLE {
                        let full = std::mem::replace(&mut pending, collect());
                        keep(&self.cache, &mut self.known, full).await?;
                    }
                }
                Ok(None) => break Ok(()),
                // What is already here was paid for.
                Err(error) => break Err(error),
            }
        };
        keep(&self.cache, &mut self.known, pending).await?;
        result
    }
}

/// Writes the entries durably, then remembers them.
async fn keep(cache: &Arc<Mutex<CacheFile>>, known: &mut Known, entries: Entries) -> Result<(), LinkError> {
    if entries.0.is_empty() {
        return Ok(());
    }
    let cache = Arc::clone(cache);
    let written = tokio::task::spawn_blocking(move || {
        let mut file = cache.lock().unwrap_or_else(PoisonError::into_inner);
        file.append(&entries.0).map(|()| entries)
    });
    let entries = written.await.map_err(|_| LinkError::Worker)??;
    known.block(&entries.0);
    Ok(())
}

fn shuffle(numbers: &mut [u64]) -> Result<(), LinkError> {
    use rand::{SeedableRng, seq::SliceRandom};
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|e| KeyError::Random(e.to_string()))?;
    numbers.shuffle(&mut rand::rngs::StdRng::from_seed(*seed));
    Ok(())
}
