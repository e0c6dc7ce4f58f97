//! A schema as bytes (Arrow IPC), and its fingerprint.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::datatypes::Schema;
use arrow::ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use prost::Message;
use sha2::{Digest, Sha256};

use super::ROLE;
use crate::plan::encode_type;

/// The bytes are no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema cannot be read")]
pub struct SchemaError;

/// A schema with the metadata of its fields, as one Arrow IPC message.
pub fn to_bytes(schema: &Schema) -> Vec<u8> {
    let (mut dictionaries, options) = (DictionaryTracker::new(false), IpcWriteOptions::default());
    IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options).ipc_message
}

/// Reads what [`to_bytes`] wrote.
pub fn from_bytes(bytes: &[u8]) -> Result<Schema, SchemaError> {
    // the reader takes bytes at aligned addresses only, and within a message they stand anywhere
    let aligned = arrow::buffer::Buffer::from(bytes);
    // the reader checks the layout of foreign bytes, but panics on some contents (an unknown width or unit)
    let read = AssertUnwindSafe(|| try_schema_from_flatbuffer_bytes(&aligned));
    match catch_unwind(read) {
        Ok(Ok(schema)) => Ok(schema),
        Ok(Err(_)) | Err(_) => Err(SchemaError),
    }
}

/// SHA-256 over names, types and roles of the columns, in order. Descriptions, units and whether NULL occurs
/// do not count.
pub fn fingerprint(schema: &Schema) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // with its length in front, so that no two lists of parts run together alike
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(b"eger.schema.v1");
    for field in schema.fields() {
        part(field.name().as_bytes());
        match encode_type(field.data_type()) {
            // our own form does not change with the version of Arrow
            Ok(t) => part(&t.encode_to_vec()),
            Err(_) => part(field.data_type().to_string().as_bytes()),
        }
        part(field.metadata().get(ROLE).map_or("", String::as_str).as_bytes());
    }
    hash.finalize().into()
}

/// One fingerprint for all tables that a question reads, by name: a single table's own, else SHA-256 over all of them.
pub fn fingerprint_of<'a>(tables: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let tables: std::collections::BTreeMap<&str, &[u8]> = tables.into_iter().collect();
    if let (1, Some(only)) = (tables.len(), tables.values().next()) {
        return only.to_vec();
    }
    let mut hash = Sha256::new();
    hash.update(b"eger.schemas.v1");
    for (name, fingerprint) in tables {
        for part in [name.as_bytes(), fingerprint] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().to_vec()
}
