//! Reading CSV files: one thread reads and cuts, several parse.

use super::{
    Pieces, Task,
    block::{Block, BlockParser},
    encoding::Letters,
    header::Layout,
    split::{Fault, MAX_ROW, Splitter},
};
use crate::{
    declare::Encoding,
    ingest::source::{ByteReader, CHUNK, SourceError, SourceFile},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};
use tokio::{runtime::Handle, sync::Semaphore};

/// Text that is parsed at a time.
const BLOCK: usize = 1 << 20;

type Results = tokio::sync::mpsc::Sender<Result<super::Parsed, SourceError>>;

/// Starts reading; pieces arrive out of order, and the sender's end closes when all files are read or one failed.
pub(crate) fn start(files: Vec<SourceFile>, task: &Task) -> Pieces {
    // So many pieces are under way at a time; that bounds memory whatever the speed of each part.
    let places = task.threads * 3 + 2;
    let semaphore = Arc::new(Semaphore::new(places));
    let (to_parsers, blocks) = mpsc::sync_channel::<Block>(task.threads);
    let blocks = Arc::new(Mutex::new(blocks));
    let (results, pieces) = tokio::sync::mpsc::channel(places);
    for _ in 0..task.threads {
        let (task, blocks, results) = (task.clone(), Arc::clone(&blocks), results.clone());
        thread::spawn(move || parse(&task, &blocks, &results));
    }
    let task = task.clone();
    let handle = Handle::current();
    thread::spawn(move || {
        let reader = FileCutter { task, handle, semaphore, blocks: to_parsers, next: 0 };
        if let Err(error) = reader.run(&files) {
            // Nobody listens any more when the ingest failed elsewhere first.
            let _ = results.blocking_send(Err(error));
        }
    });
    pieces
}

fn parse(task: &Task, blocks: &Mutex<mpsc::Receiver<Block>>, results: &Results) {
    let mut parser = BlockParser::new(task.clone());
    loop {
        let received = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = received else { return };
        let file = block.file.to_string();
        // A piece that never arrives would be waited for for ever.
        let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse(block))).unwrap_or_else(|_| {
            let message = "this program failed inside on it; please report that".to_owned();
            Err(SourceError::Unreadable { file, message })
        });
        let failed = parsed.is_err();
        if results.blocking_send(parsed).is_err() || failed {
            return;
        }
    }
}

struct FileCutter {
    task: Task,
    handle: Handle,
    semaphore: Arc<Semaphore>,
    blocks: mpsc::SyncSender<Block>,
    next: u64,
}

impl FileCutter {
    fn run(mut self, files: &[SourceFile]) -> Result<(), SourceError> {
        for file in files {
            if !self.file(file)? {
                break;
            }
        }
        Ok(())
    }

    /// Says whether to go on.
    fn file(&mut self, file: &SourceFile) -> Result<bool, SourceError> {
        let mut reader = self.handle.block_on(ByteReader::open(file))?;
        let mut text = Vec::with_capacity(2 * CHUNK);
        let mut more = self.more(&mut reader, &mut text)?;
        while more && text.len() < 4096 {
            more = self.more(&mut reader, &mut text)?;
        }
        kind(file, &text)?;
        let mut encoding = self.task.decl.source.encoding;
        if text.starts_with(b"\xEF\xBB\xBF") {
            text.drain(..3);
            // The mark says it, whatever was declared.
            encoding = Encoding::Utf8;
        }
        // The first line is looked for with room to spare; a longer one is refused when rows are cut.
        while more && text.len() < CHUNK && !text.contains(&b'\n') {
            more = self.more(&mut reader, &mut text)?;
        }
        if text.iter().all(u8::is_ascii_whitespace) && !more {
            return Err(SourceError::Empty { file: file.name.to_string() });
        }
        let layout = Arc::new(Layout::find(&self.task.decl, &file.name, encoding, &text)?);
        let mut line = layout.line;
        text.drain(..layout.start);
        let mut splitter = Splitter::new(&[layout.delimiter], layout.quote, line);
        let mut decided = None;
        loop {
            splitter.scan(&text, false).map_err(|fault| told(fault, file))?;
            let (mut cut, mut cut_line) = splitter.complete();
            if !more {
                if let Some(line) = splitter.open_quote() {
                    return Err(SourceError::OpenQuote { file: file.name.to_string(), line });
                }
                (cut, cut_line) = (text.len(), line);
            }
            if cut >= BLOCK || (!more && cut > 0) {
                let rest = text.split_off(cut);
                let block = std::mem::replace(&mut text, rest);
                text.reserve(2 * CHUNK);
                let letters = Letters::decide(encoding, &mut decided, &block);
                let cut_off = !more && !block.ends_with(b"\n") && !block.ends_with(b"\r");
                let Ok(permit) = self.handle.block_on(Arc::clone(&self.semaphore).acquire_owned()) else {
                    return Ok(false);
                };
                let block = Block {
                    index: self.next,
                    file: Arc::clone(&file.name),
                    layout: Arc::clone(&layout),
                    line,
                    text: block,
                    letters,
                    cut_off,
                    permit,
                };
                self.next += 1;
                if self.blocks.send(block).is_err() || self.task.cancel.is_cancelled() {
                    return Ok(false);
                }
                splitter.taken(cut);
                line = cut_line;
            }
            if !more {
                break;
            }
            if text.len() > MAX_ROW + BLOCK + 2 * CHUNK {
                return Err(SourceError::LongRow { file: file.name.to_string(), line });
            }
            more = self.more(&mut reader, &mut text)?;
        }
        let digest = reader.finish()?;
        self.task.meter.finished(&file.name, file.size, digest);
        Ok(true)
    }

    fn more(&self, reader: &mut ByteReader, text: &mut Vec<u8>) -> Result<bool, SourceError> {
        let read = reader.read_into(text)?;
        self.task.meter.advance(read as u64);
        Ok(read > 0)
    }
}

fn told(fault: Fault, file: &SourceFile) -> SourceError {
    let file = file.name.to_string();
    match fault {
        Fault::LongField { line } => SourceError::LongField { file, line },
        Fault::LongRow { line } => SourceError::LongRow { file, line },
    }
}

/// Files that are something else altogether are told so at once.
fn kind(file: &SourceFile, start: &[u8]) -> Result<(), SourceError> {
    let wrong =
        |found, advice| Err(SourceError::Kind { file: file.name.to_string(), found, expected: "CSV text", advice });
    if start.is_empty() {
        return Err(SourceError::Empty { file: file.name.to_string() });
    }
    if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
        return Err(SourceError::Utf16 { file: file.name.to_string() });
    }
    if start.starts_with(b"PAR1") {
        return wrong("a Parquet file", "Declare source.format = \"parquet\"");
    }
    if start.starts_with(b"\x1F\x8B") || start.starts_with(b"\x28\xB5\x2F\xFD") {
        return wrong("compressed", "Unpack it first");
    }
    if start.starts_with(b"PK\x03\x04") {
        return wrong("a ZIP archive or an Excel workbook", "Save it as CSV, or unpack it first");
    }
    if start.iter().take(4096).take_while(|byte| **byte != b'\n').any(|byte| *byte == 0) {
        return wrong("a binary file", "Check source.path and source.format");
    }
    Ok(())
}
