//! Finding the files of a source: one file, a folder, a glob, or an object-store URL with any of these.

use super::SourceError;
use crate::{
    declare::{Format, Source},
    publish::with_environment,
};
use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use url::{Position, Url};

/// A file of a source.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// name for people and for `state.db`
    pub(crate) name: Arc<str>,
    pub(crate) size: u64,
    pub(crate) place: Place,
}

/// How to get at a file's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Local(PathBuf),
    Object(Arc<dyn ObjectStore>, ObjectPath),
}

/// All files of a source.
pub(crate) struct Places;

const WILD: [char; 4] = ['*', '?', '[', '{'];

impl Places {
    /// Finds them, in the order of their names.
    pub(crate) async fn find(source: &Source, base: &Path) -> Result<Vec<SourceFile>, SourceError> {
        let mut files = if source.path.contains("://") {
            objects(source).await?
        } else {
            let (source, base) = (source.clone(), base.to_owned());
            let walked = tokio::task::spawn_blocking(move || local(&source, &base)).await;
            walked.unwrap_or_else(|error| {
                Err(SourceError::Unreadable { file: "source".to_owned(), message: error.to_string() })
            })?
        };
        files.sort_by(|a, b| a.name.cmp(&b.name));
        if files.is_empty() {
            return Err(wrong(source, "no file is there under this path"));
        }
        Ok(files)
    }
}

fn wrong(source: &Source, message: impl Into<String>) -> SourceError {
    SourceError::Path { path: source.path.clone(), message: message.into() }
}

fn extension(format: Format) -> &'static [&'static str] {
    match format {
        Format::Csv => &["csv", "txt", "tsv"],
        Format::Parquet => &["parquet"],
    }
}

fn has_extension(name: &str, format: Format) -> bool {
    let found = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    found.is_some_and(|found| extension(format).contains(&found.as_str()))
}

fn hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('_')
}

fn matcher(source: &Source, pattern: &str) -> Result<GlobMatcher, SourceError> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    Ok(glob.map_err(|error| wrong(source, format!("is no glob: {}", error.kind())))?.compile_matcher())
}

fn local(source: &Source, base: &Path) -> Result<Vec<SourceFile>, SourceError> {
    let path = base.join(&source.path);
    let unreadable = |path: &Path, error: &std::io::Error| SourceError::Unreadable {
        file: path.display().to_string(),
        message: error.to_string(),
    };
    let mut files = Vec::new();
    let mut add = |path: PathBuf, size: u64| {
        files.push(SourceFile { name: path.display().to_string().into(), size, place: Place::Local(path) });
    };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => {
            add(path, meta.len());
            return Ok(files);
        }
        Ok(meta) if meta.is_dir() => {
            for entry in std::fs::read_dir(&path).map_err(|error| unreadable(&path, &error))? {
                let entry = entry.map_err(|error| unreadable(&path, &error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let meta = std::fs::metadata(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?;
                if meta.is_file() && !hidden(&name) && has_extension(&name, source.format) {
                    add(entry.path(), meta.len());
                }
            }
            return Ok(files);
        }
        Ok(_) => return Err(wrong(source, "is neither a file nor a folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && source.path.contains(WILD) => {}
        Err(error) => return Err(unreadable(&path, &error)),
    }
    // The longest part without wildcards is where the walk starts.
    let pattern = path.display().to_string();
    let matcher = matcher(source, &pattern)?;
    let fixed: PathBuf =
        path.components().take_while(|part| !part.as_os_str().to_string_lossy().contains(WILD)).collect();
    let deep = pattern.contains("**");
    let levels = path.components().count().saturating_sub(fixed.components().count());
    let mut folders = vec![(fixed, 1)];
    while let Some((folder, level)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let path = entry.path();
            let Ok(meta) = std::fs::metadata(&path) else { continue };
            if meta.is_dir() && (deep || level < levels) {
                folders.push((path, level + 1));
            } else if meta.is_file() && matcher.is_match(&path) {
                add(path, meta.len());
            }
        }
    }
    Ok(files)
}

async fn objects(source: &Source) -> Result<Vec<SourceFile>, SourceError> {
    // A glob's characters are no URL characters: what stands before the first of them is the URL.
    let (fixed, pattern) = match source.path.find(WILD) {
        Some(at) => {
            let folder = source.path.get(..at).and_then(|fixed| fixed.rfind('/')).map_or(0, |slash| slash + 1);
            (source.path.get(..folder).unwrap_or_default(), Some(source.path.as_str()))
        }
        None => (source.path.as_str(), None),
    };
    let url = Url::parse(fixed).map_err(|error| wrong(source, format!("is no URL: {error}")))?;
    let (store, prefix) = object_store::parse_url_opts(&url, with_environment(&source.options))
        .map_err(|error| wrong(source, error.to_string()))?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    let root = url[..Position::BeforePath].to_owned();
    let name_of = |path: &ObjectPath| format!("{root}/{path}");
    let unreadable =
        |error: object_store::Error| SourceError::Unreadable { file: source.path.clone(), message: error.to_string() };

    if pattern.is_none() && !source.path.ends_with('/') {
        match store.head(&prefix).await {
            Ok(meta) => {
                let place = Place::Object(store, meta.location.clone());
                return Ok(vec![SourceFile { name: name_of(&meta.location).into(), size: meta.size, place }]);
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let matcher = match pattern {
        Some(pattern) => Some(matcher(source, pattern)?),
        None => None,
    };
    let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.map_err(unreadable)?;
    let mut files = Vec::new();
    for meta in listed {
        let name = name_of(&meta.location);
        let wanted = match &matcher {
            Some(matcher) => matcher.is_match(&name),
            // a folder: its own files, not those of folders in it
            None => {
                let own = meta.location.prefix_match(&prefix).is_some_and(|rest| rest.count() == 1);
                let file = meta.location.filename().unwrap_or_default();
                own && !hidden(file) && has_extension(file, source.format)
            }
        };
        if wanted {
            files.push(SourceFile {
                name: name.into(),
                size: meta.size,
                place: Place::Object(Arc::clone(&store), meta.location),
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::declare::parse_all;

    fn source(path: &str) -> Source {
        let text = format!(
            "name = \"t\"\nrole = \"reference\"\n[source]\npath = '{path}'\nformat = \"csv\"\n[[column]]\nname = \"a\"\ntype = \"text\"\n"
        );
        parse_all([("t.toml", text.as_str())]).unwrap().into_values().next().unwrap().source
    }

    async fn names(path: &str, base: &Path) -> Vec<String> {
        let found = Places::find(&source(path), base).await.unwrap();
        found.iter().map(|file| file.name.rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn files_folders_globs_and_urls_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir_all(base.join("in/2020")).unwrap();
        for file in ["in/b.csv", "in/a.csv", "in/x.parquet", "in/.hidden.csv", "in/2020/c.csv"] {
            std::fs::write(base.join(file), "a\n").unwrap();
        }
        assert_eq!(names("in/a.csv", base).await, ["a.csv"]);
        assert_eq!(names("in", base).await, ["a.csv", "b.csv"]);
        assert_eq!(names("in/*.csv", base).await, [".hidden.csv", "a.csv", "b.csv"]);
        assert_eq!(names("in/*/c.csv", base).await, ["c.csv"]);
        assert_eq!(names("in/**/*.csv", base).await.len(), 4);
        let url = format!("file://{}/in", base.display());
        assert_eq!(names(&url, base).await, ["a.csv", "b.csv"]);
        assert_eq!(names(&format!("{url}/*.csv"), base).await, [".hidden.csv", "a.csv", "b.csv"]);
        assert_eq!(names(&format!("{url}/a.csv"), base).await, ["a.csv"]);
    }

    #[tokio::test]
    async fn nothing_there_is_an_error_that_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = Places::find(&source("no/*.csv"), dir.path()).await.unwrap_err().to_string();
        assert_eq!(error, "source.path = \"no/*.csv\": no file is there under this path");
        let error = Places::find(&source("no.csv"), dir.path()).await.unwrap_err().to_string();
        assert!(error.contains("no.csv: can't be read"), "{error}");
        let error = Places::find(&source("gopher://x/y"), dir.path()).await.unwrap_err().to_string();
        assert!(error.starts_with("source.path = \"gopher://x/y\""), "{error}");
    }
}
