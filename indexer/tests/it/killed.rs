//! The indexer dies at every step of a publish to Azurite: the live channel is whole all the same, and running the
//! publish again finishes the job.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use snapshots::{ChannelName, PointerState, Store};
use test_servers::{Azurite, Moment, Passing, Proxy};

use crate::command::{build_products, indexer};

pub fn publish(azurite: &Azurite, endpoint: Option<&str>, folder: &Path, prefix: &str, name: &str) -> Command {
    let mut command = indexer();
    command.current_dir(folder).args(["publish", "--store", &azurite.url(prefix), name]);
    let settings = endpoint.map_or_else(|| azurite.settings(), |endpoint| azurite.settings_through(endpoint));
    command.envs(settings).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn succeeds(mut command: Command) -> String {
    let output = command.output().expect("the indexer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything that the live channel points at is there, and has the right digest. Returns the snapshot.
pub fn check_live(azurite: &Azurite, prefix: &str) -> String {
    let store = Store::open(&azurite.url(prefix), &azurite.settings()).expect("the store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let PointerState::Moved(read) = store.read_pointer(&ChannelName::live(), None).await.expect("a sound pointer")
        else {
            panic!("the live channel is gone");
        };
        let manifest = store.get_manifest(&read.pointer.snapshot).await.expect("its manifest");
        for object in &manifest.objects {
            assert_eq!(store.digest_of_object(&object.blake3).await.expect("its object"), object.blake3);
        }
        read.pointer.snapshot.to_string()
    })
}

#[test]
fn a_publish_killed_at_any_request_leaves_the_channel_whole() {
    let azurite = Azurite::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = build_products(folder.path(), "base", 2);
    let next = build_products(folder.path(), "next", 3);

    // Which request the indexer is killed at, and when; and the process to kill.
    let plan = Arc::new(Mutex::new((usize::MAX, Moment::Before)));
    let count = Arc::new(AtomicUsize::new(0));
    let victim: Arc<Mutex<Option<u32>>> = Arc::default();
    let hook = {
        let (plan, count, victim) = (plan.clone(), count.clone(), victim.clone());
        move |passing: &Passing| {
            let number = match passing.moment {
                Moment::Before => count.fetch_add(1, Ordering::SeqCst),
                Moment::After => count.load(Ordering::SeqCst) - 1,
            };
            let now = (number, passing.moment) == *plan.lock().expect("the plan");
            if now {
                let id = victim.lock().expect("the victim").expect("a running indexer");
                let killed = Command::new("kill").args(["-9", &id.to_string()]).status();
                assert!(killed.expect("kill runs").success());
            }
            !now
        }
    };
    let proxy = Proxy::start(azurite.address(), hook);
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let spawn = |prefix: &str| -> Child {
        count.store(0, Ordering::SeqCst);
        // Every run compares with what is live as if it were the first, so that all make the same requests.
        let _ = std::fs::remove_dir_all(folder.path().join("next/.cache"));
        // The process starts while the lock is held, so that the hook cannot miss it.
        let mut victim = victim.lock().expect("the victim");
        let child =
            publish(&azurite, Some(&endpoint), folder.path(), prefix, "next").spawn().expect("the indexer runs");
        *victim = Some(child.id());
        child
    };

    succeeds(publish(&azurite, None, folder.path(), "calm", "base"));
    assert!(spawn("calm").wait().expect("it ends").success());
    let requests = count.load(Ordering::SeqCst);
    assert!(requests >= 10, "a publish is {requests} requests");
    assert_eq!(check_live(&azurite, "calm"), next);

    let mut seen = (0, 0);
    for request in 0..requests {
        for moment in [Moment::Before, Moment::After] {
            let prefix = format!("kill-{request}-{moment:?}");
            succeeds(publish(&azurite, None, folder.path(), &prefix, "base"));
            *plan.lock().expect("the plan") = (request, moment);
            let status = spawn(&prefix).wait().expect("it ends");
            *plan.lock().expect("the plan") = (usize::MAX, moment);
            assert_eq!(status.signal(), Some(9), "{prefix}: {status}");
            match check_live(&azurite, &prefix) {
                live if live == base => seen.0 += 1,
                live if live == next => seen.1 += 1,
                live => panic!("{prefix}: {live}"),
            }
            succeeds(publish(&azurite, None, folder.path(), &prefix, "next"));
            assert_eq!(check_live(&azurite, &prefix), next, "{prefix}: running it again finishes the job");
        }
    }
    assert!(seen.0 > 0 && seen.1 > 0, "kills before and after the announcement: {seen:?}");
}

#[test]
fn of_two_publishers_at_once_one_wins_and_the_other_says_why() {
    let azurite = Azurite::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    build_products(folder.path(), "base", 2);
    let slow = build_products(folder.path(), "slow", 3);
    let fast = build_products(folder.path(), "fast", 4);
    succeeds(publish(&azurite, None, folder.path(), "race", "base"));

    // The slow one is held up with its announcement in hand until the fast one is through.
    let (reached, wait_until_reached) = channel();
    let (go_on, wait) = channel::<()>();
    let wait: Mutex<Receiver<()>> = Mutex::new(wait);
    let proxy = Proxy::start(azurite.address(), move |passing| {
        if passing.moment == Moment::Before
            && passing.line.starts_with("PUT")
            && passing.line.contains("channels/live.json")
        {
            reached.send(()).expect("the test listens");
            wait.lock().expect("the signal").recv().expect("the test says when");
        }
        true
    });
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let child = publish(&azurite, Some(&endpoint), folder.path(), "race", "slow").spawn().expect("the indexer runs");
    wait_until_reached.recv().expect("the announcement");
    succeeds(publish(&azurite, None, folder.path(), "race", "fast"));
    go_on.send(()).expect("the proxy listens");
    let output = child.wait_with_output().expect("it ends");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("another publish was faster") && text.contains(&fast), "{text}");
    assert_eq!(check_live(&azurite, "race"), fast);
    // It says that nothing is lost: publishing again, on purpose, uploads nothing more.
    let again = succeeds(publish(&azurite, None, folder.path(), "race", "slow"));
    assert!(again.contains("uploaded 0 objects"), "{again}");
    assert_eq!(check_live(&azurite, "race"), slow);
}
