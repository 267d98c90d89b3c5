//! Reads settings, and gathers what is wrong with them.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::SecretString;
use snapshots::secret_of;
use url::Url;

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
        self.noted(secret_of(flag, given, file).map_err(|error| error.to_string())).flatten()
    }
}

/// A text that is empty is none.
pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
