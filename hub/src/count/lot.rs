//! Whether a cell is rounded up or down: by a lot that follows from what is asked and from a secret of this hub's.
//!
//! INVARIANT: the same cell of the same request has the same lot, whoever asks and whenever; a restart changes none.

use sha2::{Digest, Sha256};
use sqlx::SqlitePool;
use zeroize::Zeroizing;

/// The secret.
#[derive(Clone)]
pub(super) struct Lots(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Lots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lots(..)")
    }
}

impl Lots {
    /// Those of the hub whose database this is; made when they are missing.
    pub(super) async fn of(pool: &SqlitePool) -> Result<Self, sqlx::Error> {
        let mut new = Zeroizing::new([0; 32]);
        getrandom::fill(new.as_mut()).map_err(|error| sqlx::Error::Io(std::io::Error::other(error.to_string())))?;
        sqlx::query("INSERT INTO count_secret (one, secret) VALUES (1, ?) ON CONFLICT DO NOTHING")
            .bind(new.as_slice())
            .execute(pool)
            .await?;
        let there: Vec<u8> = sqlx::query_scalar("SELECT secret FROM count_secret").fetch_one(pool).await?;
        let there = Zeroizing::new(there);
        <[u8; 32]>::try_from(there.as_slice())
            .map(|secret| Self(Zeroizing::new(secret)))
            .map_err(|_| sqlx::Error::ColumnDecode { index: "secret".to_owned(), source: "is not 32 bytes".into() })
    }

    #[cfg(test)]
    pub(super) fn for_tests(secret: u8) -> Self {
        Self(Zeroizing::new([secret; 32]))
    }

    /// The lot of a cell: `asked` is the digest of what the request means, `values` are the cell's.
    pub(super) fn of_cell(&self, asked: &[u8; 32], values: &[Option<String>]) -> u64 {
        let mut all = Sha256::new();
        all.update(self.0.as_slice());
        all.update(asked);
        for value in values {
            // A missing value has a length that no text has.
            all.update(value.as_ref().map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            all.update(value.as_deref().unwrap_or_default());
        }
        let digest = all.finalize();
        digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identify::TokenStore;

    #[tokio::test]
    async fn lots_outlast_a_restart_and_are_another_hubs_other_ones() {
        let folder = tempfile::tempdir().unwrap();
        let open = async |name: &str| {
            let store = TokenStore::open(&folder.path().join(name)).await.unwrap();
            Lots::of(&store.pool()).await.unwrap()
        };
        let cell = [Some("K".to_owned()), None];
        let lot = |lots: &Lots| lots.of_cell(&[7; 32], &cell);
        let first = lot(&open("hub.db").await);
        assert_eq!(lot(&open("hub.db").await), first);
        assert_ne!(lot(&open("other.db").await), first);
        let lots = open("hub.db").await;
        assert_ne!(lots.of_cell(&[8; 32], &cell), first);
        assert_ne!(lots.of_cell(&[7; 32], &[None, Some("K".to_owned())]), first);
    }
}
