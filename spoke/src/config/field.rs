//! Single fields of `spoke.toml`: defaults that are no zero, and checks that name what to write.

use runtime::peer::Peer;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;

pub(super) fn national() -> String {
    "national".to_owned()
}

pub(super) fn custodian_cert() -> PathBuf {
    "keys/custodian-link.crt".into()
}

pub(super) fn custodian_key() -> PathBuf {
    "keys/custodian-link.key".into()
}

pub(super) fn custodian_ca() -> PathBuf {
    "keys/custodian-ca.crt".into()
}

pub(super) fn custodian_public() -> PathBuf {
    "keys/custodian.pub".into()
}

pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<std::net::SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("'{text}' is no address to listen on: write IP:PORT, such as 127.0.0.1:7101"))
    })
}

pub(super) fn host_and_port<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text),
        _ => Err(serde::de::Error::custom(format!("'{text}' is no address: write HOST:PORT"))),
    }
}

pub(super) fn maybe_host_and_port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    host_and_port(from).map(Some)
}

pub(super) fn peer_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    Peer::hub(&text).map_err(|_| {
        serde::de::Error::custom(format!("'{text}' is no name: use lower-case letters, digits, '-' or '_'"))
    })?;
    Ok(text)
}

pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(from)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(serde::de::Error::custom(format!("{share} is no share: write a number from 0 to 1")))
    }
}

pub(super) fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        0 => Err(serde::de::Error::custom("must be at least 1")),
        n => Ok(n),
    }
}

pub(super) fn at_least_one_second<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        0 => Err(serde::de::Error::custom("must be at least 1")),
        n => Ok(n),
    }
}
