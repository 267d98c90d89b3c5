//! Reads settings, and gathers what is wrong with them.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// A longer file holds no secret of ours.
const MAX_SECRET_BYTES: u64 = 16 * 1024;

/// Every fault that was found, in the order of the settings.
#[derive(Debug, Default)]
pub(super) struct Faults(pub Vec<String>);

impl Faults {
    pub fn add(&mut self, flag: &str, fault: impl std::fmt::Display) {
        self.0.push(format!("{flag}: {fault}"));
    }

    /// What could be read; what could not is noted.
    pub fn noted<T>(&mut self, read: Result<T, String>) -> Option<T> {
        read.map_err(|fault| self.0.push(fault)).ok()
    }

    pub fn number(&mut self, flag: &str, text: &str, least: u64, most: u64) -> u64 {
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.add(flag, format!("'{text}' is not a number from {least} to {most}"));
                least
            }
        }
    }

    pub fn address(&mut self, flag: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.add(flag, format!("'{text}' is no address such as 127.0.0.1:8090"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// The address of a service that speaks HTTP.
    pub fn url(&mut self, flag: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            self.add(flag, "is no http:// or https:// address");
        }
        url
    }

    /// A secret as it is given, or what its file holds.
    pub fn secret(&mut self, flag: &str, given: Option<SecretString>, file: Option<&Path>) -> Option<SecretString> {
        self.noted(secret(flag, given, file)).flatten()
    }
}

/// A secret that is empty is none: so templates leave out what is not set.
fn secret(flag: &str, given: Option<SecretString>, file: Option<&Path>) -> Result<Option<SecretString>, String> {
    let given = given.filter(|secret| !secret.expose_secret().is_empty());
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(given) };
    if given.is_some() {
        return Err(format!("{flag}: stands beside {flag}-file; give one of them"));
    }
    let mut text = String::new();
    let opened = File::open(path);
    let read = opened.and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| format!("{flag}-file: {}: {error}", path.display()))?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("{flag}-file: {} is larger than {MAX_SECRET_BYTES} bytes", path.display()));
    }
    match text.trim() {
        "" => Err(format!("{flag}-file: {} is empty", path.display())),
        secret => Ok(Some(secret.into())),
    }
}

/// A text that is empty is none.
pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
