//! Personal access tokens, kept hashed in SQLite.
//!
//! INVARIANT: the secret part of a token is shown once, when it is made, and stored nowhere.

use crate::database;
use chrono::{DateTime, Utc};
use proto::ids::{ProjectId, UserId};
use sha2::{Digest, Sha256};
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};
use std::{fmt, path::Path};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why tokens can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database can't be opened, migrated, read or written.
    #[error("the token database can't be used: {0}. Check hub.db's folder, its free space and who owns it")]
    Database(#[from] sqlx::Error),
    /// Its tables can't be brought up to date.
    #[error("the token database can't be brought up to date: {0}. Was it made by a newer hub?")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds something that can't be there.
    #[error("token {id} in the database has a wrong {field}. Revoke it and make a new one")]
    Corrupt {
        /// which token
        id: String,
        /// which column
        field: &'static str,
    },
    /// The system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// The file can't be made.
    #[error("{}: {source}", path.display())]
    File {
        /// which file
        path: std::path::PathBuf,
        /// what the operating system said
        source: std::io::Error,
    },
}

/// The public part of a token: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(String);

impl TokenId {
    /// Parses an id; a whole token is taken too, since that is what people have at hand.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.strip_prefix("eger_").map_or(text, |rest| rest.split('_').next().unwrap_or(rest));
        (id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
            .then(|| Self(id.to_owned()))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self("0123456789abcdef".to_owned())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token as it is kept.
#[derive(Debug, Clone)]
pub struct TokenRecord {
    /// its id
    pub id: TokenId,
    /// whose it is
    pub user: UserId,
    /// who vouches for the user; none: the hub's operator, who made it
    pub issuer: Option<String>,
    /// the only project it is good for
    pub project: Option<ProjectId>,
    /// when it was made
    pub created: DateTime<Utc>,
    /// until when it is good
    pub expires: DateTime<Utc>,
    /// whether it was taken back
    pub revoked: bool,
}

/// A token just made: the only time that its text exists.
pub struct NewToken {
    /// its id
    pub id: TokenId,
    /// what the user sends
    pub text: Zeroizing<String>,
    /// until when it is good
    pub expires: DateTime<Utc>,
}

/// The tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenStore {
    pool: SqlitePool,
}

impl TokenStore {
    /// Opens the database, makes it when missing (readable by the owner alone) and brings its tables up to date.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(path: &Path) -> Result<Self, TokenError> {
        private_file(path).map_err(|source| TokenError::File { path: path.to_owned(), source })?;
        let pool = database::open(path, 4).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// The database itself, which holds more than tokens.
    pub(crate) fn pool(&self) -> SqlitePool {
        self.pool.clone()
    }

    /// Makes a token for `user`, good for `days` days, and for one project only when given. The operator vouches.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn create(&self, user: &UserId, project: Option<&ProjectId>, days: u32) -> Result<NewToken, TokenError> {
        self.create_for(user, None, project, days).await
    }

    /// Makes a token for the `user` for whom `issuer` vouches.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn create_for(
        &self,
        user: &UserId,
        issuer: Option<&str>,
        project: Option<&ProjectId>,
        days: u32,
    ) -> Result<NewToken, TokenError> {
        let (mut id, mut secret) = ([0u8; 8], Zeroizing::new([0u8; 32]));
        getrandom::fill(&mut id).map_err(TokenError::Random)?;
        getrandom::fill(secret.as_mut()).map_err(TokenError::Random)?;
        let (id, secret) = (hex::encode(id), Zeroizing::new(hex::encode(secret.as_slice())));
        let now = Utc::now();
        let expires = now + chrono::Duration::days(i64::from(days));
        sqlx::query(
            "INSERT INTO token (id, secret_hash, user, issuer, project, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(hash(&secret).to_vec())
        .bind(user.to_string())
        .bind(issuer)
        .bind(project.map(ToString::to_string))
        .bind(now.timestamp())
        .bind(expires.timestamp())
        .execute(&self.pool)
        .await?;
        Ok(NewToken { text: format!("eger_{id}_{}", secret.as_str()).into(), id: TokenId(id), expires })
    }

    /// All tokens, newest last.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn list(&self) -> Result<Vec<TokenRecord>, TokenError> {
        let rows = sqlx::query(
            "SELECT id, user, issuer, project, created_at, expires_at, revoked_at FROM token ORDER BY created_at, id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(record).collect()
    }

    /// Takes a token back. False when there is no such token that was still good.
    ///
    /// # Errors
    /// When that can't be written.
    pub async fn revoke(&self, id: &TokenId) -> Result<bool, TokenError> {
        let done = sqlx::query("UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(Utc::now().timestamp())
            .bind(&id.0)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The record of a token that is good now, else `None`, whatever is wrong with it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn verify(&self, token: &str) -> Result<Option<TokenRecord>, TokenError> {
        let parts = token.strip_prefix("eger_").and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.unwrap_or(("", ""));
        let row = sqlx::query(
            "SELECT id, user, issuer, project, created_at, expires_at, revoked_at, secret_hash FROM token WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let offered = hash(secret);
        let Some(row) = row else {
            // The same work as for a token that exists.
            let _ = offered.ct_eq(&hash("no such token"));
            return Ok(None);
        };
        let stored: Vec<u8> = row.try_get("secret_hash")?;
        let same = bool::from(offered.as_slice().ct_eq(&stored));
        let record = record(&row)?;
        Ok((same && !record.revoked && Utc::now() < record.expires).then_some(record))
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn record(row: &SqliteRow) -> Result<TokenRecord, TokenError> {
    let id: String = row.try_get("id")?;
    let corrupt = |field| TokenError::Corrupt { id: id.clone(), field };
    let user: String = row.try_get("user")?;
    let project: Option<String> = row.try_get("project")?;
    let time = |column: &'static str| -> Result<DateTime<Utc>, TokenError> {
        DateTime::from_timestamp(row.try_get(column)?, 0).ok_or_else(|| corrupt(column))
    };
    Ok(TokenRecord {
        issuer: row.try_get("issuer")?,
        user: user.parse().map_err(|_| corrupt("user"))?,
        project: project.map(|p| p.parse().map_err(|_| corrupt("project"))).transpose()?,
        created: time("created_at")?,
        expires: time("expires_at")?,
        revoked: row.try_get::<Option<i64>, _>("revoked_at")?.is_some(),
        id: TokenId(id.clone()),
    })
}

/// Makes the file with mode 0600 when it is missing; SQLite gives its journal files the same mode.
fn private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_database_holds_no_secret_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.db");
        let store = TokenStore::open(&path).await.unwrap();
        let token = store.create(&"anna".parse().unwrap(), Some(&"a".parse().unwrap()), 1).await.unwrap();
        assert_eq!(store.list().await.unwrap()[0].project.as_ref().unwrap().as_ref(), "a");
        assert_eq!(TokenId::parse(&token.text), Some(token.id.clone()));
        store.pool.close().await;
        let secret = token.text.rsplit('_').next().unwrap().as_bytes();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(secret.len()).any(|w| w == secret));
        }
        let again = TokenStore::open(&path).await.unwrap();
        assert_eq!(again.verify(&token.text).await.unwrap().unwrap().user.as_ref(), "anna");
        assert!(!again.revoke(&TokenId::for_tests()).await.unwrap());
        assert!(again.revoke(&token.id).await.unwrap());
        assert!(again.verify(&token.text).await.unwrap().is_none());
    }
}
