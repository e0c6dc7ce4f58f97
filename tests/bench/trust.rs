//! What trust costs by itself: permits verified, access tokens verified, audit entries on disk, and blind evaluations by the
//! custodian, each on one core.

use crate::{Options, report::spread};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::Utc;
use custodian::key::LinkageKey;
use policies::{
    grant::TableGrant,
    permit::{Caps, Member, Output, Permit, SignedPermit, User, VERSION},
    purpose::{EhdsPurpose, Purpose},
};
use proto::ids::{PartId, PermitId};
use runtime::{audit::AuditLog, sign::SigningKey};
use std::time::Instant;

/// Of each thing, in one measurement.
const TIMES: u32 = 2_000;
/// Elements of one batch, as a spoke sends them.
const BATCH: usize = 1024;

pub(crate) async fn measure(options: &Options) -> Result<()> {
    permits(options)?;
    tokens(options).await?;
    audit(options)?;
    evaluations(options)
}

fn permits(options: &Options) -> Result<()> {
    let key = SigningKey::generate()?;
    let text = SignedPermit::sign(permit()?, &key)?;
    let trusted = [SigningKey::generate()?.public(), key.public()];
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        let started = Instant::now();
        for _ in 0..TIMES {
            SignedPermit::verify(text.compact(), &trusted)?;
        }
        rates.push(f64::from(TIMES) / started.elapsed().as_secs_f64());
    }
    println!("permits verified on one core, {} bytes each: {}", text.compact().len(), spread(&rates, "per s"));
    Ok(())
}

async fn tokens(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let file = folder.path().join("jwks.json");
    let jwk = serde_json::json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "alg": "EdDSA",
        "x": BASE64.encode(key.verifying_key().to_bytes()) }] });
    std::fs::write(&file, jwk.to_string())?;
    let url = "https://id.example.org";
    let config = toml::from_str(&format!("url = \"{url}\"\njwks_file = \"{}\"", file.display()))?;
    let issuers = runtime::token::Issuers::new(&[config])?;
    let header = serde_json::json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" });
    let claims = serde_json::json!({ "iss": url, "sub": "anna@example.org", "aud": "eger",
        "exp": Utc::now().timestamp() + 3600 });
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = ed25519_dalek::Signer::sign(&key, signed.as_bytes());
    let token = format!("{signed}.{}", BASE64.encode(signature.to_bytes()));
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        let started = Instant::now();
        for _ in 0..TIMES {
            ensure!(issuers.verify(&token).await?.user == "anna@example.org", "another user");
        }
        rates.push(f64::from(TIMES) / started.elapsed().as_secs_f64());
    }
    println!("access tokens verified on one core (Ed25519): {}", spread(&rates, "per s"));
    Ok(())
}

fn audit(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.dir)?;
    let folder = tempfile::tempdir_in(&options.dir)?;
    let log = AuditLog::open(&folder.path().join("audit.log"))?;
    let event = serde_json::json!({ "event": "asked", "sql": "SELECT koen, atc FROM lmdb WHERE atc = 'A10BA02'" });
    let mut millis = Vec::new();
    for _ in 0..options.runs * 40 {
        let started = Instant::now();
        log.append(&event)?;
        millis.push(started.elapsed().as_secs_f64() * 1e3);
    }
    println!("one audit entry, on disk: {}", spread(&millis, "ms"));
    Ok(())
}

fn evaluations(options: &Options) -> Result<()> {
    let key = LinkageKey::generate()?;
    let mut blinded = Vec::with_capacity(BATCH * custodian::key::ELEMENT);
    for n in 0..BATCH {
        let element = element(n)?;
        blinded.extend_from_slice(&element);
    }
    let mut rates = Vec::new();
    for _ in 0..options.runs {
        let started = Instant::now();
        let done = key.evaluate(&blinded, BATCH)?;
        ensure!(done.elements.len() == blinded.len(), "an answer of another size");
        rates.push(BATCH as f64 / started.elapsed().as_secs_f64());
    }
    println!("blind evaluations with proof on one core, batches of {BATCH}: {}", spread(&rates, "per s"));
    Ok(())
}

/// A blinded element, as a spoke makes it of a person number.
fn element(n: usize) -> Result<Vec<u8>> {
    let number = format!("{n:010}");
    let blinded = voprf::VoprfClient::<voprf::Ristretto255>::blind(number.as_bytes(), &mut rand_core06::OsRng);
    Ok(blinded.ok().context("an element")?.message.serialize().to_vec())
}

fn permit() -> Result<Permit> {
    let member = |name: &str| -> Result<Member> {
        Ok(Member {
            controller: name.parse()?,
            sealing: runtime::sign::fingerprint(format!("sealing {name}").as_bytes()),
            signing: runtime::sign::fingerprint(format!("signing {name}").as_bytes()),
        })
    };
    let table = |name: &str| -> Result<TableGrant> {
        let columns = (0..20).map(|n| format!("column_{n}")).collect();
        Ok(TableGrant { name: name.parse()?, columns, row_filter: Some("kom = 101".to_owned()) })
    };
    let today = Utc::now().date_naive();
    Ok(Permit {
        version: VERSION,
        id: PermitId::new(),
        controller: "dst".parse()?,
        project: "diabetes".parse()?,
        title: "Type 2 diabetes".to_owned(),
        part: PartId::new(),
        replaces: None,
        purpose: Purpose { ehds: EhdsPurpose::ScientificResearch, duo: Vec::new(), summary: "why".to_owned() },
        members: vec![member("dst")?, member("sds")?, member("region-h")?, member("region-m")?],
        lead: "sds".parse()?,
        deputy: None,
        users: vec![User { user: "anna@example.org".parse()?, issuer: "https://id.example.org".to_owned() }],
        tables: vec![table("bef")?, table("lmdb")?, table("kontakt")?],
        output: Output::HubAggregates,
        caps: Caps::default(),
        valid_from: today,
        valid_to: today,
        key_lists_to: Vec::new(),
        opt_out_version: 0,
        client_signature: false,
        threshold: None,
        blind: None,
        quick: None,
        approver: "approver".to_owned(),
        reason: "within the law".to_owned(),
        decided_at: Utc::now(),
    })
}
