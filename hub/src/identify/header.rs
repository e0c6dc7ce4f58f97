//! The `authorization` header.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// What somebody sent to prove who they are.
pub(super) struct Sent {
    /// the user named, with Basic only
    pub(super) user: Option<String>,
    pub(super) token: String,
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
        return Some(Sent { user: None, token: rest.to_owned() });
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(ENGINE.decode(rest).ok()?).ok()?;
        let (user, token) = text.split_once(':')?;
        // `token` is what drivers send that only have a field for a token.
        let user = Some(user).filter(|u| !u.is_empty() && *u != "token").map(str::to_owned);
        return Some(Sent { user, token: token.to_owned() });
    }
    None
}
