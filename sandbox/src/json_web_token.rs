//! Tokens in the shape of JSON Web Tokens, signed with the world's own key (HMAC-SHA256, RFC 2104 and RFC 7515).
//! Good enough to tell the sandbox's own tokens from others; not for use anywhere else.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Signs claims.
pub(crate) fn sign(key: &[u8; 32], claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": "JWT", "kid": "sandbox" }).to_string());
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(mac(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not three parts of base64 with JSON inside.
    Malformed,
    /// Signed by somebody else, or changed.
    Signature,
}

/// The claims of a token signed with this key.
pub(crate) fn read(key: &[u8; 32], token: &str) -> Result<Value, Unreadable> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Unreadable::Malformed)?;
    let (_, claims) = signed.split_once('.').ok_or(Unreadable::Malformed)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Unreadable::Malformed)?;
    let claims = serde_json::from_slice(&claims).map_err(|_| Unreadable::Malformed)?;
    if URL_SAFE_NO_PAD.encode(mac(key, signed.as_bytes())) != signature {
        return Err(Unreadable::Signature);
    }
    Ok(claims)
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| -> [u8; 64] { std::array::from_fn(|n| key.get(n).copied().unwrap_or(0) ^ byte) };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let token = sign(&[7; 32], &json!({ "sub": "repo:a/b" }));
        assert_eq!(read(&[7; 32], &token), Ok(json!({ "sub": "repo:a/b" })));
        assert_eq!(read(&[8; 32], &token), Err(Unreadable::Signature));
        assert_eq!(read(&[7; 32], "abc"), Err(Unreadable::Malformed));
    }
}
