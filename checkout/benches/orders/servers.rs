//! Servers as processes of their own, so that what each costs can be told apart: checkout's binary, and Stripe and the edge,
//! for which this program starts itself again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use axum::Router;
use axum::extract::Query;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use stripe_sim::{Sim, WebhookTarget};
use tokio::net::TcpListener;

/// What this program is told when it is to be one of the others.
pub const SERVE_STRIPE: &str = "--serve-stripe";
pub const SERVE_EDGE: &str = "--serve-edge";
/// What events of Stripe's are signed with.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_bench";
const SNAPSHOT: &str = "01hx-bench-snapshot";
const PRICE_MINOR: i64 = 1_999;
/// Variables of ours that a server has, too.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"];

/// Names and values of the environment.
pub type Environment = Vec<(String, String)>;

/// A server that ends when it is dropped.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// A Stripe without latency and without a limit, which tells of events at an address.
    pub fn stripe(webhook: &str) -> Self {
        Self::start(this_program(&[SERVE_STRIPE, webhook]), |line| line.parse().ok())
    }

    /// An edge that has a price for everything.
    pub fn edge() -> Self {
        Self::start(this_program(&[SERVE_EDGE]), |line| line.parse().ok())
    }

    pub fn checkout(environment: &[(String, String)], flags: &[String]) -> Self {
        let mut command = checkout(environment);
        command.arg("serve").args(flags);
        Self::start(command, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["public"].as_str()?.parse().ok()
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn start(mut command: Command, read: impl Fn(&str) -> Option<SocketAddr>) -> Self {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server's program starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| read(&line)).expect("the server tells its address");
        // Its request lines are read and dropped, as a collector would.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command of checkout's to its end.
pub fn run_checkout(environment: &[(String, String)], args: &[&str]) -> Output {
    checkout(environment).args(args).stdin(Stdio::null()).output().expect("checkout runs")
}

/// # Panics
/// When it cannot serve.
#[tokio::main]
pub async fn serve_stripe(webhook: String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let webhooks = vec![WebhookTarget { url: webhook, secret: WEBHOOK_SECRET.to_owned() }];
    let sim = Sim::start(stripe_sim::Settings { webhooks, ..stripe_sim::Settings::default() }, listener);
    println!("{}", sim.address());
    end_with_parent();
    std::future::pending::<()>().await;
    drop(sim);
}

/// # Panics
/// When it cannot serve.
#[tokio::main]
pub async fn serve_edge() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    end_with_parent();
    let router = Router::new().route("/v1/products", get(products)).route("/healthz", get(|| async { "ok" }));
    axum::serve(listener, router).await.expect("it serves");
}

async fn products(Query(query): Query<HashMap<String, String>>) -> impl IntoResponse {
    let ids = query.get("ids").map_or("", String::as_str).split(',').filter(|id| !id.is_empty());
    let product = |id: &str| {
        json!({
            "id": id,
            "title": format!("The lamp of benches {id}"),
            "price": { "amount_minor": PRICE_MINOR, "currency": "EUR" },
            "availability": "in_stock",
        })
    };
    let products: Vec<Value> = ids.map(product).collect();
    let body = json!({ "products": products, "missing": [], "snapshot": { "id": SNAPSHOT, "sequence": 1 } });
    ([("content-type", "application/json"), ("x-snapshot", SNAPSHOT)], body.to_string())
}

/// The parent holds the other end of the input until it ends, in whatever way.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

fn this_program(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(args);
    command
}

/// What the environment of the bench says is no setting of it.
fn checkout(environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_checkout"));
    let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).envs(environment.iter().map(|(name, value)| (name, value)));
    command
}
