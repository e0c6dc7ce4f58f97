//! In which order a table's rows are read: pieces of row groups, cut and ordered by the project's key.
//!
//! Files are sorted by S, which is the same for every project. A row group larger than [`WHOLE`] is therefore not
//! read in one go, or the order within it would be alike for all projects.

use crate::pseudonym::OrderKey;
use parquet::file::metadata::ParquetMetaData;
use rand::Rng;
use std::sync::Arc;

/// A row group of up to so many rows is one piece.
const WHOLE: usize = 16_384;
/// Rows that a piece of a larger row group is meant to have.
const AIM: usize = 12_288;

/// Rows that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// index of the file in the snapshot
    pub(crate) file: usize,
    /// row group in the file
    pub(crate) group: usize,
    /// first row in the row group
    pub(crate) start: usize,
    /// number of rows
    pub(crate) rows: usize,
}

/// One file: its name, and the rows of each of its row groups.
#[derive(Debug, Clone)]
pub(crate) struct FileRows {
    /// the name; stays the same as long as the file exists
    pub(crate) name: String,
    /// rows of each row group
    pub(crate) groups: Vec<usize>,
    /// bounds of row groups and pages, if they are known
    pub(crate) footer: Option<Arc<ParquetMetaData>>,
}

/// All rows of `files`, in the project's order.
pub(crate) fn in_order(files: &[FileRows], key: &OrderKey) -> Vec<Piece> {
    let mut ranked = Vec::new();
    for (file, rows) in files.iter().enumerate() {
        for (group, &count) in rows.groups.iter().enumerate() {
            let label = format!("piece/{}/{group}", rows.name);
            for (start, end) in cut(count, key, &label) {
                let rank = key.rank(format!("{label}/{start}").as_bytes());
                ranked.push((rank, Piece { file, group, start, rows: end - start }));
            }
        }
    }
    ranked.sort_by_key(|(rank, piece)| (*rank, piece.file, piece.group, piece.start));
    ranked.into_iter().map(|(_, piece)| piece).collect()
}

/// All row groups of `files`, whole, one after the other: for rows whose order says nothing about anybody.
pub(crate) fn as_they_lie(files: &[FileRows]) -> Vec<Piece> {
    let groups = files.iter().enumerate().flat_map(|(file, of)| of.groups.iter().enumerate().map(move |g| (file, g)));
    let pieces = groups.map(|(file, (group, &rows))| Piece { file, group, start: 0, rows });
    pieces.filter(|piece| piece.rows > 0).collect()
}

/// Where a row group of `count` rows is cut.
fn cut(count: usize, key: &OrderKey, label: &str) -> Vec<(usize, usize)> {
    if count == 0 {
        return Vec::new();
    }
    if count <= WHOLE {
        return vec![(0, count)];
    }
    let pieces = count.div_ceil(AIM);
    let mut rng = key.rng(format!("cut/{label}").as_bytes());
    let mut borders = vec![0];
    for n in 1..pieces {
        // A third of a piece to either side keeps the borders in order.
        let (middle, play) = (count * n / pieces, count / pieces / 3);
        borders.push(rng.random_range(middle - play..=middle + play));
    }
    borders.push(count);
    borders.windows(2).filter_map(|w| Some((*w.first()?, *w.get(1)?))).collect()
}

/// Gives each of `parts` readers a run of pieces that follow one another.
pub(crate) fn in_runs(pieces: Vec<Piece>, parts: usize) -> Vec<Vec<Piece>> {
    let each = pieces.len().div_ceil(parts.max(1)).max(1);
    let runs: Vec<Vec<Piece>> = pieces.chunks(each).map(<[Piece]>::to_vec).collect();
    if runs.is_empty() { vec![Vec::new()] } else { runs }
}

/// Deals pieces to `parts` readers, in turn.
pub(crate) fn deal(pieces: Vec<Piece>, parts: usize) -> Vec<Vec<Piece>> {
    let parts = parts.clamp(1, pieces.len().max(1));
    let mut dealt = vec![Vec::new(); parts];
    for (n, piece) in pieces.into_iter().enumerate() {
        if let Some(part) = dealt.get_mut(n % parts) {
            part.push(piece);
        }
    }
    dealt
}
