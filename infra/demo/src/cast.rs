//! Who takes part in a platform, and what each controller holds: the demo's four, or others for measuring.

use std::path::Path;
use std::sync::Arc;

use crate::generate::{self, GenerateError, Options, TableSummary};
use crate::registers::{CONTROLLERS, Controller, TABLES, Table};

/// Writes the controllers' files below a folder, `DIR/<controller>/`, and tells of the people done so far.
pub type Write =
    dyn Fn(&Path, &Options, &dyn Fn(u32)) -> Result<Vec<TableSummary>, GenerateError> + Send + Sync + 'static;

/// Controllers, their tables, and where their files come from.
#[derive(Clone)]
pub struct Cast {
    /// Whose spokes run. The second, or the only one, leads the project.
    pub controllers: &'static [Controller],
    /// All tables that they publish.
    pub tables: Vec<&'static Table>,
    /// What the files are, for those who find them later; none for the demo's registers.
    pub what: Option<String>,
    /// Writes the files.
    pub write: Arc<Write>,
}

impl Cast {
    /// The demo's four controllers and their registers.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            controllers: &CONTROLLERS,
            tables: TABLES.to_vec(),
            what: None,
            write: Arc::new(|dir: &Path, options: &Options, progress: &dyn Fn(u32)| {
                generate::registers(dir, options, progress)
            }),
        }
    }

    /// The demo's, and at `sds` a table of `rows` prescriptions of the same people.
    #[must_use]
    pub fn with_prescriptions(rows: u64) -> Self {
        let also = &generate::bench::PRESCRIPTIONS;
        Self {
            tables: TABLES.into_iter().chain([also]).collect(),
            what: Some(format!("registers and {rows} prescriptions")),
            write: Arc::new(move |dir: &Path, options: &Options, progress: &dyn Fn(u32)| {
                let mut made = generate::registers(dir, options, progress)?;
                let path = dir.join(also.controller).join("prescriptions.csv");
                made.push(generate::bench::outcomes(&path, options, rows)?);
                Ok(made)
            }),
            ..Self::demo()
        }
    }

    /// The tables of one controller.
    pub fn tables_of<'a>(&'a self, controller: &'a str) -> impl Iterator<Item = &'static Table> + 'a {
        self.tables.iter().copied().filter(move |t| t.controller == controller)
    }
}
