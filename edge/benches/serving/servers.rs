//! What is driven: edges and a fixed body, each a process of its own, under wrk or h2load.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use test_servers::processes;

use crate::client::Connection;
use crate::drivers::{h2load, wrk};
use crate::workloads::{Protocol, Workload};

/// What the edge keeps of its answers where nothing else is said.
pub const DEFAULT_CACHE_MIB: u32 = 64;
/// What a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// How hard it is driven.
#[derive(Clone, Copy)]
pub struct Load {
    pub seconds: u32,
    pub connections: u32,
}

#[derive(Clone, Copy)]
pub struct Measured {
    pub requests_per_s: f64,
    pub cpu_us: f64,
    /// Latencies are no numbers over HTTP/2, whose client does not tell them.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

pub struct Server {
    process: Child,
    pub address: SocketAddr,
    scheme: &'static str,
}

impl Server {
    /// An edge that serves what is live in a store, from a cache folder of its own.
    pub fn edge(program: &Path, store: &str, cache: &Path, result_cache_mib: u32) -> Self {
        Self::edge_with(program, store, cache, result_cache_mib, &[])
    }

    /// The same, with more flags.
    pub fn edge_with(program: &Path, store: &str, cache: &Path, result_cache_mib: u32, flags: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args([
            "--market",
            &format!("demo={store}"),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.arg("--cache-dir").arg(cache).arg("--result-cache-mib").arg(result_cache_mib.to_string());
        command.args(flags);
        let mut admin: Option<SocketAddr> = None;
        let server = Self::start(command, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            admin = line["admin"].as_str().and_then(|text| text.parse().ok());
            line["public"].as_str().map(str::to_owned)
        });
        // It speaks plain HTTP whatever the public one speaks.
        let admin = admin.expect("an address");
        while Connection::open(admin).get("/readyz").status != 200 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server
    }

    /// The same over TLS, by a certificate that nobody vouches for and no client asks about.
    pub fn edge_over_tls(program: &Path, store: &str, cache: &Path, folder: &Path) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let [certificate, key] =
            [("tls.pem", own.cert.pem()), ("key.pem", own.signing_key.serialize_pem())].map(|(name, pem)| {
                let path = folder.join(name);
                std::fs::write(&path, pem).expect("a file");
                path.display().to_string()
            });
        let flags = ["--tls-certificate", &certificate, "--tls-key", &key];
        let mut server = Self::edge_with(program, store, cache, 0, &flags);
        server.scheme = "https";
        server
    }

    pub fn fixed_body(bytes: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--fixed-body", &bytes.to_string()]);
        Self::start(command, |line| Some(line.to_owned()))
    }

    fn start(mut command: Command, mut address: impl FnMut(&str) -> Option<String>) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut output = BufReader::with_capacity(PIPE_BYTES, process.stdout.take().expect("its output"));
        let mut lines = (&mut output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| address(&line)).and_then(|text| text.parse().ok()).expect("an address");
        // What it logs is dropped unread: a fixed body logs nothing, and reading takes the CPU that is measured.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { process, address, scheme: "http" }
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// User and system time so far, in microseconds.
    fn cpu_us(&self) -> f64 {
        processes::cpu_us(self.process_id()).expect("the process's times")
    }

    /// Asks for all paths of a workload in turn, over and over.
    pub fn drive(&mut self, workload: &Workload, load: Load) -> Measured {
        let url = format!("{}://{}", self.scheme, self.address);
        let mut flags = vec!["-t1".to_owned(), format!("-c{}", load.connections)];
        flags.extend(workload.coding.iter().flat_map(|coding| ["-H".to_owned(), format!("Accept-Encoding: {coding}")]));
        let before = self.cpu_us();
        let told = match workload.protocol {
            Protocol::Http1 => wrk(&url, &workload.paths, load.seconds, &flags),
            Protocol::Http2 => h2load(&url, &workload.paths, load.seconds, &flags),
        };
        let cpu_us = (self.cpu_us() - before) / told.requests;
        Measured { requests_per_s: told.requests_per_s, cpu_us, p50_ms: told.p50_ms, p99_ms: told.p99_ms }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Speaks what the client begins with, without TLS.
#[tokio::main]
pub async fn serve_fixed_body(bytes: usize) {
    let body = Bytes::from(vec![b'x'; bytes]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let body = body.clone();
        tokio::spawn(async move {
            // HTTP/2 begins so, and GET does not.
            let mut first = [0];
            let is_http_2 = stream.peek(&mut first).await.is_ok() && first == *b"P";
            let answer = move |_: Request<hyper::body::Incoming>| {
                let body = body.clone();
                async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(body))) }
            };
            let (stream, answer) = (TokioIo::new(stream), service_fn(answer));
            let _ = match is_http_2 {
                true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await,
                false => http1::Builder::new().serve_connection(stream, answer).await,
            };
        });
    }
}
