//! Tokens, as the operator handles them.

use super::AdminError;
use crate::{
    apply::Applications,
    config::HubConfig,
    identify::{NewToken, TokenId, TokenRecord, TokenStore},
};
use proto::ids::{ProjectId, UserId};

/// The longest life of a token, days.
const MAX_DAYS: u32 = 366;

/// Makes a token.
///
/// # Errors
/// When `days` is too long, the project doesn't exist or hasn't the user as a member, or the token can't be written.
pub async fn create(
    config: &HubConfig,
    user: &UserId,
    project: Option<&ProjectId>,
    days: u32,
) -> Result<NewToken, AdminError> {
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(AdminError::Usage(format!("--days {days}: a token lives from 1 to {MAX_DAYS} days")));
    }
    if let Some(project) = project {
        let record = Applications::open(&config.database()).await?.latest(project).await.map_err(|_| {
            AdminError::Usage(format!("--project {project}: nobody has applied for such a project (hub project list)"))
        })?;
        if !record.owners().iter().any(|(owner, _)| owner == user) {
            return Err(AdminError::Usage(format!(
                "--project {project}: {user} is no user of it. Amend the application first"
            )));
        }
    }
    Ok(TokenStore::open(&config.database()).await?.create(user, project, days).await?)
}

/// All tokens.
///
/// # Errors
/// When they can't be read.
pub async fn list(config: &HubConfig) -> Result<Vec<TokenRecord>, AdminError> {
    Ok(TokenStore::open(&config.database()).await?.list().await?)
}

/// Takes a token back; it is refused from the next call on.
///
/// # Errors
/// When there is no such token that was still good.
pub async fn revoke(config: &HubConfig, id: &str) -> Result<TokenId, AdminError> {
    let id = TokenId::parse(id)
        .ok_or_else(|| AdminError::Usage(format!("'{id}' is no token id: take it from `hub admin token list`")))?;
    if TokenStore::open(&config.database()).await?.revoke(&id).await? {
        Ok(id)
    } else {
        Err(AdminError::Usage(format!("there is no token {id}, or it was revoked before")))
    }
}
