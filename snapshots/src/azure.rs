//! How Azure Blob storage is reached and as whom: settings under the names that Azure's own tools know, secrets from
//! files as well, and one way to sign in.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::{BackoffConfig, Certificate, ClientConfigKey, ClientOptions, RetryConfig};

use crate::deletions::PlainDeletions;

/// A name of ours: the file of certificates, as PEM, that are trusted besides those of the system.
const CA_FILE: &str = "AZURE_CA_FILE";
/// Behind any name: the file that holds the value.
const FILE_SUFFIX: &str = "_file";
/// Where container apps and app services find the identity that they were given.
const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
/// The certificates of a whole system take a quarter of this.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The ways to sign in, as `AZURE_CREDENTIAL_TYPE` calls them: each by the setting that gives it away, which comes first,
/// and what else it takes.
static WAYS: [(&str, &[(AzureConfigKey, &str)]); 5] = [
    ("access_key", &[(AzureConfigKey::AccessKey, "AZURE_STORAGE_ACCOUNT_KEY")]),
    ("sas_token", &[(AzureConfigKey::SasKey, "AZURE_STORAGE_SAS_KEY")]),
    (
        "client_secret",
        &[
            (AzureConfigKey::ClientSecret, "AZURE_CLIENT_SECRET"),
            (AzureConfigKey::ClientId, "AZURE_CLIENT_ID"),
            (AzureConfigKey::AuthorityId, "AZURE_TENANT_ID"),
        ],
    ),
    (
        "workload_identity",
        &[
            (AzureConfigKey::FederatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE"),
            (AzureConfigKey::ClientId, "AZURE_CLIENT_ID"),
            (AzureConfigKey::AuthorityId, "AZURE_TENANT_ID"),
        ],
    ),
    ("bearer_token", &[(AzureConfigKey::Token, "AZURE_STORAGE_TOKEN")]),
];

fn is_azure_setting(name: &str) -> bool {
    name.starts_with("AZURE_") || name == IDENTITY_ENDPOINT
}

/// The variables of an environment that are for [`crate::Store::open`]. What has `before` and an underscore in front of its
/// name is for one account alone, and wins over what has not: `EASTUS_AZURE_STORAGE_ACCOUNT_NAME` for `eastus`.
pub fn azure_settings(
    environment: impl IntoIterator<Item = (String, String)>,
    before: Option<&str>,
) -> Vec<(String, String)> {
    let prefix = before.map(|name| format!("{}_", name.to_uppercase().replace('-', "_")));
    let (mut settings, mut own) = (Vec::new(), Vec::new());
    for (name, value) in environment {
        let rest = prefix.as_ref().and_then(|prefix| name.strip_prefix(prefix.as_str()));
        match rest.filter(|rest| is_azure_setting(rest)) {
            Some(rest) => own.push((rest.to_owned(), value)),
            None if is_azure_setting(&name) => settings.push((name, value)),
            None => {}
        }
    }
    // A secret of the account's own stands in the place of a file with the common one, too.
    let plain = |name: &str| name.trim_end_matches("_FILE").to_owned();
    settings.retain(|(name, _)| own.iter().all(|(other, _)| plain(other) != plain(name)));
    settings.extend(own);
    settings
}

/// A client of one container.
///
/// # Errors
/// Names the setting that is missing, at fault or one too many, and never says what a secret is.
pub(crate) fn client(container: &str, settings: &[(String, String)]) -> Result<MicrosoftAzure, String> {
    let settings = AzureSettings::read(settings)?;
    settings.check()?;
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..Default::default() },
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
    };
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_http_connector(PlainDeletions)
        .with_client_options(settings.client_options()?)
        .with_retry(retry);
    for (key, setting) in settings.known {
        builder = builder.with_config(key, setting.value);
    }
    builder.build().map_err(|error| error.to_string())
}

/// What the settings say, each thing once.
struct AzureSettings {
    known: HashMap<AzureConfigKey, Setting>,
    ca_file: Option<String>,
}

struct Setting {
    /// The name that it was given under.
    name: String,
    value: String,
}

impl AzureSettings {
    fn read(settings: &[(String, String)]) -> Result<Self, String> {
        let mut read = Self { known: HashMap::new(), ca_file: None };
        // A variable that is empty is one that was not set.
        for (name, value) in settings.iter().filter(|(_, value)| !value.trim().is_empty()) {
            if name.eq_ignore_ascii_case(CA_FILE) {
                read.ca_file = Some(value.clone());
                continue;
            }
            let Some((key, is_file)) = key_of(name) else { continue };
            let value = match is_file {
                true => read_secret(name, value)?,
                // Clusters write the authority with a slash behind it, which would stand in the address twice.
                false if key == AzureConfigKey::AuthorityHost => value.trim_end_matches('/').to_owned(),
                false => value.clone(),
            };
            let setting = Setting { name: name.clone(), value };
            if let Some(other) = read.known.insert(key, setting).filter(|other| other.name != *name) {
                return Err(format!("{} and {name} say the same thing: leave one out", other.name));
            }
        }
        Ok(read)
    }

    fn has(&self, key: AzureConfigKey) -> bool {
        self.known.contains_key(&key)
    }

    fn value(&self, key: AzureConfigKey) -> Option<&str> {
        self.known.get(&key).map(|setting| setting.value.as_str())
    }

    /// That there is an account and one way to sign in, and nothing of that way is missing. Otherwise requests would be
    /// signed in another way than was meant, and be refused without a word on why.
    fn check(&self) -> Result<(), String> {
        let on_emulator = self.value(AzureConfigKey::UseEmulator).is_some();
        if !on_emulator && !self.has(AzureConfigKey::AccountName) {
            return Err("AZURE_STORAGE_ACCOUNT_NAME is missing".to_owned());
        }
        let chosen = self.value(AzureConfigKey::CredentialType).filter(|chosen| *chosen != "auto");
        let given: Vec<_> = WAYS.iter().filter(|(_, takes)| self.has(takes[0].0)).collect();
        let way = match (chosen, given.as_slice()) {
            (Some(chosen), _) => WAYS.iter().find(|(way, _)| *way == chosen),
            (None, [first, second, ..]) => {
                return Err(format!(
                    "{} and {} are two ways to sign in: leave one out, or choose by AZURE_CREDENTIAL_TYPE ({} or {})",
                    self.name_of(first.1[0]),
                    self.name_of(second.1[0]),
                    first.0,
                    second.0
                ));
            }
            (None, given) => given.first().copied(),
        };
        let Some((way, takes)) = way else { return Ok(()) };
        let missing: Vec<&str> = takes.iter().filter(|(key, _)| !self.has(*key)).map(|(_, name)| *name).collect();
        match missing.is_empty() {
            false => Err(format!("{} missing, which signing in by {way} takes", is_or_are(&missing))),
            true => self.check_values(way),
        }
    }

    fn check_values(&self, way: &str) -> Result<(), String> {
        let fault = |key: AzureConfigKey, reason: String| {
            let name = self.known.get(&key).map_or("", |setting| setting.name.as_str());
            Err(format!("{name}: {reason}"))
        };
        match way {
            "access_key" => {
                let key = self.value(AzureConfigKey::AccessKey).unwrap_or_default();
                match STANDARD.decode(key) {
                    Ok(_) => Ok(()),
                    Err(_) => fault(AzureConfigKey::AccessKey, "is no key of an account, which is base64".to_owned()),
                }
            }
            "workload_identity" => {
                let file = self.value(AzureConfigKey::FederatedTokenFile).unwrap_or_default();
                match File::open(file) {
                    Ok(_) => Ok(()),
                    Err(error) => fault(AzureConfigKey::FederatedTokenFile, format!("{file}: {error}")),
                }
            }
            _ => Ok(()),
        }
    }

    /// The name that something was given under.
    fn name_of(&self, (key, usual): (AzureConfigKey, &'static str)) -> &str {
        self.known.get(&key).map_or(usual, |setting| setting.name.as_str())
    }

    fn client_options(&self) -> Result<ClientOptions, String> {
        let plain_http = self.value(AzureConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://"));
        let mut options = ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(120))
            .with_allow_http(plain_http);
        if let Some(file) = &self.ca_file {
            let pem = read_file(CA_FILE, file)?;
            let certificates = Certificate::from_pem_bundle(pem.as_bytes());
            let certificates = certificates.map_err(|error| format!("{CA_FILE}: {file}: {error}"))?;
            if certificates.is_empty() {
                return Err(format!("{CA_FILE}: {file} holds no certificate"));
            }
            options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
        }
        Ok(options)
    }
}

/// What a name stands for, and whether its value is in a file. What object_store knows under the name itself comes
/// first: `AZURE_FEDERATED_TOKEN_FILE` is a setting whose value is a path.
fn key_of(name: &str) -> Option<(AzureConfigKey, bool)> {
    let name = name.to_ascii_lowercase();
    let key = |name: &str| name.parse::<AzureConfigKey>().ok().filter(is_taken);
    let in_file = || Some((key(name.strip_suffix(FILE_SUFFIX)?)?, true));
    key(name.as_str()).map(|key| (key, false)).or_else(in_file)
}

/// How a client waits and whom it trusts is said here, but for plain HTTP, which an emulator of the authority may need.
fn is_taken(key: &AzureConfigKey) -> bool {
    !matches!(key, AzureConfigKey::Client(other) if *other != ClientConfigKey::AllowHttp)
}

fn read_secret(name: &str, file: &str) -> Result<String, String> {
    let text = read_file(name, file)?;
    match text.trim() {
        "" => Err(format!("{name}: {file} is empty")),
        value => Ok(value.to_owned()),
    }
}

fn read_file(name: &str, file: &str) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        std::io::Result::Ok(text)
    };
    let text = read().map_err(|error| format!("{name}: {file}: {error}"))?;
    match text.len() as u64 > MAX_FILE_BYTES {
        true => Err(format!("{name}: {file} is larger than {MAX_FILE_BYTES} bytes")),
        false => Ok(text),
    }
}

fn is_or_are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0");
    const ACCOUNT: (&str, &str) = ("AZURE_STORAGE_ACCOUNT_NAME", "shop");
    const SAS: (&str, &str) = ("AZURE_STORAGE_SAS_KEY", "sv=2021-12-02&sig=c2VjcmV0");

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn fault(pairs: &[(&str, &str)]) -> String {
        let fault = client("container", &settings(pairs)).expect_err("a fault");
        assert!(!fault.contains("c2VjcmV0"), "{fault}");
        fault
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        assert_eq!(fault(&[KEY]), "AZURE_STORAGE_ACCOUNT_NAME is missing");
        let two = fault(&[ACCOUNT, KEY, SAS]);
        assert!(
            two.starts_with("AZURE_STORAGE_ACCOUNT_KEY and AZURE_STORAGE_SAS_KEY are two ways to sign in"),
            "{two}"
        );
        let secret = ("AZURE_CLIENT_SECRET", "c2VjcmV0");
        assert_eq!(
            fault(&[ACCOUNT, secret]),
            "AZURE_CLIENT_ID and AZURE_TENANT_ID are missing, which signing in by client_secret takes"
        );
        assert_eq!(
            fault(&[ACCOUNT, secret, ("AZURE_CLIENT_ID", "x")]),
            "AZURE_TENANT_ID is missing, which signing in by client_secret takes"
        );
        assert_eq!(
            fault(&[ACCOUNT, SAS, ("AZURE_CREDENTIAL_TYPE", "access_key")]),
            "AZURE_STORAGE_ACCOUNT_KEY is missing, which signing in by access_key takes"
        );
        let token = [ACCOUNT, ("AZURE_CLIENT_ID", "x"), ("AZURE_TENANT_ID", "y")];
        let token = [&token[..], &[("AZURE_FEDERATED_TOKEN_FILE", "/none")]].concat();
        assert!(fault(&token).starts_with("AZURE_FEDERATED_TOKEN_FILE: /none: "), "{}", fault(&token));
        let key = fault(&[ACCOUNT, ("AZURE_STORAGE_ACCESS_KEY", "c2VjcmV0!")]);
        assert_eq!(key, "AZURE_STORAGE_ACCESS_KEY: is no key of an account, which is base64");
        let ca = fault(&[ACCOUNT, KEY, ("AZURE_CA_FILE", "/none")]);
        assert!(ca.starts_with("AZURE_CA_FILE: /none: "), "{ca}");
    }

    #[test]
    fn one_way_to_sign_in_is_enough() {
        let opens = |pairs: &[(&str, &str)]| drop(client("container", &settings(pairs)).expect("a client"));
        opens(&[ACCOUNT, KEY]);
        opens(&[ACCOUNT, SAS]);
        opens(&[ACCOUNT, KEY, SAS, ("AZURE_CREDENTIAL_TYPE", "sas_token")]);
        opens(&[ACCOUNT, KEY, ("AZURE_STORAGE_SAS_KEY", ""), ("AZURE_CONFIG_DIR", "/x"), ("AZURE_TIMEOUT", "?")]);
        // The identity of the machine needs nothing, or the id of one of several.
        opens(&[ACCOUNT]);
        opens(&[ACCOUNT, ("AZURE_CLIENT_ID", "x"), ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token")]);
    }

    #[test]
    fn secrets_come_from_files_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_string_lossy().into_owned()
        };
        let file = path("key", "c2VjcmV0\n");
        let read = AzureSettings::read(&settings(&[ACCOUNT, ("AZURE_STORAGE_ACCOUNT_KEY_FILE", &file)]));
        assert_eq!(read.expect("settings").value(AzureConfigKey::AccessKey), Some("c2VjcmV0"));
        let both = fault(&[ACCOUNT, KEY, ("AZURE_STORAGE_ACCOUNT_KEY_FILE", &file)]);
        assert_eq!(
            both,
            "AZURE_STORAGE_ACCOUNT_KEY and AZURE_STORAGE_ACCOUNT_KEY_FILE say the same thing: leave one out"
        );
        let empty = fault(&[ACCOUNT, ("AZURE_STORAGE_SAS_KEY_FILE", &path("empty", " \n"))]);
        assert!(empty.starts_with("AZURE_STORAGE_SAS_KEY_FILE: ") && empty.ends_with("is empty"), "{empty}");
        assert!(
            fault(&[ACCOUNT, ("AZURE_CLIENT_SECRET_FILE", "/none")]).starts_with("AZURE_CLIENT_SECRET_FILE: /none: ")
        );
        // Azure's own name is a path, and no secret's.
        let token = AzureSettings::read(&settings(&[("AZURE_FEDERATED_TOKEN_FILE", &file)])).expect("settings");
        assert_eq!(token.value(AzureConfigKey::FederatedTokenFile), Some(file.as_str()));
        let pem = fault(&[ACCOUNT, KEY, ("AZURE_CA_FILE", &file)]);
        assert!(pem.starts_with("AZURE_CA_FILE: "), "{pem}");
    }

    #[test]
    fn an_authority_stands_without_its_last_slash() {
        let read = AzureSettings::read(&settings(&[("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")]));
        let read = read.expect("settings");
        assert_eq!(read.value(AzureConfigKey::AuthorityHost), Some("https://login.microsoftonline.com"));
    }

    #[test]
    fn an_account_of_its_own_comes_before_the_common_one() {
        let environment = settings(&[
            ("HOME", "/root"),
            ("AZURE_CLIENT_ID", "common"),
            ("AZURE_STORAGE_ACCOUNT_KEY_FILE", "common"),
            ("IDENTITY_ENDPOINT", "http://169.254.169.254"),
            ("EAST_US_AZURE_STORAGE_ACCOUNT_KEY", "own"),
            ("STATUS_AZURE_CLIENT_ID", "of another"),
        ]);
        let common = settings(&[
            ("AZURE_CLIENT_ID", "common"),
            ("AZURE_STORAGE_ACCOUNT_KEY_FILE", "common"),
            ("IDENTITY_ENDPOINT", "http://169.254.169.254"),
        ]);
        assert_eq!(azure_settings(environment.clone(), None), common);
        let own = settings(&[
            ("AZURE_CLIENT_ID", "common"),
            ("IDENTITY_ENDPOINT", "http://169.254.169.254"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "own"),
        ]);
        assert_eq!(azure_settings(environment, Some("east-us")), own);
    }
}
