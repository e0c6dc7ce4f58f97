//! The token of somebody who signed in, between two commands: one file for each hub, in the user's configuration folder.
//!
//! INVARIANT: the file is readable by its owner alone, and refused when it isn't.

use super::{Granted, Http, Issuer, LoginConfig, LoginError, file_error};
use chrono::{DateTime, Utc};
use runtime::{
    seal::{read_private, write_private},
    token::binding::BindingKey,
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A token is renewed when it has less than this to live, seconds.
const SOON: i64 = 60;

#[derive(Clone, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[zeroize(skip)]
    server: String,
    #[zeroize(skip)]
    login: LoginConfig,
    access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer_ca: Option<PathBuf>,
}

/// Somebody signed in at one hub. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Session {
    kept: Kept,
    key: Option<Arc<BindingKey>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} at {})", self.kept.login.issuer, self.kept.server)
    }
}

impl Session {
    pub(super) fn new(
        server: &str,
        login: LoginConfig,
        granted: Granted,
        key: Option<Arc<BindingKey>>,
        issuer_ca: Option<PathBuf>,
    ) -> Result<Self, LoginError> {
        let secret = key.as_ref().map(|key| key.to_secret()).transpose()?;
        let kept = Kept {
            server: server.to_owned(),
            login,
            access: granted.access.to_string(),
            refresh: granted.refresh.map(|token| token.to_string()),
            expires: granted.expires,
            key: secret.map(|secret| secret.to_string()),
            issuer_ca: issuer_ca.map(|path| std::path::absolute(&path).unwrap_or(path)),
        };
        Ok(Self { kept, key })
    }

    /// Who is signed in at this hub, if anybody is.
    ///
    /// # Errors
    /// When the file can't be read, others can read it, or it holds something else.
    pub fn load(server: &str) -> Result<Option<Self>, LoginError> {
        let path = place(server)?;
        if !path.exists() {
            return Ok(None);
        }
        let bad = |message: String| LoginError::File { path: path.clone(), message };
        let text = read_private(&path).map_err(|e| match e {
            runtime::seal::SealError::Io { cause, .. } => bad(cause.to_string()),
            other => LoginError::Usage(other.to_string()),
        })?;
        // The error would show what stands in the file.
        let kept: Kept = serde_json::from_slice(&text)
            .map_err(|_| bad("holds no token of this program. Sign in again (hub login)".to_owned()))?;
        if kept.server != server {
            return Err(bad("is another hub's. Sign in again (hub login)".to_owned()));
        }
        let key = kept.key.as_ref().map(|secret| BindingKey::from_secret(secret)).transpose()?;
        Ok(Some(Self { key: key.map(Arc::new), kept }))
    }

    /// Removes what is kept for this hub; gives the file that was removed.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn forget(server: &str) -> Result<Option<PathBuf>, LoginError> {
        let path = place(server)?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path)(error)),
        }
    }

    /// Writes it to its file.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn keep(&self) -> Result<PathBuf, LoginError> {
        use std::os::unix::fs::DirBuilderExt;
        let path = place(&self.kept.server)?;
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file_error(folder))?;
        }
        let text = serde_json::to_vec(&self.kept)
            .map(Zeroizing::new)
            .map_err(|e| LoginError::File { path: path.clone(), message: e.to_string() })?;
        write_private(&path, &text).map_err(file_error(&path))?;
        Ok(path)
    }

    /// The same with a token that is still good for a while: renewed when there is a way.
    ///
    /// # Errors
    /// When it is over and can't be renewed.
    pub async fn fresh(mut self) -> Result<Self, LoginError> {
        let soon = Utc::now() + chrono::Duration::seconds(SOON);
        let Some(ends) = self.kept.expires.filter(|ends| *ends < soon) else { return Ok(self) };
        let over = || LoginError::Denied("the token kept here is over. Sign in again (hub login)".to_owned());
        let Some(refresh) = self.kept.refresh.clone() else {
            return if ends > Utc::now() { Ok(self) } else { Err(over()) };
        };
        let login = &self.kept.login;
        let issuer = Issuer::discover(&login.issuer, self.kept.issuer_ca.as_deref()).await?;
        let http = Http::new(&login.issuer, self.kept.issuer_ca.as_deref(), self.key.clone())?;
        let granted = issuer.refresh(login, &refresh, &http).await.map_err(|error| match error {
            LoginError::Denied(_) => over(),
            other => other,
        })?;
        self.kept.access = granted.access.to_string();
        self.kept.expires = granted.expires;
        // Some issuers give a new one each time, some never.
        if let Some(next) = granted.refresh {
            self.kept.refresh = Some(next.to_string());
        }
        self.keep()?;
        Ok(self)
    }

    /// The access token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.kept.access
    }

    /// The key that the token is bound to.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<BindingKey>> {
        self.key.as_ref()
    }

    /// Who vouches.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.kept.login.issuer
    }

    /// When the token ends, if the issuer said so.
    #[must_use]
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.kept.expires
    }
}

/// The file for one hub, below `$XDG_CONFIG_HOME` or `~/.config`.
fn place(server: &str) -> Result<PathBuf, LoginError> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config"))).ok_or_else(|| {
        LoginError::Usage("neither XDG_CONFIG_HOME nor HOME is set: there is no place for the token".to_owned())
    })?;
    Ok(below(&folder, server))
}

fn below(folder: &Path, server: &str) -> PathBuf {
    let name: String = server.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    folder.join("eger").join(format!("token-{name}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_kept_of_a_sign_in_is_wiped_when_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Kept>();
    }

    #[test]
    fn each_hub_has_a_file_of_its_own_within_the_folder() {
        let folder = Path::new("/home/anna/.config");
        let file = |server| below(folder, server).to_str().unwrap().to_owned();
        assert_eq!(file("grpc://127.0.0.1:7001"), "/home/anna/.config/eger/token-grpc---127.0.0.1-7001");
        assert_ne!(file("grpc://127.0.0.1:7001"), file("grpc://127.0.0.1:7002"));
        assert!(!file("grpc://../../etc/passwd").contains("/../"));
    }
}
