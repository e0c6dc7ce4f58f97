//! Makes a hub's folder.

use super::{AdminError, at};
use crate::admin;
use runtime::{peer::Peer, seal::write_private};
use std::path::{Path, PathBuf};

const HUB: &str = r#"# The hub. Paths are relative to this folder.
name = "NAME"                       # eger://hub/NAME on links

[listen]                            # plain TCP on loopback only; give [listen.tls] for anything else
open = "127.0.0.1:7001"             # released aggregates
enclave = "127.0.0.1:7002"          # rows under project pseudonyms: reachable from the secure environment alone
# [listen.tls]
# cert = "keys/server.crt"
# key = "keys/server.key"

[link]                              # the hub's identity towards spokes (hub admin ca issue hub NAME)
cert = "keys/link.crt"
key = "keys/link.key"
ca = "keys/link-ca.crt"

[gateway]                           # where spokes open their links and join: the one port that controllers must reach
address = "127.0.0.1:7003"
# public = "hub.example.org:7003"   # where they find it, when that is another (hub admin invite writes it into codes)
certificate_days = 90               # spokes renew by themselves after two thirds of that

# One for each spoke that listens instead ([link] mode = "listen" in its spoke.toml):
# [[spoke]]
# controller = "region-h"
# address = "127.0.0.1:7101"

[api]                               # applications, permits, tokens: HTTP (docs/api.md)
address = "127.0.0.1:7004"
# enclave = "127.0.0.1:7005"        # the same inside the secure environment, reachable from there alone: the airlock
screening = "automatic"             # manual: a coordinator says when an application is complete

[airlock]                           # what is handed in to leave (docs/airlock.md)
draft_days = 30                     # a draft that nobody changes, or an answer that nobody takes out, for so long is withdrawn

# Roles at the hub; none of them opens data. role: operator, coordinator, approver:CONTROLLER, checker:ORGANISATION
# [[role]]
# user = "bente@example.org"
# issuer = "https://login.example.org"
# role = "coordinator"
# Whose access tokens are believed, one for each issuer (the controllers name theirs in spoke.toml):
# [[issuer]]
# url = "https://id.example.org"
# audience = "eger"                 # what the tokens' aud must hold
# user_claim = "sub"                # the claim with the internal person id
# [[login]]                         # the public client of `hub login` there
# issuer = "https://id.example.org"
# client_id = "eger-cli"

[query]
timeout_seconds = 300               # a statement ends after this, with an error
ticket_seconds = 300                # how long an announced answer can be fetched
catalogue_timeout_seconds = 10      # how long a spoke may take to say what it offers
catalogue_cache_seconds = 10        # how long that is used again
max_statement_bytes = 262144
queue_seconds = 60                  # how long a statement may wait for a free slot
key_list = 2000000                  # keys of a join that are sent one by one; of more a Bloom filter is sent
statistics_per_day = 20000          # new numbers that a project is shown in the open zone on one day (docs/release.md)
statistics_per_key = 1000000        # and under one key

# What operators see (docs/operate.md); off until it stands here:
# [telemetry]
# otlp = "http://127.0.0.1:4318"    # traces go to this collector
# [metrics]
# listen = "127.0.0.1:9464"         # Prometheus asks here
"#;

const README: &str = "# A hub's folder

- `hub.toml`: where it listens, which spokes there are
- `keys/ca.*`: the authority of the links. `ca.key` issues identities: keep a copy offline
- `keys/link.*`, `keys/link-ca.crt`: the hub's own identity towards spokes
- `keys/signing.key`, `passphrase`: the hub's signature under checkpoints of logs, receipts and releases
- `audit/hub.log`: who asked what (`hub audit show`); `audit/witnessed/`: what spokes countersigned; `audit/seen/`: theirs
- `airlock/`, `keys/airlock.key`: what was handed in to the airlock, encrypted; without the key it is lost
- `keys/ticket.key`: seals tickets between two calls; a new one makes running clients ask again
- `hub.db`: applications and what controllers signed about them; access tokens, hashed

Next:

    # name an [[issuer]] in hub.toml: data are asked for with access tokens that it signs
    hub serve --config hub.toml
    hub admin invite --config hub.toml region-h           # a one-time code for the controller: spoke join
    hub admin controllers --config hub.toml
    hub login
    hub sql
";

/// Makes everything that needs no other party. Refuses a folder that has a `hub.toml`.
///
/// # Errors
/// When there is a hub already, or a file can't be written.
pub fn init(folder: &Path, name: &str) -> Result<Vec<PathBuf>, AdminError> {
    let peer = Peer::hub(name).map_err(|e| AdminError::Usage(format!("--name {name}: {e}")))?;
    let hub = folder.join("hub.toml");
    if hub.exists() {
        return Err(AdminError::Usage(format!("{} exists: there is a hub here already", hub.display())));
    }
    let keys = folder.join("keys");
    for dir in [folder, &keys] {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
    }
    private(&keys)?;
    admin::new_authority(folder)?;
    admin::issue(folder, &peer, 825, &keys)?;
    let ticket = keys.join("ticket.key");
    let mut key = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(|e| AdminError::Usage(format!("no random numbers: {e}")))?;
    write_private(&ticket, key.as_slice()).map_err(at(&ticket))?;
    crate::audit::signing_key(folder).map_err(at(&keys.join("signing.key")))?;
    let texts = [
        (folder.join("README.md"), README.to_owned()),
        // Last: a folder with hub.toml is whole.
        (hub, HUB.replace("NAME", name)),
    ];
    let mut written = vec![keys, ticket];
    for (path, text) in texts {
        std::fs::write(&path, text).map_err(at(&path))?;
        written.push(path);
    }
    Ok(written)
}

fn private(path: &Path) -> Result<(), AdminError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::config::HubConfig;

    #[test]
    fn a_new_folder_loads_and_is_not_made_twice() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("hub");
        init(&folder, "main").unwrap();
        let config = HubConfig::load(&folder.join("hub.toml")).unwrap();
        let tls = runtime::tls::Tls::load(&config.link).unwrap();
        assert_eq!(tls.peer().to_string(), "eger://hub/main");
        crate::receive::Sealer::load(&config.ticket_key()).unwrap();
        let before = std::fs::read(folder.join("keys/ca.key")).unwrap();
        assert!(init(&folder, "main").unwrap_err().to_string().contains("already"));
        assert!(admin::new_authority(&folder).unwrap_err().to_string().contains("already"));
        assert_eq!(std::fs::read(folder.join("keys/ca.key")).unwrap(), before);
        assert!(init(&dir.path().join("other"), "Not A Name").unwrap_err().to_string().contains("--name"));
    }
}
