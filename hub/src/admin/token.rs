//! Tokens, as the operator handles them.

use super::{AdminError, rules};
use crate::{
    apply::Applications,
    config::HubConfig,
    identify::{NewToken, TokenId, TokenRecord, TokenStore},
};
use policies::authorize::{Action, Whom};
use proto::ids::{ProjectId, UserId};

/// The longest life of a token, days.
const MAX_DAYS: u32 = 366;

/// Whose token it is, as the HTTP API has it: nobody vouches for a user but the operator who made the token.
fn owner(token: &TokenRecord) -> Whom<'_> {
    (&token.user, token.issuer.as_deref().unwrap_or_default())
}

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
    rules::token(Action::TokenCreate, (user, ""))?;
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
    let all = TokenStore::open(&config.database()).await?.list().await?;
    all.iter().try_for_each(|token| rules::token(Action::TokenList, owner(token)))?;
    Ok(all)
}

/// Takes a token back; it is refused from the next call on.
///
/// # Errors
/// When there is no such token that was still good.
pub async fn revoke(config: &HubConfig, id: &str) -> Result<TokenId, AdminError> {
    let id = TokenId::parse(id)
        .ok_or_else(|| AdminError::Usage(format!("'{id}' is no token id: take it from `hub admin token list`")))?;
    let tokens = TokenStore::open(&config.database()).await?;
    if let Some(token) = tokens.list().await?.iter().find(|token| token.id == id) {
        rules::token(Action::TokenRevoke, owner(token))?;
    }
    if tokens.revoke(&id).await? {
        Ok(id)
    } else {
        Err(AdminError::Usage(format!("there is no token {id}, or it was revoked before")))
    }
}
