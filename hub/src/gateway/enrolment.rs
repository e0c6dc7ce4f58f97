//! Who may have links: invited controllers, their one-time codes and certificates, in `hub.db`.
//!
//! INVARIANT: only the hash of a code's secret is kept; a code makes one certificate, whoever else tries it at the same
//! time; an expelled controller's certificates never count again.

use super::EnrolmentError;
use chrono::{DateTime, Utc};
use proto::ids::ControllerId;
use runtime::{ca::CertFacts, invite::InviteSecret};
use sqlx::{Row, SqliteConnection, SqlitePool};
use std::path::Path;
use subtle::ConstantTimeEq;

/// Certificates that one controller may get in a day.
const MAX_A_DAY: i64 = 50;
/// What the serving hub said of its links is believed this long.
const BELIEVED: i64 = 20;

/// The registered controllers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Enrolment {
    pool: SqlitePool,
}

/// A controller as the operator sees it.
#[derive(Debug, Clone)]
pub struct ControllerRecord {
    /// its id
    pub controller: ControllerId,
    /// how far it has come
    pub state: State,
    /// links that stand now
    pub links: u32,
    /// until when its newest certificate is good
    pub certificate_end: Option<DateTime<Utc>>,
}

/// How far a controller has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// a code was made and not used yet
    Invited,
    /// its code has expired unused
    Lapsed,
    /// has a certificate
    Joined,
    /// may not connect; a new code lets it back
    Expelled,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Invited => "invited",
            Self::Lapsed => "invitation lapsed",
            Self::Joined => "joined",
            Self::Expelled => "expelled",
        })
    }
}

impl Enrolment {
    /// Opens `hub.db` and brings its tables up to date.
    ///
    /// # Errors
    /// When that fails.
    pub async fn open(path: &Path) -> Result<Self, EnrolmentError> {
        // Makes the file with the right mode when it is missing.
        crate::identify::TokenStore::open(path).await?;
        let pool = crate::database::open(path, 4).await?;
        Ok(Self { pool })
    }

    /// Invites a controller for so many hours. Codes made for it before are void.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn invite(&self, controller: &ControllerId, hours: u32) -> Result<InviteSecret, EnrolmentError> {
        let secret = InviteSecret::random().map_err(EnrolmentError::Random)?;
        let now = Utc::now();
        let expires = now + chrono::Duration::hours(i64::from(hours));
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO controller (id, invited_at) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET invited_at = ?2",
        )
        .bind(controller.as_ref())
        .bind(now.timestamp())
        .execute(&mut *tx)
        .await?;
        close_invites(&mut tx, controller, now).await?;
        sqlx::query("INSERT INTO invite (controller, secret_hash, created_at, expires_at) VALUES (?, ?, ?, ?)")
            .bind(controller.as_ref())
            .bind(secret.hash().to_vec())
            .bind(now.timestamp())
            .bind(expires.timestamp())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// Uses a code up: `sign` makes the certificate (PEM) for the controller that the code was made for. None when the
    /// code is wrong, used, void or expired.
    ///
    /// # Errors
    /// When the database fails or nothing can be signed; the code stays as it was.
    pub async fn join<E>(
        &self,
        secret: &InviteSecret,
        sign: impl FnOnce(&ControllerId) -> Result<String, E>,
    ) -> Result<Option<(ControllerId, String)>, EnrolmentError>
    where
        EnrolmentError: From<E>,
    {
        let (hash, now) = (secret.hash(), Utc::now());
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let open =
            sqlx::query("SELECT id, controller, secret_hash FROM invite WHERE closed_at IS NULL AND expires_at > ?")
                .bind(now.timestamp())
                .fetch_all(&mut *tx)
                .await?;
        // All of them, so that time tells nothing of which came close.
        let mut found = None;
        for row in &open {
            let kept: Vec<u8> = row.try_get("secret_hash")?;
            if bool::from(kept.as_slice().ct_eq(hash.as_slice())) {
                found = Some((row.try_get::<i64, _>("id")?, row.try_get::<String, _>("controller")?));
            }
        }
        let Some((id, controller)) = found else { return Ok(None) };
        let controller: ControllerId =
            controller.parse().map_err(|_| EnrolmentError::Corrupt { controller, field: "id" })?;
        let certificate = sign(&controller)?;
        sqlx::query("UPDATE invite SET closed_at = ? WHERE id = ?")
            .bind(now.timestamp())
            .bind(id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE controller SET joined_at = ? WHERE id = ?")
            .bind(now.timestamp())
            .bind(controller.as_ref())
            .execute(&mut *tx)
            .await?;
        record(&mut tx, &controller, &certificate, now).await?;
        tx.commit().await?;
        Ok(Some((controller, certificate)))
    }

    /// Another certificate for a controller whose present one still counts. None when it doesn't, or when it has had
    /// too many today.
    ///
    /// # Errors
    /// When the database fails or nothing can be signed.
    pub async fn renew<E>(
        &self,
        controller: &ControllerId,
        present: &str,
        sign: impl FnOnce(&ControllerId) -> Result<String, E>,
    ) -> Result<Option<String>, EnrolmentError>
    where
        EnrolmentError: From<E>,
    {
        let now = Utc::now();
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        if !admits(&mut tx, controller, present).await? {
            return Ok(None);
        }
        let today: i64 =
            sqlx::query("SELECT count(*) AS n FROM link_certificate WHERE controller = ? AND issued_at > ?")
                .bind(controller.as_ref())
                .bind((now - chrono::Duration::days(1)).timestamp())
                .fetch_one(&mut *tx)
                .await?
                .try_get("n")?;
        if today >= MAX_A_DAY {
            return Ok(None);
        }
        let certificate = sign(controller)?;
        // A controller whose spoke listens has a certificate by hand and may not stand here yet.
        sqlx::query(
            "INSERT INTO controller (id, invited_at, joined_at) VALUES (?1, ?2, ?2) ON CONFLICT (id) DO NOTHING",
        )
        .bind(controller.as_ref())
        .bind(now.timestamp())
        .execute(&mut *tx)
        .await?;
        record(&mut tx, controller, &certificate, now).await?;
        tx.commit().await?;
        Ok(Some(certificate))
    }

    /// Writes down a certificate that the operator issued by hand.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn issued(&self, controller: &ControllerId, certificate: &str) -> Result<(), EnrolmentError> {
        let now = Utc::now();
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO controller (id, invited_at, joined_at) VALUES (?1, ?2, ?2) \
             ON CONFLICT (id) DO UPDATE SET joined_at = ?2",
        )
        .bind(controller.as_ref())
        .bind(now.timestamp())
        .execute(&mut *tx)
        .await?;
        record(&mut tx, controller, certificate, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a certificate of this controller counts. One that was issued before certificates were written down
    /// counts until its controller is expelled.
    ///
    /// # Errors
    /// When the database fails: then nobody should be let in.
    pub async fn admits(&self, controller: &ControllerId, fingerprint: &str) -> Result<bool, EnrolmentError> {
        admits(&mut *self.pool.acquire().await?, controller, fingerprint).await
    }

    /// Ends every certificate and code of a controller. False when there is no such controller here.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn expel(&self, controller: &ControllerId) -> Result<bool, EnrolmentError> {
        let now = Utc::now();
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = sqlx::query("UPDATE controller SET expelled_at = ? WHERE id = ?")
            .bind(now.timestamp())
            .bind(controller.as_ref())
            .execute(&mut *tx)
            .await?
            .rows_affected();
        close_invites(&mut tx, controller, now).await?;
        sqlx::query("UPDATE link_certificate SET revoked_at = ? WHERE controller = ? AND revoked_at IS NULL")
            .bind(now.timestamp())
            .bind(controller.as_ref())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(known > 0)
    }

    /// Registers a controller whose spoke listens and has no certificate written down, so that it can be expelled.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn know(&self, controller: &ControllerId) -> Result<(), EnrolmentError> {
        sqlx::query(
            "INSERT INTO controller (id, invited_at, joined_at) VALUES (?1, ?2, ?2) ON CONFLICT (id) DO NOTHING",
        )
        .bind(controller.as_ref())
        .bind(Utc::now().timestamp())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// All controllers, by id.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn controllers(&self) -> Result<Vec<ControllerRecord>, EnrolmentError> {
        let now = Utc::now().timestamp();
        let rows = sqlx::query(
            "SELECT c.id, c.joined_at, c.expelled_at, c.links, c.links_at, \
               (SELECT max(expires_at) FROM link_certificate l WHERE l.controller = c.id AND l.revoked_at IS NULL) AS ends, \
               (SELECT count(*) FROM invite i WHERE i.controller = c.id AND i.closed_at IS NULL AND i.expires_at > ?) AS open \
             FROM controller c ORDER BY c.id",
        )
        .bind(now)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id")?;
                let ends: Option<i64> = row.try_get("ends")?;
                let (joined, expelled): (Option<i64>, Option<i64>) =
                    (row.try_get("joined_at")?, row.try_get("expelled_at")?);
                let open: i64 = row.try_get("open")?;
                let fresh = row.try_get::<i64, _>("links_at")? + BELIEVED >= now;
                let state = match (ends, expelled, joined) {
                    (Some(_), _, _) | (None, None, Some(_)) => State::Joined,
                    (None, Some(_), _) if open == 0 => State::Expelled,
                    (None, _, _) if open > 0 => State::Invited,
                    (None, _, _) => State::Lapsed,
                };
                let links = if fresh { row.try_get::<i64, _>("links")? } else { 0 };
                Ok(ControllerRecord {
                    controller: id.parse().map_err(|_| EnrolmentError::Corrupt { controller: id, field: "id" })?,
                    state,
                    links: u32::try_from(links).unwrap_or(0),
                    certificate_end: ends.and_then(|at| DateTime::from_timestamp(at, 0)),
                })
            })
            .collect()
    }

    /// Controllers that were expelled and have no certificate since.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn expelled(&self) -> Result<Vec<ControllerId>, EnrolmentError> {
        let rows = sqlx::query(
            "SELECT id FROM controller WHERE expelled_at IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM link_certificate l WHERE l.controller = controller.id AND l.revoked_at IS NULL)",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id")?;
                id.parse().map_err(|_| EnrolmentError::Corrupt { controller: id, field: "id" })
            })
            .collect()
    }

    /// Writes down how many links stand, for the operator's commands.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn report(&self, links: &[(ControllerId, usize)]) -> Result<(), EnrolmentError> {
        let now = Utc::now().timestamp();
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE controller SET links = 0, links_at = ?").bind(now).execute(&mut *tx).await?;
        for (controller, count) in links {
            sqlx::query("UPDATE controller SET links = ? WHERE id = ?")
                .bind(i64::try_from(*count).unwrap_or(i64::MAX))
                .bind(controller.as_ref())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn close_invites(
    tx: &mut SqliteConnection,
    controller: &ControllerId,
    now: DateTime<Utc>,
) -> Result<(), EnrolmentError> {
    sqlx::query("UPDATE invite SET closed_at = ? WHERE controller = ? AND closed_at IS NULL")
        .bind(now.timestamp())
        .bind(controller.as_ref())
        .execute(tx)
        .await?;
    Ok(())
}

async fn admits(
    tx: &mut SqliteConnection,
    controller: &ControllerId,
    fingerprint: &str,
) -> Result<bool, EnrolmentError> {
    let known = sqlx::query("SELECT controller, revoked_at FROM link_certificate WHERE fingerprint = ?")
        .bind(fingerprint)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = known {
        let revoked: Option<i64> = row.try_get("revoked_at")?;
        return Ok(revoked.is_none() && row.try_get::<String, _>("controller")? == controller.as_ref());
    }
    let expelled: Option<i64> = sqlx::query("SELECT expelled_at FROM controller WHERE id = ?")
        .bind(controller.as_ref())
        .fetch_optional(&mut *tx)
        .await?
        .map(|row| row.try_get("expelled_at"))
        .transpose()?
        .flatten();
    Ok(expelled.is_none())
}

async fn record(
    tx: &mut SqliteConnection,
    controller: &ControllerId,
    certificate: &str,
    now: DateTime<Utc>,
) -> Result<(), EnrolmentError> {
    let facts = CertFacts::read(certificate)?;
    sqlx::query("INSERT INTO link_certificate (fingerprint, controller, issued_at, expires_at) VALUES (?, ?, ?, ?)")
        .bind(&facts.fingerprint)
        .bind(controller.as_ref())
        .bind(now.timestamp())
        .bind(facts.not_after.timestamp())
        .execute(tx)
        .await?;
    Ok(())
}
