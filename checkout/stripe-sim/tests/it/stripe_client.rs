//! Stripe's own client for Python: what it cannot read, or reads as something else, is wrong here.

use std::process::Command;

use crate::api::Rig;

/// The client's version is pinned: another one may want another version of the API.
const CLIENT: &str = "stripe==16.1.0";

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_understands_every_answer() {
    let rig = Rig::start().await;
    let url = rig.api.url.clone();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/client.py");
    let run =
        move || Command::new(test_servers::python_with(&[CLIENT])).arg(script).env("STRIPE_SIM_URL", url).output();
    let output = tokio::task::spawn_blocking(run).await.expect("the script runs").expect("Python runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim_end().ends_with("ok"), "{out}{error}");
}
