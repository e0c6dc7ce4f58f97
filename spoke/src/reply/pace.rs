//! Whether an answer's next message is compressed, and how: by what the link has taken of late.
//!
//! An answer's stream is asked for the next message when the link has room. Where most of the time goes by between giving a
//! message and being asked again, the link is what the hub waits for, and its speed is what left in that time. A codec that is
//! several times faster than that makes the answer come sooner; a slower one would only take the queries' processor time.
//! Where the link isn't waited for, it is taken to be faster and faster, until compressing ends.

use crate::config::Compression as Configured;
use proto::wire::Compression;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How this spoke can compress.
pub(crate) const WAYS: [Compression; 2] = [Compression::Lz4, Compression::Zstd];

/// The link is judged each time so many bytes have left: several times what buffers on the way take in at once.
const WINDOW: usize = 4 << 20;
/// A codec has to be so many times faster than the link.
const MARGIN: f64 = 4.0;
/// A codec that leaves more than this share of the bytes isn't worth it.
const POOR: f64 = 0.9;
/// Faster than any codec, bytes a second.
const FAST: f64 = 4e9;
/// Weight of the newest message in a codec's speed and yield.
const NEWEST: f64 = 0.2;

/// What is done with the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// nothing
    None,
    /// little work
    Lz4,
    /// more work, fewer bytes
    Zstd,
}

/// What one message took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    /// what was done with it
    pub(super) codec: Codec,
    /// bytes of its rows
    pub(super) raw: usize,
    /// bytes that left
    pub(super) wire: usize,
    /// writing and compressing it
    pub(super) encoding: Duration,
    /// from giving it until the next one was wanted
    pub(super) blocked: Duration,
    /// from wanting it until the next one was wanted
    pub(super) whole: Duration,
}

/// What is known of the way to the hub; the same for all answers.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    configured: Configured,
    known: Arc<Mutex<Known>>,
}

/// One answer's.
#[derive(Debug)]
pub(crate) struct Paced {
    configured: Configured,
    accepts: Vec<Codec>,
    shared: Arc<Mutex<Known>>,
    known: Known,
    window: Window,
    /// the window before was waited for too: one alone may be a busy machine
    waited: bool,
    /// share of the bytes that each codec leaves of these rows
    left: Yield,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// bytes a second; nothing: never waited for
    link: Option<f64>,
    /// bytes of rows a second
    lz4: f64,
    zstd: f64,
}

#[derive(Debug, Default)]
struct Window {
    wire: usize,
    blocked: Duration,
    whole: Duration,
}

#[derive(Debug)]
struct Yield {
    lz4: f64,
    zstd: f64,
}

impl Pace {
    pub(crate) fn new(configured: Configured) -> Self {
        // Until it has been tried; what is tried first on a slow link corrects it.
        Self { configured, known: Arc::new(Mutex::new(Known { link: None, lz4: 500e6, zstd: 300e6 })) }
    }

    /// For an answer to a hub that reads `accepts`.
    pub(crate) fn of(&self, accepts: &[Compression]) -> Paced {
        let accepts = accepts.iter().filter_map(|way| match way {
            Compression::Lz4 => Some(Codec::Lz4),
            Compression::Zstd => Some(Codec::Zstd),
            Compression::Unspecified => None,
        });
        Paced {
            configured: self.configured,
            accepts: accepts.collect(),
            shared: Arc::clone(&self.known),
            known: *self.known.lock().unwrap_or_else(PoisonError::into_inner),
            window: Window::default(),
            waited: false,
            left: Yield { lz4: 0.5, zstd: 0.5 },
        }
    }
}

impl Paced {
    /// What to do with the next message.
    pub(super) fn codec(&self) -> Codec {
        let wanted: &[Codec] = match self.configured {
            Configured::None => &[],
            Configured::Lz4 => &[Codec::Lz4],
            Configured::Zstd => &[Codec::Zstd],
            Configured::Auto => &[Codec::Zstd, Codec::Lz4],
        };
        let auto = self.configured == Configured::Auto;
        let mut readable = wanted.iter().copied().filter(|codec| self.accepts.contains(codec));
        readable.find(|codec| !auto || self.worth(*codec)).unwrap_or(Codec::None)
    }

    fn worth(&self, codec: Codec) -> bool {
        let (speed, left) = match codec {
            Codec::None => return false,
            Codec::Lz4 => (self.known.lz4, self.left.lz4),
            Codec::Zstd => (self.known.zstd, self.left.zstd),
        };
        self.known.link.is_some_and(|link| link * MARGIN < speed) && left < POOR
    }

    /// Learns from a message that has left.
    pub(super) fn sent(&mut self, spent: Spent) {
        let (speed, left) = match spent.codec {
            Codec::None => (None, None),
            Codec::Lz4 => (Some(&mut self.known.lz4), Some(&mut self.left.lz4)),
            Codec::Zstd => (Some(&mut self.known.zstd), Some(&mut self.left.zstd)),
        };
        let learn = |known: Option<&mut f64>, seen: f64| {
            if let Some(known) = known.filter(|_| seen.is_finite()) {
                *known += NEWEST * (seen - *known);
            }
        };
        learn(speed, spent.raw as f64 / spent.encoding.as_secs_f64());
        learn(left, spent.wire as f64 / spent.raw as f64);
        self.window.wire += spent.wire;
        self.window.blocked += spent.blocked;
        self.window.whole += spent.whole;
        if self.window.wire < WINDOW {
            return;
        }
        let Window { wire, blocked, whole } = std::mem::take(&mut self.window);
        let rate = wire as f64 / whole.as_secs_f64();
        let before = std::mem::replace(&mut self.waited, blocked * 2 > whole);
        let link = match self.known.link {
            _ if self.waited && before => Some(rate),
            // Some waiting is left also where compressing takes much of the time: nothing new.
            known if blocked * 8 > whole => known,
            known => known.map(|link| (link * 2.0).max(rate)),
        };
        self.known.link = link.filter(|link| *link < FAST);
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = self.known;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Compression; 2] = [Compression::Lz4, Compression::Zstd];

    /// Messages of 1 MiB over a link of `link` bytes a second, when making one's rows takes `rows` and each codec leaves
    /// `left` of the bytes; what was done with the last one.
    fn send(paced: &mut Paced, messages: usize, link: f64, rows: f64, left: f64) -> Codec {
        for _ in 0..messages {
            let codec = paced.codec();
            let raw = 1_048_576.0;
            let (speed, wire) = match codec {
                Codec::None => (5e9, raw),
                Codec::Lz4 => (600e6, raw * left),
                Codec::Zstd => (350e6, raw * left),
            };
            let (encoding, sending) = (raw / speed, wire / link);
            // what the link still sends while the next message is made
            let blocked = (sending - encoding - rows).max(0.0);
            paced.sent(Spent {
                codec,
                raw: raw as usize,
                wire: wire as usize,
                encoding: Duration::from_secs_f64(encoding),
                blocked: Duration::from_secs_f64(blocked),
                whole: Duration::from_secs_f64(encoding + rows + blocked),
            });
        }
        paced.codec()
    }

    #[test]
    fn a_slow_link_is_worth_the_work_and_a_fast_one_is_not() {
        for (link, expected) in
            [(2e6, Codec::Zstd), (12e6, Codec::Zstd), (50e6, Codec::Zstd), (120e6, Codec::Lz4), (1.2e9, Codec::None)]
        {
            let pace = Pace::new(Configured::Auto);
            assert_eq!(pace.of(&BOTH).codec(), Codec::None, "nothing is known yet");
            let mut paced = pace.of(&BOTH);
            assert_eq!(send(&mut paced, 40, link, 1e-4, 0.4), expected, "{link}");
            assert_eq!(pace.of(&BOTH).codec(), expected, "the next answer begins with it");
            assert_eq!(pace.of(&[]).codec(), Codec::None, "but only if the hub reads it");
        }
    }

    #[test]
    fn rows_that_come_slower_than_the_link_are_not_compressed() {
        let mut paced = Pace::new(Configured::Auto).of(&BOTH);
        assert_eq!(send(&mut paced, 40, 12e6, 0.5, 0.4), Codec::None);
    }

    #[test]
    fn rows_that_dont_get_smaller_are_not_compressed_for_long() {
        let mut paced = Pace::new(Configured::Auto).of(&BOTH);
        assert_eq!(send(&mut paced, 60, 12e6, 1e-4, 1.0), Codec::None);
    }

    #[test]
    fn a_link_that_gets_faster_ends_compressing_and_one_that_gets_slower_begins_it() {
        let mut paced = Pace::new(Configured::Auto).of(&BOTH);
        assert_eq!(send(&mut paced, 40, 12e6, 1e-4, 0.4), Codec::Zstd);
        assert_eq!(send(&mut paced, 200, 2e9, 1e-4, 0.4), Codec::None);
        assert_eq!(send(&mut paced, 40, 12e6, 1e-4, 0.4), Codec::Zstd);
    }
}
