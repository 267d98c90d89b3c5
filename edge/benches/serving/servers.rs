//! What is driven: edges and a fixed body, each a process of its own, under wrk.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use test_servers::processes;

use crate::client::Connection;
use crate::workloads::Workload;

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

    /// The same over TLS, by a certificate that nobody vouches for and wrk does not ask about.
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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("paths.lua");
        let mut lua = String::from("local paths = {\n");
        workload.paths.iter().for_each(|path| writeln!(lua, "  {path:?},").expect("a string takes all"));
        lua += "}\nlocal n = 0\nrequest = function() n = n % #paths + 1; return wrk.format('GET', paths[n]) end\n";
        std::fs::write(&script, lua).expect("a script");
        let before = self.cpu_us();
        let output = Command::new("wrk")
            .args(["-t1", "--latency", &format!("-c{}", load.connections), &format!("-d{}s", load.seconds), "-s"])
            .arg(&script)
            .args(workload.coding.iter().flat_map(|coding| ["-H".to_owned(), format!("Accept-Encoding: {coding}")]))
            .arg(format!("{}://{}", self.scheme, self.address))
            .output()
            .expect("wrk runs");
        let cpu_us = self.cpu_us() - before;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
        let after = |mark: &str| {
            text.split_once(mark).map(|(_, rest)| rest.split_whitespace().next().unwrap_or("")).expect(mark)
        };
        let requests: f64 = text
            .split_once(" requests in")
            .and_then(|(head, _)| head.split_whitespace().last()?.parse().ok())
            .expect("a count");
        Measured {
            requests_per_s: after("Requests/sec:").parse().expect("a rate"),
            cpu_us: cpu_us / requests,
            p50_ms: milliseconds(after("\n     50%")),
            p99_ms: milliseconds(after("\n     99%")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// "1.23ms" and its kind, as wrk writes them.
fn milliseconds(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor = match &text[split..] {
        "us" => 1e-3,
        "s" => 1e3,
        _ => 1.0,
    };
    text[..split].parse::<f64>().map_or(f64::NAN, |value| value * factor)
}

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
            let answer = |_: Request<hyper::body::Incoming>| {
                let body = body.clone();
                async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(body))) }
            };
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}
