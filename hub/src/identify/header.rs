//! The `authorization` header.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use proto::envelope::Proof;
use zeroize::Zeroizing;

/// What somebody sent to prove who they are.
pub(super) struct Sent {
    /// the user named, with Basic only
    pub(super) user: Option<String>,
    pub(super) token: Proof,
}

/// Clients disagree about padding.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token of a header, as Bearer or as the password of Basic.
pub(super) fn sent(header: &str) -> Option<Sent> {
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Sent { user: None, token: Proof::new(rest) });
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let bytes = Zeroizing::new(ENGINE.decode(rest).ok()?);
        let (user, token) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        // `token` is what drivers send that only have a field for a token.
        let user = Some(user).filter(|u| !u.is_empty() && *u != "token").map(str::to_owned);
        return Some(Sent { user, token: Proof::new(token) });
    }
    None
}
