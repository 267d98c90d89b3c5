//! Outages of the simulator, and its state over restarts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stripe_sim::{Settings, Sim};
use tokio::net::TcpListener;

use crate::api::{Api, Rig, id, listener, wait_until};

#[tokio::test]
async fn an_outage_ends_connections_and_keeps_payments() {
    let mut rig = Rig::start().await;
    let paid = id(&rig.api.paid("pm_card_visa").await.ok());
    let address = rig.sim.address();
    rig.sim.stop().await;
    rig.api.try_post("/v1/payment_intents", &[], None).await.expect_err("nobody listens");
    rig.sim.restart(TcpListener::bind(address).await.expect("the same port"));
    assert_eq!(rig.api.get(&format!("/v1/payment_intents/{paid}")).await.ok()["status"], "succeeded");
}

#[tokio::test]
async fn a_state_file_outlives_the_simulator() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("state.json");
    let start = async || {
        let sim = Sim::start_with_state(Settings::default(), listener().await, &file).expect("a state");
        let api = Api::new(sim.url());
        (sim, api)
    };
    let (mut sim, api) = start().await;
    let pairs = [
        ("amount", "1000"),
        ("currency", "eur"),
        ("payment_method_types[]", "card"),
        ("metadata[a]", "1"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("shipping[name]", "A"),
        ("shipping[address][line1]", "B"),
    ];
    let first = api.post_with_key("k", "/v1/payment_intents", &pairs).await.ok();
    api.post("/v1/refunds", &[("payment_intent", &id(&first)), ("amount", "100")]).await.ok();
    let open = crate::sessions::session(&api, &[]).await.ok();
    sim.advance(5);
    let ledger = sim.ledger();
    sim.drain().await.expect("the state is written");
    drop(sim);
    let (sim, api) = start().await;
    let kept = sim.ledger();
    assert_eq!(
        (&kept.payment_intents, &kept.refunds, &kept.sessions),
        (&ledger.payment_intents, &ledger.refunds, &ledger.sessions)
    );
    let again = api.post_with_key("k", "/v1/payment_intents", &pairs).await;
    assert_eq!((again.ok()["id"].clone(), again.header("idempotent-replayed")), (first["id"].clone(), "true"));
    sim.advance(24 * 60 * 60);
    assert_eq!(sim.object(&id(&open))["status"], "expired", "what the clock was to do is kept too");
    std::fs::write(&file, "{").expect("a file");
    let broken = Sim::start_with_state(Settings::default(), listener().await, &file);
    assert!(broken.is_err_and(|error| error.to_string().contains("state.json")));
}

/// The program, ended with the test.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stripe-sim"));
        command.args(["--listen", "127.0.0.1:0", "--rate-limit", "0", "--state"]).arg(state);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON lines"));
        let listening = lines.find(|line| line["message"] == "listening").expect("it says where it listens");
        let url = listening["url"].as_str().expect("a URL").to_owned();
        // What nobody reads would fill the pipe, and stop the program.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn terminate(&mut self) -> bool {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("the program ends").success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_program_keeps_its_state_over_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("state.json");
    let mut program = Program::start(&file);
    let paid = Api::new(program.url.clone()).paid("pm_card_visa").await.ok();
    assert!(program.terminate(), "it ends in order");
    let program = Program::start(&file);
    let api = Api::new(program.url.clone());
    assert_eq!(api.get(&format!("/v1/payment_intents/{}", id(&paid))).await.ok()["status"], "succeeded");
    let made = id(&api.paid("pm_card_visa").await.ok());
    let is_written = async || std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&made));
    wait_until("a change is written while it runs", is_written).await;
}

#[test]
fn wrong_flags_are_told_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_stripe-sim")).args(["--listen", "x", "--rate-limit", "y"]).output();
    let output = output.expect("the program runs");
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 2);
}
