//! What a watch does about regions that are behind, whatever becomes of what it follows.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use test_servers::Postgres;

use crate::command::{build_products, fails, indexer, json};
use crate::regions;
use crate::shop::Watching;
use crate::watching::{PATIENCE, SLEEPERS, SLEEPING, leave, shop, wake, watch};

/// A region that was down when someone went back served what was bad until something was published again.
#[test]
fn a_region_is_brought_up_while_the_channel_is_held_or_a_file_stops_the_inbox() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 100);
    let (east, stops) = (format!("file://{}/east", path.display()), "0001.dat stops the inbox");
    fs::create_dir(path.join("east")).expect("a folder");
    build_products(path, "two", 101);
    json(path, &["publish", "--store", &store, "two"]);
    leave(path, "0001.dat", "?");
    // Whoever does this does not name the region, which is as if it were down.
    let call = |command: &str| json(path, &[command, "--store", &store]);
    let region = format!("east={east}");
    let args = watch(&store, &["--region", &region]);
    let once = [&args[..], &["--once"]].concat();
    call("rollback");
    assert_eq!(json(path, &once)["event"], "held");
    assert_eq!((regions::live(&east), regions::live(&store).1), (regions::live(&store), 3));
    call("resume");
    let stopped = fails(path, &once);
    assert!(stopped.contains(stops), "{stopped}");
    assert_eq!((regions::live(&east), regions::live(&store).1), (regions::live(&store), 4));

    let watching = Watching::start(indexer().current_dir(path).arg("--json").args(args));
    watching.says(stops);
    for (command, told) in [("hold", "the channel is held"), ("resume", stops)] {
        call(command);
        watching.says(told);
        let started = Instant::now();
        while regions::live(&east) != regions::live(&store) {
            assert!(started.elapsed() < PATIENCE, "{command}: the region stays behind");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A look may take minutes, and what was live when it began came to regions although home had gone back from it meanwhile.
#[test]
fn a_region_is_not_brought_what_home_has_gone_back_from_during_a_look() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 100);
    let east = format!("file://{}/east", path.display());
    fs::create_dir(path.join("east")).expect("a folder");
    build_products(path, "two", 101);
    json(path, &["publish", "--store", &store, "two"]);
    let region = format!("east={east}");
    let mut command = indexer();
    command.current_dir(path).env("READ_SQL_URL", postgres.url());
    command.args(["watch", "--store", &store, "--region", &region, "--out", "updates", "--sql", SLEEPING, "--once"]);
    let mut watching = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the indexer runs");
    postgres.wait_for(SLEEPERS, "1");
    // Whoever does this does not name the region, which is as if it were down.
    json(path, &["rollback", "--store", &store]);
    wake(&postgres);
    assert!(!watching.wait().expect("it ends").success(), "what it read was cut off");
    assert_eq!((regions::live(&east), regions::live(&store).1), (regions::live(&store), 3));
}
