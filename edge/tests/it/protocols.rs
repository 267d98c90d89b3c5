//! HTTP/2, TLS and content codings, asked for by an independent client.

use std::io::Read;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Client, ClientBuilder, Version};
use tokio::runtime::Runtime;

use crate::process::{EdgeProcess, wait_until};
use crate::shop::Shop;

const SEARCH: &str = "/v1/search?q=lamp&per_page=50";

fn shop_and_edge(flags: &[&str]) -> (Shop, EdgeProcess) {
    let shop = Shop::new();
    shop.publish("alpha", 200);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], flags);
    wait_until("it is ready", || crate::client::Connection::open(edge.admin).get("/readyz").status == 200);
    (shop, edge)
}

/// Writes a certificate for localhost and its key where an edge reads them; returns the authority that vouches for it.
fn write_certificate(folder: &Path) -> reqwest::Certificate {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = server.signed_by(&key, &authority).expect("a certificate");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("the key is written");
    std::fs::write(folder.join("tls.pem"), certificate.pem()).expect("the certificate is written");
    reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("the authority")
}

fn client(authority: &reqwest::Certificate) -> ClientBuilder {
    Client::builder().tls_certs_only([authority.clone()])
}

#[test]
fn http_2_without_tls_answers_many_requests_of_one_connection() {
    let (_shop, edge) = shop_and_edge(&[]);
    Runtime::new().expect("a runtime").block_on(ask_at_once(&edge));
}

async fn ask_at_once(edge: &EdgeProcess) {
    let client = Client::builder().http2_prior_knowledge().build().expect("a client");
    let asked = (0..300).map(|page| {
        let request = client.get(format!("http://{}/v1/search?q=lamp&per_page=1&page={}", edge.public, page % 100 + 1));
        tokio::spawn(async move {
            let answer = request.send().await.expect("an answer");
            assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
            answer.text().await.expect("a body")
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut bodies = Vec::new();
    for body in asked {
        bodies.push(body.await.expect("no panic"));
    }
    assert!(bodies[0].contains("\"found\":200") && bodies[0] != bodies[1] && bodies[0] == bodies[100]);
    let plain = edge.get("/v1/search?q=lamp&per_page=1&page=1");
    assert_eq!(plain.text(), bodies[0], "HTTP/1.1 says the same");
    assert_eq!(edge.metric("vitrine_edge_requests_in_flight"), Some(0.0));
}

/// A body after all broke the connection.
#[test]
fn http_2_answers_head_without_a_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = write_certificate(folder.path());
    let files = [folder.path().join("tls.pem"), folder.path().join("key.pem")];
    let [certificate, key] = files.each_ref().map(|path| path.to_str().expect("a plain path"));
    let (_shop, plain) = shop_and_edge(&[]);
    let (_other_shop, tls) = shop_and_edge(&["--tls-certificate", certificate, "--tls-key", key]);
    Runtime::new().expect("a runtime").block_on(async {
        let knowing = Client::builder().http2_prior_knowledge().build().expect("a client");
        ask_for_heads(&knowing, &format!("http://{}", plain.public)).await;
        let agreeing = client(&authority).build().expect("a client");
        ask_for_heads(&agreeing, &format!("https://localhost:{}", tls.public.port())).await;
    });
}

async fn ask_for_heads(client: &Client, edge: &str) {
    for path in ["/healthz", SEARCH] {
        let url = format!("{edge}{path}");
        let head = client.head(&url).send().await.expect("an answer");
        assert_eq!((head.status().as_u16(), head.version()), (200, Version::HTTP_2), "{path}");
        let length = head.headers()["content-length"].clone();
        assert!(head.bytes().await.expect("an end").is_empty(), "{path}");
        let whole = client.get(&url).send().await.expect("an answer").bytes().await.expect("a body");
        assert_eq!(length, whole.len().to_string(), "{path}");
    }
}

#[test]
fn a_method_that_begins_like_http_2_is_none() {
    let (_shop, edge) = shop_and_edge(&[]);
    let mut connection = edge.connect();
    connection.write(b"P").expect("one byte");
    wait_until("it is accepted", || edge.metric("vitrine_edge_connections").is_some_and(|open| open >= 1.0));
    connection.write(b"OST /v1/search HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}").expect("the rest");
    assert_eq!(connection.read(false).expect("an answer").status, 200);
}

#[test]
fn tls_offers_both_versions_and_takes_up_a_renewed_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = write_certificate(folder.path());
    let files = [folder.path().join("tls.pem"), folder.path().join("key.pem")];
    let [certificate, key] = files.each_ref().map(|path| path.to_str().expect("a plain path"));
    let (_shop, edge) = shop_and_edge(&["--tls-certificate", certificate, "--tls-key", key]);
    Runtime::new().expect("a runtime").block_on(renew(&edge, folder.path(), &first));
}

async fn renew(edge: &EdgeProcess, folder: &Path, first: &reqwest::Certificate) {
    let url = format!("https://localhost:{}{SEARCH}", edge.public.port());
    let ask = async |client: &Client| client.get(&url).send().await.map(|answer| (answer.status(), answer.version()));

    let old = client(first).build().expect("a client");
    assert_eq!(ask(&old).await.expect("an answer"), (reqwest::StatusCode::OK, Version::HTTP_2));
    let http_1 = client(first).http1_only().build().expect("a client");
    assert_eq!(ask(&http_1).await.expect("an answer").1, Version::HTTP_11);

    std::fs::write(folder.join("tls.pem"), "no certificate").expect("a broken file");
    wait_until("the broken file is told", || edge.log_has("the changed certificate is not used"));
    let another = client(first).build().expect("a client");
    assert_eq!(ask(&another).await.expect("an answer").0, 200);

    let second = write_certificate(folder);
    wait_until("the renewed certificate is told", || edge.log_has("the certificate was renewed"));
    let new = client(&second).build().expect("a client");
    assert_eq!(ask(&new).await.expect("an answer").0, 200);
    ask(&client(first).build().expect("a client")).await.expect_err("the first authority vouches for it no more");
    assert_eq!(ask(&old).await.expect("an answer").0, 200, "an open connection goes on");
}

#[test]
fn a_key_of_another_certificate_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    write_certificate(folder.path());
    let other = KeyPair::generate().expect("a key");
    std::fs::write(folder.path().join("key.pem"), other.serialize_pem()).expect("a key");
    let mut edge = std::process::Command::new(env!("CARGO_BIN_EXE_edge"));
    edge.args(["--market", "us=memory://", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    edge.arg("--cache-dir").arg(folder.path().join("cache"));
    edge.arg("--tls-certificate").arg(folder.path().join("tls.pem"));
    edge.arg("--tls-key").arg(folder.path().join("key.pem"));
    let output = edge.output().expect("the edge ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("the key cannot be used with the certificate"), "{told}");
}

#[test]
fn what_is_asked_for_again_is_compressed_as_the_client_likes() {
    let (_shop, edge) = shop_and_edge(&[]);
    let mut connection = edge.connect();
    let mut ask = |headers: &[(&str, &str)]| connection.send("GET", SEARCH, headers, b"").expect("an answer");
    let plain = ask(&[("accept-encoding", "gzip, zstd")]);
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    for (coding, offered) in [("zstd", "gzip, deflate, br, zstd"), ("gzip", "gzip"), ("zstd", "zstd")] {
        let smaller = ask(&[("accept-encoding", offered)]);
        assert_eq!((smaller.header("content-encoding"), smaller.header("vary")), (coding, "Accept-Encoding"));
        assert!(smaller.body.len() * 3 < plain.body.len(), "{} of {}", smaller.body.len(), plain.body.len());
        let mut body = Vec::new();
        match coding {
            "zstd" => body = zstd::decode_all(&*smaller.body).expect("zstd"),
            _ => drop(flate2::read::GzDecoder::new(&*smaller.body).read_to_end(&mut body).expect("gzip")),
        }
        assert_eq!(body, plain.body);
        assert_eq!(smaller.header("etag"), plain.header("etag"));
        assert!(plain.header("etag").starts_with("W/"), "the bytes are not the same");
        let known = ask(&[("accept-encoding", offered), ("if-none-match", smaller.header("etag"))]);
        assert_eq!((known.status, known.header("vary")), (304, "Accept-Encoding"));
        assert_eq!(known.header("etag"), plain.header("etag"));
    }
    assert_eq!(ask(&[]).body, plain.body);
}

#[test]
fn large_answers_are_compressed_for_those_that_ask_next() {
    let (shop, edge) = shop_and_edge(&[]);
    let mut connection = edge.connect();
    let path = "/v1/search?q=lamp&per_page=100&fields=*&highlight=*&explain=true";
    let mut ask = || connection.send("GET", path, &[("accept-encoding", "zstd")], b"").expect("an answer");
    let (first, second) = (ask(), ask());
    assert!(first.body.len() > 32 * 1024, "{} bytes", first.body.len());
    assert_eq!((second.header("content-encoding"), second.body.len()), ("", first.body.len()), "nobody waits for it");
    wait_until("it is made smaller", || ask().header("content-encoding") == "zstd");
    assert_eq!(zstd::decode_all(&*ask().body).expect("zstd"), first.body);
    // What was smaller before a swap is smaller after it at once.
    let sequence = shop.announce(&shop.build("alpha", 210).id);
    edge.wait_for_sequence(sequence);
    let swapped = ask();
    assert_eq!((swapped.status, swapped.header("content-encoding")), (200, "zstd"));
}

#[test]
fn clients_that_ask_for_nothing_do_not_hold_up_the_end() {
    let (_shop, mut edge) = shop_and_edge(&[]);
    let mut silent = [edge.connect(), edge.connect(), edge.connect()];
    // Half of what HTTP/2 begins with, and all of it.
    silent[1].write(b"PRI * HT").expect("bytes");
    silent[2].write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("bytes");
    wait_until("all are connected", || edge.metric("vitrine_edge_connections").is_some_and(|open| open >= 3.0));
    edge.signal("TERM");
    assert!(edge.wait().success());
    wait_until("the log is whole", || edge.log_has_ended());
    assert!(edge.log_has("draining") && !edge.log_has("connections were cut"));
}
