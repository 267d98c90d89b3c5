//! Requests of any bytes are answered with a problem or an answer, and never with a fault of ours. The first byte picks the
//! endpoint, the second whether the rest is a body alone or also a query.

#![no_main]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use checkout::config::{Cli, Task};
use clap::Parser;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const STAFF: &str = "st_0000000000000000000000000000000000000000000000000000000000000000";
const OWNER: &str = "ot_0000000000000000000000000000000000000000000000000000000000000000";
const CHECKOUT: &str = "/checkout/v1/checkouts/chk_0192f0c0a1b27c3d8e4f5a6b7c8d9e0f";
const ORDER: &str = "/checkout/v1/orders/ord_0192f0c0a1b27c3d8e4f5a6b7c8d9e0f";
const CART: &str = "/checkout/v1/carts/crt_0192f0c0a1b27c3d8e4f5a6b7c8d9e0f";
/// The service's own bound: what is larger is answered before it is read, which a plain client cannot tell from a crash.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Heads have a bound too.
const MAX_QUERY_BYTES: usize = 1_000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

struct Place {
    _folder: TempDir,
    _runtime: Runtime,
    address: SocketAddr,
    number: AtomicU64,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let staff = folder.path().join("staff");
    let digits: String = Sha256::digest(STAFF).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&staff, format!("fuzz {digits}\n")).expect("the staff's tokens");
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let flags = [
        "checkout".to_owned(),
        "serve".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        "--admin-listen=127.0.0.1:0".to_owned(),
        "--stripe-secret-key=sk_test_fuzz".to_owned(),
        "--stripe-webhook-secret=whsec_fuzz".to_owned(),
        // Nobody listens there.
        "--stripe-api-url=http://127.0.0.1:9".to_owned(),
        "--edge-url=http://127.0.0.1:9".to_owned(),
        format!("--staff-tokens={}", text(&staff)),
        format!("--data-dir={}", text(&folder.path().join("data"))),
    ];
    let resolved = Cli::try_parse_from(flags).expect("well-formed flags").resolve().expect("a config");
    let Task::Serve(config) = resolved.task else { panic!("it is to serve") };
    let runtime = Runtime::new().expect("a runtime");
    let service = runtime.block_on(checkout::build(*config)).expect("a service");
    let address = service.addresses().expect("its addresses").public;
    // As long as the process does.
    runtime.spawn(service.serve(std::future::pending()));
    Place { _folder: folder, _runtime: runtime, address, number: AtomicU64::new(0) }
});

thread_local! {
    static CONNECTION: RefCell<Option<BufReader<TcpStream>>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let [first, second, rest @ ..] = bytes else { return };
    if rest.len() > MAX_BODY_BYTES {
        return;
    }
    let (method, path, token) = match first % 10 {
        0 => ("POST", "/checkout/v1/carts".to_owned(), None),
        1 => ("PUT", CART.to_owned(), None),
        2 => ("POST", "/checkout/v1/checkouts".to_owned(), None),
        3 => ("PUT", CHECKOUT.to_owned(), Some(OWNER)),
        4 => ("POST", format!("{CHECKOUT}/complete"), Some(OWNER)),
        5 => ("POST", format!("{CHECKOUT}/cancel"), Some(OWNER)),
        6 => ("POST", format!("{ORDER}/refunds"), Some(STAFF)),
        7 => ("POST", format!("{ORDER}/cancel"), Some(STAFF)),
        8 => ("PUT", "/checkout/v1/stock/boots".to_owned(), Some(STAFF)),
        _ => ("GET", "/checkout/v1/orders".to_owned(), Some(STAFF)),
    };
    let path = match second % 2 {
        1 if rest.len() <= MAX_QUERY_BYTES => {
            format!("{path}?{}", rest.iter().map(|byte| format!("%{byte:02x}")).collect::<String>())
        }
        _ => path,
    };
    let status = ask(method, &path, token, rest).or_else(|_| ask(method, &path, token, rest)).expect("an answer");
    // The edge is away, so that 503 is right; every other 5xx is a fault of ours.
    assert!(status < 500 || status == 503, "{method} {path}: {status}");
});

/// Asks on a connection that is kept, and on a new one where that has ended.
fn ask(method: &str, path: &str, token: Option<&str>, body: &[u8]) -> std::io::Result<u16> {
    CONNECTION.with_borrow_mut(|kept| {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(PLACE.address)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                BufReader::new(stream)
            }
        };
        let number = PLACE.number.fetch_add(1, Ordering::Relaxed);
        let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: fuzz\r\n{token}idempotency-key: fuzz-{number:016}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let stream = connection.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (status, is_open) = read(&mut connection)?;
        *kept = is_open.then_some(connection);
        Ok(status)
    })
}

/// The status of an answer, and whether another request may follow it.
fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<(u16, bool)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let (mut length, mut is_open) = (0, true);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "connection" if value == "close" => is_open = false,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((status, is_open))
}
