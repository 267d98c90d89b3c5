//! Signatures of webhooks: HMAC-SHA256 over the time, a dot and the raw body
//! (<https://docs.stripe.com/webhooks#verify-manually>).

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// A header with some signatures of 64 digits; Stripe sends one a secret.
pub const MAX_SIGNATURE_BYTES: usize = 2_048;
/// Signatures of one header that are compared.
const MAX_SIGNATURES: usize = 16;
const MAC_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the header is no signature of Stripe's")]
    Malformed,
    #[error("no signature is right")]
    Wrong,
    #[error("the signature is of another time")]
    Stale,
}

/// Checks a `Stripe-Signature` header against the bytes of the body as they came. Any of the secrets will do, since there are
/// two while one is replaced.
///
/// # Errors
/// When no `v1` signature is right, or it was made more than `tolerance_s` before or after `now_s` (seconds since 1970).
pub fn verify(
    header: &str,
    body: &[u8],
    secrets: &[SecretString],
    tolerance_s: i64,
    now_s: i64,
) -> Result<(), SignatureError> {
    let header = Header::read(header).ok_or(SignatureError::Malformed)?;
    // Every signature is compared with that of every secret, whatever was found before.
    let mut is_right = Choice::from(0);
    for secret in secrets {
        let expected = mac(secret.expose_secret().as_bytes(), header.time.as_bytes(), body)?;
        for given in &header.signatures {
            is_right |= expected.ct_eq(given);
        }
    }
    match bool::from(is_right) {
        false => Err(SignatureError::Wrong),
        true if header.time_s.abs_diff(now_s) > tolerance_s.unsigned_abs() => Err(SignatureError::Stale),
        true => Ok(()),
    }
}

struct Header<'a> {
    /// As it was written, which is what was signed.
    time: &'a str,
    time_s: i64,
    signatures: Vec<[u8; MAC_BYTES]>,
}

impl<'a> Header<'a> {
    /// Reads `t=1492774577,v1=5257a8...,v0=6ffbb5...`. Other schemes than v1 are no signatures: v0 is for tests.
    fn read(text: &'a str) -> Option<Self> {
        if text.len() > MAX_SIGNATURE_BYTES {
            return None;
        }
        let mut time = None;
        let mut signatures = Vec::new();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            match name {
                // Of two times, one would be signed and the other compared with the clock.
                "t" if time.is_some() => return None,
                "t" => time = Some(value),
                "v1" if signatures.len() < MAX_SIGNATURES => signatures.extend(unhex(value)),
                _ => {}
            }
        }
        let time = time?;
        let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let time_s = if is_number { time.parse().ok()? } else { return None };
        Some(Self { time, time_s, signatures })
    }
}

fn mac(secret: &[u8], time: &[u8], body: &[u8]) -> Result<[u8; MAC_BYTES], SignatureError> {
    // A key may have any length, so this never fails.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| SignatureError::Wrong)?;
    mac.update(time);
    mac.update(b".");
    mac.update(body);
    let mut out = [0; MAC_BYTES];
    out.copy_from_slice(mac.finalize().into_bytes().as_slice());
    Ok(out)
}

/// The bytes of 64 hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * MAC_BYTES {
        return None;
    }
    let mut out = [0; MAC_BYTES];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (char::from(pair[0]).to_digit(16)?, char::from(pair[1]).to_digit(16)?);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"id\":\"evt_1\"}";
    const NOW_S: i64 = 1_700_000_000;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn signed(secret: &str, time_s: i64, body: &[u8]) -> String {
        hex(&mac(secret.as_bytes(), time_s.to_string().as_bytes(), body).expect("a mac"))
    }

    fn check(header: &str, body: &[u8]) -> Result<(), SignatureError> {
        let secrets = ["whsec_new", "whsec_old"].map(SecretString::from);
        verify(header, body, &secrets, 300, NOW_S)
    }

    #[test]
    fn the_mac_is_the_known_one() {
        // RFC 4231, test case 2, cut at a dot that is put in: computed over "what do ya want " + "." + "for nothing?".
        let known = mac(b"Jefe", b"what do ya want ", b"for nothing?").expect("a mac");
        let mut by_hand = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("a key");
        by_hand.update(b"what do ya want .for nothing?");
        assert_eq!(known.as_slice(), by_hand.finalize().into_bytes().as_slice());
        let mut plain = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("a key");
        plain.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(plain.finalize().into_bytes().as_slice()), expected);
    }

    #[test]
    fn any_secret_and_any_signature_will_do() {
        for secret in ["whsec_new", "whsec_old"] {
            let right = signed(secret, NOW_S, BODY);
            assert_eq!(check(&format!("t={NOW_S},v1={right}"), BODY), Ok(()));
            let wrong = signed("whsec_other", NOW_S, BODY);
            assert_eq!(check(&format!("t={NOW_S},v1={wrong},v1={right},v0={wrong}"), BODY), Ok(()));
            assert_eq!(check(&format!("t={NOW_S}, v1={right}"), BODY), Ok(()));
        }
    }

    #[test]
    fn what_was_tampered_with_is_wrong() {
        let right = signed("whsec_new", NOW_S, BODY);
        assert_eq!(check(&format!("t={NOW_S},v1={right}"), b"{\"id\":\"evt_2\"}"), Err(SignatureError::Wrong));
        assert_eq!(check(&format!("t={},v1={right}", NOW_S + 1), BODY), Err(SignatureError::Wrong));
        let other = signed("whsec_other", NOW_S, BODY);
        assert_eq!(check(&format!("t={NOW_S},v1={other}"), BODY), Err(SignatureError::Wrong));
        assert_eq!(check(&format!("t={NOW_S},v0={right}"), BODY), Err(SignatureError::Wrong));
        assert_eq!(check(&format!("t={NOW_S},v1={}", &right[..62]), BODY), Err(SignatureError::Wrong));
        assert_eq!(check(&format!("t={NOW_S}"), BODY), Err(SignatureError::Wrong));
        let none: [SecretString; 0] = [];
        assert_eq!(verify(&format!("t={NOW_S},v1={right}"), BODY, &none, 300, NOW_S), Err(SignatureError::Wrong));
    }

    #[test]
    fn it_holds_for_the_tolerance_both_ways() {
        for (age_s, expected) in
            [(300, Ok(())), (-300, Ok(())), (301, Err(SignatureError::Stale)), (-301, Err(SignatureError::Stale))]
        {
            let time_s = NOW_S - age_s;
            let header = format!("t={time_s},v1={}", signed("whsec_new", time_s, BODY));
            assert_eq!(check(&header, BODY), expected, "{age_s}");
        }
    }

    #[test]
    fn a_header_of_another_form_is_malformed() {
        let right = signed("whsec_new", NOW_S, BODY);
        for header in [
            String::new(),
            "nonsense".to_owned(),
            format!("v1={right}"),
            format!("t=,v1={right}"),
            format!("t=+{NOW_S},v1={right}"),
            format!("t=-1,v1={right}"),
            format!("t=99999999999999999999,v1={right}"),
            format!("t={NOW_S},t={NOW_S},v1={right}"),
            format!("t={NOW_S},v1={right},{}", "v0=0,".repeat(1_000)),
            format!("t={NOW_S},v1={right},"),
        ] {
            assert_eq!(check(&header, BODY), Err(SignatureError::Malformed), "{header:.80}");
        }
    }

    #[test]
    fn signatures_beyond_the_bound_are_not_compared() {
        let wrong = format!("v1={},", signed("whsec_other", NOW_S, BODY));
        let header = format!("t={NOW_S},{}v1={}", wrong.repeat(MAX_SIGNATURES), signed("whsec_new", NOW_S, BODY));
        assert!(header.len() <= MAX_SIGNATURE_BYTES);
        assert_eq!(check(&header, BODY), Err(SignatureError::Wrong));
    }
}
