//! A disk that is full, at every place where something is written.

use super::*;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, UploadPart, path::Path as ObjectPath,
};
use std::{fmt, io};

/// What does not fit any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// small data files, written in one go
    File,
    /// parts of large data files
    Part,
    /// the end of large data files
    End,
    /// entries of the log
    Log,
}

#[derive(Debug)]
struct FullStore {
    inner: Arc<dyn ObjectStore>,
    full: Full,
}

fn no_space() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(io::ErrorKind::StorageFull)) }
}

impl fmt::Display for FullStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "full at {:?}", self.full)
    }
}

#[async_trait]
impl ObjectStore for FullStore {
    async fn put_opts(
        &self,
        path: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let log = path.as_ref().contains("_delta_log");
        if (log && self.full == Full::Log) || (!log && self.full == Full::File) {
            return Err(no_space());
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &ObjectPath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(FullUpload { inner, full: self.full }))
    }

    async fn get_opts(&self, path: &ObjectPath, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FullUpload {
    inner: Box<dyn MultipartUpload>,
    full: Full,
}

#[async_trait]
impl MultipartUpload for FullUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.full == Full::Part {
            return Box::pin(async { Err(no_space()) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        if self.full == Full::End {
            return Err(no_space());
        }
        self.inner.complete().await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await
    }
}

/// Text that no compression makes much smaller.
fn noise(rows: u64) -> String {
    let mut text = String::from("pnr;x\n");
    for row in 0..rows {
        let noise: String = (0..8).map(|part| hex(hashed(format!("{row} {part}").as_bytes()))).collect();
        text.push_str(&format!("{:010};{noise}\n", 101_000_000 + row % 50));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_leaves_the_tables_as_they_were() {
    for role in ["person", "reference"] {
        for full in [Full::File, Full::Part, Full::End, Full::Log] {
            let spoke = Spoke::new();
            let kind = if role == "person" { "role = \"person\"" } else { "type = \"text\"" };
            // a reference table's first column would look like person numbers
            let name = if role == "person" { "pnr" } else { "x" };
            let more = if role == "person" { "[[column]]\nname = \"x\"\ntype = \"text\"\n" } else { "" };
            spoke.declare("t", role, "", &format!("[[column]]\nname = \"{name}\"\n{kind}\n{more}"));
            spoke.file("in/t.csv", "pnr;x\n0707614285;a\n");
            spoke.ingest().await;
            let before = (spoke.files("data"), spoke.rows("t").await);
            // above ten megabytes files are uploaded in parts
            let large = matches!(full, Full::Part | Full::End);
            spoke.file("in/t.csv", noise(if large { 110_000 } else { 10 }));
            let store = spoke.store().through(|inner| Arc::new(FullStore { inner, full }));
            let options = IngestOptions { store: Some(store), ..IngestOptions::default() };
            let error = spoke.try_ingest(options).await.unwrap_err();
            assert_eq!(error.exit_code(), 6, "{role} {full:?}: {error}");
            assert!(error.to_string().starts_with("no space left while writing the "), "{role} {full:?}: {error}");
            assert!(error.to_string().contains("nothing was published"), "{error}");
            assert!(spoke.files("spill").is_empty(), "{role} {full:?}");
            assert_eq!(spoke.rows("t").await, before.1, "{role} {full:?}");
            // with room again, the next run is right and leaves nothing of the failed one
            spoke.file("in/t.csv", "pnr;x\n0707614285;b\n");
            spoke.ingest().await;
            assert_eq!(spoke.rows("t").await.len(), 1);
            let parts = spoke.files("data").iter().filter(|file| file.contains("part-")).count();
            assert_eq!(parts, 2, "{role} {full:?}: {:?}", spoke.files("data"));
        }
    }
}

#[test]
fn a_full_local_disk_is_said_as_such() {
    let full = IngestError::disk("/spill/run-1", io::Error::from_raw_os_error(28));
    assert_eq!(full.exit_code(), 6);
    assert_eq!(
        full.to_string(),
        "no space left while writing /spill/run-1: nothing was published and temporary files were removed. Make room and run the ingest again"
    );
}
