//! Where tokens come from: Entra ID's token endpoint and the endpoints of managed identities, as far as Blob storage
//! needs them. Azurite looks at a token's issuer, audience and times, and at no signature.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use crate::{Settings, settings};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const SECRET: &str = "the-secret-of-a-client";
const ASSERTION: &str = "the-assertion-of-a-workload";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "https://storage.azure.com/.default";
const RESOURCE: &str = "https://storage.azure.com";
const MACHINE_PATH: &str = "/metadata/identity/oauth2/token";
const CONTAINER_PATH: &str = "/msi/token";
const LIFETIME_S: u64 = 3600;
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// How a token was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    ClientSecret,
    WorkloadIdentity,
    /// Of a virtual machine, at the well-known address.
    MachineIdentity,
    /// Of a container app or an app service, at the address that `IDENTITY_ENDPOINT` names.
    ContainerIdentity,
}

/// Hands out tokens until the test's process ends.
pub struct TokenServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<TokenKind>>>,
    assertion_file: PathBuf,
    _folder: TempDir,
}

struct Request {
    method: String,
    path: String,
    query: String,
    /// Whether it has the header that tells a request to the metadata service from a forwarded one.
    is_metadata: bool,
    body: Vec<u8>,
}

impl TokenServer {
    /// # Panics
    /// When it cannot listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let assertion_file = folder.path().join("federated-token");
        std::fs::write(&assertion_file, ASSERTION).expect("the assertion is written");
        let asked: Arc<Mutex<Vec<TokenKind>>> = Arc::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            // A client that breaks its connection off gets no answer.
            listener.incoming().flatten().for_each(|stream| drop(answer(stream, &seen)));
        });
        Self { address, asked, assertion_file, _folder: folder }
    }

    /// What tokens were asked for so far.
    pub fn asked(&self) -> Vec<TokenKind> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs in with a secret. The clients of tests reach this server without TLS, which must be allowed to them.
    pub fn client_secret_settings(&self) -> Settings {
        let mut settings = self.entra_settings();
        settings.push(("AZURE_CLIENT_SECRET".to_owned(), SECRET.to_owned()));
        settings
    }

    /// Signs in with what a cluster writes into a file.
    pub fn workload_identity_settings(&self) -> Settings {
        let mut settings = self.entra_settings();
        let file = self.assertion_file.to_string_lossy().into_owned();
        settings.push(("AZURE_FEDERATED_TOKEN_FILE".to_owned(), file));
        settings
    }

    /// Signs in as the machine that it runs on.
    pub fn machine_identity_settings(&self) -> Settings {
        settings(&[("AZURE_MSI_ENDPOINT", &format!("http://{}{MACHINE_PATH}", self.address))])
    }

    /// Signs in as the container app that it runs in.
    pub fn container_identity_settings(&self) -> Settings {
        settings(&[("IDENTITY_ENDPOINT", &format!("http://{}{CONTAINER_PATH}", self.address))])
    }

    fn entra_settings(&self) -> Settings {
        settings(&[
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_AUTHORITY_HOST", &format!("http://{}", self.address)),
            ("AZURE_ALLOW_HTTP", "true"),
        ])
    }
}

fn answer(mut stream: TcpStream, asked: &Mutex<Vec<TokenKind>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = read_request(&stream)?;
    let (status, body) = match kind_of(&request) {
        Ok(kind) => {
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(kind);
            ("200 OK", token_answer())
        }
        Err((status, error)) => (status, format!(r#"{{"error":"{error}"}}"#)),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut input = BufReader::new(stream.take(MAX_REQUEST_BYTES));
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
    let mut length_bytes: u64 = 0;
    let mut is_metadata = false;
    loop {
        let mut header = String::new();
        input.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length_bytes = value.trim().parse().unwrap_or(0),
            "metadata" => is_metadata = value.trim() == "true",
            _ => {}
        }
    }
    let mut body = Vec::new();
    input.take(length_bytes).read_to_end(&mut body)?;
    Ok(Request { method, path: path.to_owned(), query: query.to_owned(), is_metadata, body })
}

/// What is asked for, or the status and the error of Entra ID's own answers.
fn kind_of(request: &Request) -> Result<TokenKind, (&'static str, &'static str)> {
    const UNKNOWN: (&str, &str) = ("400 Bad Request", "invalid_request");
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", path) if path == format!("/{TENANT}/oauth2/v2.0/token") => client_kind(&request.body),
        ("GET", path @ (MACHINE_PATH | CONTAINER_PATH)) => {
            let resource = value_of(request.query.as_bytes(), "resource");
            match request.is_metadata && resource.as_deref() == Some(RESOURCE) {
                true if path == MACHINE_PATH => Ok(TokenKind::MachineIdentity),
                true => Ok(TokenKind::ContainerIdentity),
                false => Err(UNKNOWN),
            }
        }
        _ => Err(UNKNOWN),
    }
}

fn client_kind(form: &[u8]) -> Result<TokenKind, (&'static str, &'static str)> {
    let is = |name: &str, expected: &str| value_of(form, name).as_deref() == Some(expected);
    if !(is("client_id", CLIENT) && is("scope", SCOPE) && is("grant_type", "client_credentials")) {
        return Err(("400 Bad Request", "unauthorized_client"));
    }
    if is("client_secret", SECRET) {
        return Ok(TokenKind::ClientSecret);
    }
    match is("client_assertion", ASSERTION) && is("client_assertion_type", ASSERTION_TYPE) {
        true => Ok(TokenKind::WorkloadIdentity),
        false => Err(("401 Unauthorized", "invalid_client")),
    }
}

fn value_of(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn token_answer() -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let ends_s = now_s + LIFETIME_S;
    let claims = format!(
        r#"{{"aud":"{RESOURCE}","iss":"https://sts.windows.net/{TENANT}/","iat":{now_s},"nbf":{now_s},"exp":{ends_s}}}"#
    );
    let [head, claims, signature] =
        [r#"{"alg":"none","typ":"JWT"}"#, claims.as_str(), "unsigned"].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!(
        r#"{{"token_type":"Bearer","expires_in":{LIFETIME_S},"expires_on":"{ends_s}","access_token":"{head}.{claims}.{signature}"}}"#
    )
}
