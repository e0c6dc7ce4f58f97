//! A section of a document as statements for a shell, in paragraphs that begin with a comment.

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeSet, path::Path};

/// One paragraph: what it is about, and what is typed.
#[derive(Debug)]
struct Paragraph {
    about: String,
    statements: Vec<String>,
}

/// All paragraphs, and what has been typed of them.
#[derive(Debug)]
pub(crate) struct Walk {
    document: String,
    paragraphs: Vec<Paragraph>,
    typed: BTreeSet<String>,
}

impl Walk {
    /// The section of a document, named from the project's folder, that begins with this line.
    pub(crate) fn read(document: &str, section: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let section = text.split(section).nth(1).with_context(|| format!("{document} has lost the section"))?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let mut paragraphs: Vec<Paragraph> = Vec::new();
        for block in section.split("```sh\n").skip(1) {
            let mut rest = block.split("\n```").next().unwrap_or_default().lines();
            while let Some(line) = rest.next() {
                if let Some(about) = line.strip_prefix("# ") {
                    paragraphs.push(Paragraph { about: about.to_owned(), statements: Vec::new() });
                } else if !line.is_empty() {
                    let mut statement = code(line).to_owned();
                    while statement.matches('\'').count() % 2 == 1 {
                        let more = rest.next().with_context(|| format!("a quote is left open: {line}"))?;
                        statement = format!("{statement}\n{}", code(more));
                    }
                    paragraphs.last_mut().context("a block begins with a comment")?.statements.push(statement);
                }
            }
        }
        ensure!(!paragraphs.is_empty(), "the section of {document} has no blocks");
        Ok(Self { document: document.to_owned(), paragraphs, typed: BTreeSet::new() })
    }

    /// The statements of the paragraph whose comment begins so, without those that begin with `without`.
    pub(crate) fn paragraph(&mut self, about: &str, without: &str) -> Result<Vec<String>> {
        let mut all = self.paragraphs.iter().filter(|paragraph| paragraph.about.starts_with(about));
        let found = all.next().with_context(|| format!("{} has no paragraph '# {about}'", self.document))?;
        ensure!(all.next().is_none(), "{} has two paragraphs '# {about}'", self.document);
        let kept = |statement: &&String| without.is_empty() || !statement.starts_with(without);
        let statements: Vec<String> = found.statements.iter().filter(kept).cloned().collect();
        self.typed.extend(statements.iter().cloned());
        Ok(statements)
    }

    /// Nothing that the document says was left out.
    pub(crate) fn all_typed(&self) -> Result<()> {
        let all = self.paragraphs.iter().flat_map(|paragraph| &paragraph.statements);
        let left: Vec<&String> = all.filter(|statement| !self.typed.contains(*statement)).collect();
        ensure!(left.is_empty(), "lines of {} that the test does not type: {left:#?}", self.document);
        Ok(())
    }
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("  #").next().unwrap_or_default().trim_end()
}
