//! Ed25519 signatures: who made a manifest, and who moved a pointer.
//!
//! Keys are PEM files as `openssl genpkey -algorithm ed25519` writes them (PKCS #8, RFC 8410) and `openssl pkey -pubout`
//! (SubjectPublicKeyInfo). What is signed says what it is, so that a pointer of one channel is none of another. Manifests
//! and pointers name their catalogue themselves: one key may sign for several markets.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

/// What stands before the 32 bytes of a public key in its SubjectPublicKeyInfo (RFC 8410, section 10.1).
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const SIGNATURE_BYTES: usize = 64;
/// So many keys may be trusted at once: an old one, a new one, and room to err.
const MAX_KEYS: usize = 16;

/// The name of a public key: the first 16 hexadecimal digits of its blake3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    fn of(public: &[u8]) -> Self {
        Self(Digest::of(public).to_string()[..16].to_owned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What publishers sign with. Cheap to clone; its secret is never shown.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    id: KeyId,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// # Errors
    /// When the text is no Ed25519 private key in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let fault = |reason: String| Error::Key(format!("a private key is not as openssl writes it: {reason}"));
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| fault(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        let pair = pair.map_err(|error| fault(format!("it is no Ed25519 key ({error})")))?;
        let id = KeyId::of(pair.public_key().as_ref());
        Ok(Self { pair: Arc::new(pair), id })
    }

    /// A new key, as PEM: the private part and the public one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<(String, String), Error> {
        let fault = |_| Error::Key("a key could not be made".to_owned());
        let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(fault)?;
        let private = pem("PRIVATE KEY", document.as_ref());
        let public = Self::from_pem(&private)?.pair.public_key().as_ref().to_vec();
        Ok((private, pem("PUBLIC KEY", &[&PUBLIC_KEY_PREFIX, public.as_slice()].concat())))
    }

    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Signs bytes as a thing of some kind, such as "pointer live".
    pub(crate) fn sign(&self, kind: &str, bytes: &[u8]) -> Signature {
        let signed = self.pair.sign(&message(kind, bytes));
        Signature { key: self.id.clone(), bytes: signed.as_ref().to_vec() }
    }
}

/// A signature, written as the key's id, a colon, and Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) key: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (key, signature) = text.trim().split_once(':')?;
        let bytes = STANDARD.decode(signature).ok()?;
        (bytes.len() == SIGNATURE_BYTES).then(|| Self { key: KeyId(key.to_owned()), bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, STANDARD.encode(&self.bytes))
    }
}

/// The public keys of those whose word is taken. Several are trusted at once while keys are changed.
#[derive(Clone)]
pub struct Trust(Arc<Vec<(KeyId, Vec<u8>)>>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

impl Trust {
    /// Reads one or more public keys in PEM.
    ///
    /// # Errors
    /// When there is none, too many, or one is no Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes()) {
            let der = der.map_err(|error| Error::Key(format!("a public key is damaged: {error}")))?;
            let key = der.as_ref().strip_prefix(&PUBLIC_KEY_PREFIX).filter(|key| key.len() == 32);
            let key = key.ok_or_else(|| Error::Key("a public key is no Ed25519 key".to_owned()))?;
            keys.push((KeyId::of(key), key.to_vec()));
        }
        match keys.len() {
            1..=MAX_KEYS => Ok(Self(Arc::new(keys))),
            0 => Err(Error::Key("there is no public key: give a file as 'openssl pkey -pubout' writes it".to_owned())),
            count => Err(Error::Key(format!("{count} public keys, and {MAX_KEYS} may be trusted at once"))),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(|(id, _)| id)
    }

    /// That bytes were signed, as a thing of this kind, by someone who is trusted.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn verify(&self, kind: &str, bytes: &[u8], signature: &Signature) -> Result<(), Error> {
        let refuse = |reason: String| Error::Untrusted { what: kind.to_owned(), reason };
        let known = self.0.iter().find(|(id, _)| *id == signature.key);
        let (_, key) = known.ok_or_else(|| refuse(format!("key {} is not trusted", signature.key)))?;
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(&message(kind, bytes), &signature.bytes);
        verified.map_err(|_| refuse(format!("the signature of key {} is not of these bytes", signature.key)))
    }
}

fn message(kind: &str, bytes: &[u8]) -> Vec<u8> {
    [b"vitrine ", kind.as_bytes(), b"\n", bytes].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of RFC 8410, section 10.3.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";

    #[test]
    fn what_was_signed_is_trusted_and_nothing_else() {
        let (key, trust) =
            (SigningKey::from_pem(PRIVATE).expect("a key"), Trust::from_pem(PUBLIC).expect("a public key"));
        let signature = key.sign("pointer live", b"bytes");
        assert_eq!(Signature::parse(&signature.to_string()), Some(signature.clone()));
        trust.verify("pointer live", b"bytes", &signature).expect("trusted");
        assert!(trust.verify("pointer live", b"other", &signature).is_err());
        assert!(trust.verify("pointer test", b"bytes", &signature).is_err(), "it is of another channel");
        let (private, public) = SigningKey::generate().expect("a new key");
        let other = SigningKey::from_pem(&private).expect("a key");
        let foreign = other.sign("pointer live", b"bytes");
        let refused = trust.verify("pointer live", b"bytes", &foreign).expect_err("a foreign key").to_string();
        assert!(refused.contains("is not trusted"), "{refused}");
        let both = Trust::from_pem(&format!("{PUBLIC}{public}")).expect("two keys");
        both.verify("pointer live", b"bytes", &foreign).expect("both are trusted");
        both.verify("pointer live", b"bytes", &signature).expect("both are trusted");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(SigningKey::from_pem("").is_err() && SigningKey::from_pem(PUBLIC).is_err());
        assert!(Trust::from_pem("").is_err() && Trust::from_pem(PRIVATE).is_err());
        assert!(!format!("{:?}", SigningKey::from_pem(PRIVATE)).contains("MC4"), "the secret is never shown");
    }
}
