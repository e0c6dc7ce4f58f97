//! Messages, client and server generated from `proto/eger/v1/*.proto`.
//!
//! INVARIANT: nothing here is checked. Bytes from outside go through [`crate::fragment::from_bytes`] or
//! [`crate::envelope`] before anybody reads them.

#![allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/eger.v1.rs"));
