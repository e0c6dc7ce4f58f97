//! Whether the others can be reached: name, connection, TLS, and what they say. Each kind of failure has its own advice.

use super::{Report, clock::Dates};
use crate::{config::SpokeConfig, pseudonym::LinkPublicKey};
use proto::wire::{
    CustodianCheckpointRequest, NudgeRequest, PublicKeyRequest, custodian_client::CustodianClient,
    gateway_client::GatewayClient,
};
use runtime::{
    peer::Peer,
    tls::{self, Tls},
    token::Issuers,
};
use std::{io::ErrorKind, time::Duration};
use tokio::net::TcpStream;
use tonic::Status;

/// A connection that takes longer is taken for one that a firewall drops.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// The custodian: reachable, the pinned key, and enrolled there.
pub(super) async fn custodian(config: &SpokeConfig, report: &mut Report, dates: &mut Dates) {
    let what = "custodian";
    let Some(section) = &config.custodian else {
        return report.warn(
            what,
            "there is no [custodian]",
            "without one no person can be pseudonymised: ask for its address",
        );
    };
    if !reachable(what, &section.address, report).await {
        return;
    }
    // The certificate's own check has said what is wrong with it.
    let Ok(tls) = Tls::load(&section.tls()) else { return };
    let mut client = CustodianClient::new(tls::channel(&section.address, section.peer(), &tls));
    let reply = match within(client.public_key(PublicKeyRequest {})).await {
        Ok(reply) => reply,
        Err(status) => return refused(what, &section.address, &section.peer(), &status, dates, report),
    };
    dates.note_metadata("the custodian", reply.metadata());
    report.ok(what, format!("{} answers at {}", section.peer(), section.address));
    let key = hex::encode(reply.into_inner().public_key);
    let pinned = std::fs::read_to_string(&section.public_key).unwrap_or_default();
    let said = "custodian's key";
    match pinned.parse::<LinkPublicKey>() {
        Err(error) => {
            report.fail(said, format!("{}: {error}", section.public_key.display()), "spoke custodian install REPLY");
        }
        Ok(_) if pinned.trim() == key => report.ok(said, "is the pinned one"),
        Ok(own) => report.fail(
            said,
            format!("is another than the pinned one ({})", own.link_kid()),
            "every pseudonym depends on it: change nothing, and call the custodian's organisation",
        ),
    }
    let empty = CustodianCheckpointRequest::default();
    match within(client.checkpoint(empty)).await {
        Ok(_) => report.ok("enrolment", "this spoke's key is enrolled at the custodian"),
        Err(status) => report.fail(
            "enrolment",
            status.message(),
            "spoke custodian request, custodian enrol, spoke custodian install",
        ),
    }
}

/// The hub's gateway, when the spoke dials out.
pub(super) async fn gateway(config: &SpokeConfig, address: Option<&str>, report: &mut Report, dates: &mut Dates) {
    let what = "hub's gateway";
    let Some(address) = address else {
        return report.warn(
            what,
            "no [link] gateway",
            "join the hub: spoke join, or let it connect to you ([link] mode)",
        );
    };
    if !reachable(what, address, report).await {
        return;
    }
    let Ok(tls) = Tls::load(&config.link_tls()) else { return };
    let mut client = GatewayClient::new(tls::channel(address, config.hub_peer(), &tls));
    match within(client.nudge(NudgeRequest {})).await {
        Ok(reply) => {
            dates.note_metadata("the hub", reply.metadata());
            report.ok(what, format!("{} answers at {address}", config.hub_peer()));
        }
        Err(status) => refused(what, address, &config.hub_peer(), &status, dates, report),
    }
}

/// The issuers of people's tokens.
pub(super) async fn issuers(config: &SpokeConfig, report: &mut Report, dates: &mut Dates) {
    if config.issuers.is_empty() {
        let advice = "name the issuers whose logins count here under [[issuer]] in spoke.toml";
        return report.fail("issuer", "none is trusted: nobody can ask", advice);
    }
    for issuer in &config.issuers {
        let what = format!("issuer {}", issuer.url);
        let probed = match Issuers::new(std::slice::from_ref(issuer)) {
            Ok(issuers) => issuers.probe().await.map_err(|error| format!("{error} ({})", error.detail())),
            Err(error) => Err(error.to_string()),
        };
        let advice = match &issuer.jwks_file {
            Some(file) => format!("put the issuer's public keys (JWK set) into {}", file.display()),
            None => "open the way to it in the firewall (https, outgoing), check its URL, name its authority (ca = ..), or keep \
                     its keys in a file (jwks_file = ..)"
                .to_owned(),
        };
        match probed {
            Ok(()) => report.ok(what, "its keys can be used"),
            Err(found) => report.fail(what, found, advice),
        }
        if issuer.jwks_file.is_none()
            && let Ok(date) = runtime::clock::of_server(&issuer.url, issuer.ca.as_deref()).await
        {
            dates.note(&issuer.url, date);
        }
    }
}

/// Name and connection.
async fn reachable(what: &str, address: &str, report: &mut Report) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let addresses: Vec<_> = match tokio::net::lookup_host(address).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let advice = format!("check the name in spoke.toml and this machine's DNS: getent hosts {host}");
            report.fail(what, format!("the name {host} is not known ({error})"), advice);
            return false;
        }
    };
    let mut last = None;
    for target in &addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => last = Some(Some(error)),
            Err(_) => last = Some(None),
        }
    }
    let (found, advice) = match last {
        Some(Some(error)) if error.kind() == ErrorKind::ConnectionRefused => (
            format!("{address} refuses connections"),
            "nothing listens there: check the port, and that the other side runs",
        ),
        Some(Some(error)) => (format!("{address}: {error}"), "check this machine's network and routes"),
        Some(None) => (
            format!("{address} does not answer: the connection timed out"),
            "a firewall drops it: allow outgoing TCP to this address and port",
        ),
        None => (format!("{host} has no address"), "check the name in spoke.toml and this machine's DNS"),
    };
    report.fail(what, found, advice);
    false
}

async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(proto::refusal::Refusal::new(proto::refusal::Kind::Deadline, "no answer within 15 s").into()),
    }
}

/// TLS failed, or the other side said no.
fn refused(what: &str, address: &str, expect: &Peer, status: &Status, dates: &mut Dates, report: &mut Report) {
    let mut cause: &dyn std::error::Error = status;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let here = std::error::Error::source(status).is_some();
    if !here {
        // It answered: the connection and both certificates are good.
        dates.note_metadata(what, status.metadata());
        return report.fail(what, status.message(), "do what it says, or call its operator");
    }
    let text = cause.to_string();
    let advice = if text.contains("expected eger://") {
        format!("another party answers at {address} than {expect}: check name and address in spoke.toml")
    } else if text.contains("UnknownIssuer") || text.contains("UnknownCA") || text.contains("BadSignature") {
        "its certificate is of another authority than the one pinned here, or the connection is intercepted (a TLS proxy \
         must let it through untouched)"
            .to_owned()
    } else if text.contains("Expired") || text.contains("NotValidYet") {
        "a certificate is not good at this time: check the clock, then the other side's certificate".to_owned()
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") || text.contains("UnexpectedEof")
    {
        "what answers there speaks no TLS, or the connection is intercepted: check the port".to_owned()
    } else {
        "check the address, and that no proxy stands between".to_owned()
    };
    report.fail(what, format!("no TLS connection with {expect} at {address}: {text}"), advice);
}
