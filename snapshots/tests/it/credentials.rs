//! Every way to sign in to Azure does the same, and a wrong one is refused for good.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use snapshots::{ChannelName, Digest, Error, Lease, Pointer, RegionName, Store};
use test_servers::{Azurite, Moment, Passing, Proxy, SECOND_ACCOUNT, Settings, TokenKind, TokenServer};

#[tokio::test]
async fn every_way_to_sign_in_does_the_same() {
    let azurite = Azurite::start_with_oauth();
    let tokens = TokenServer::start();
    let with = |token_settings: Settings| [azurite.identity_settings(), token_settings].concat();
    let ways = [
        ("key", azurite.settings()),
        ("other-account", azurite.settings_of(SECOND_ACCOUNT)),
        ("signature", azurite.sas_settings()),
        ("secret", with(tokens.client_secret_settings())),
        ("workload", with(tokens.workload_identity_settings())),
        ("machine", with(tokens.machine_identity_settings())),
        ("container", with(tokens.container_identity_settings())),
    ];
    for (way, settings) in &ways {
        let store = Store::open(&azurite.url(way), settings).unwrap_or_else(|error| panic!("{way}: {error}"));
        check_store(&store, way).await;
    }
    // A token serves until it ends.
    let kinds = [
        TokenKind::ClientSecret,
        TokenKind::WorkloadIdentity,
        TokenKind::MachineIdentity,
        TokenKind::ContainerIdentity,
    ];
    assert_eq!(tokens.asked(), kinds);
}

async fn check_store(store: &Store, way: &str) {
    let live = ChannelName::live();
    let digest = Digest::of(way.as_bytes());
    let put = store.put_object(&digest, way.to_owned().into()).await;
    assert!(put.unwrap_or_else(|error| panic!("{way}: {error}")), "{way}: it is new");
    assert_eq!(store.get_object(&digest).await.expect("the object"), way);
    let (first, second) = (pointer("a", 1), pointer("b", 2));
    store.move_pointer(&live, None, &first).await.expect("a first announcement");
    let seen = store.pointer(&live).await.expect("an answer").expect("a pointer");
    assert_eq!(seen.pointer, first);
    store.move_pointer(&live, Some(&seen), &second).await.expect("a second announcement");
    let stale = store.move_pointer(&live, Some(&seen), &pointer("c", 2)).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "{way}: {stale:?}");
    assert_eq!(store.list_channels().await.expect("a list"), [live]);
    check_deletions(store, &digest, way).await;
}

/// With a shared access signature nothing was deleted: each publish left its lease, and no pin was lifted.
async fn check_deletions(store: &Store, object: &Digest, way: &str) {
    let lease = lease();
    store.put_lease("publish", &lease).await.expect(way);
    store.delete_lease("publish").await.expect(way);
    assert_eq!(store.list_leases().await.expect("a list"), Vec::<String>::new(), "{way}");
    let region: RegionName = "westeurope".parse().expect("a name");
    store.move_pointer(&region, None, &pointer("a", 1)).await.expect("a pin");
    assert!(store.unpin(&region).await.expect(way), "{way}: it was pinned");
    assert_eq!(store.list_pins().await.expect("a list"), Vec::<RegionName>::new(), "{way}");
    for _ in 0..2 {
        store.delete_object(object).await.expect(way);
    }
    assert_eq!(store.object_size(object).await.expect("an answer"), None, "{way}");
}

fn lease() -> Lease {
    Lease { snapshot: "a".parse().expect("an id"), objects: Vec::new(), taken_at: Timestamp::UNIX_EPOCH }
}

#[tokio::test]
async fn one_blob_is_deleted_by_a_request_of_its_own() {
    let azurite = Azurite::start();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let hook = {
        let lines = lines.clone();
        move |passing: &Passing| {
            if passing.moment == Moment::Before {
                lines.lock().expect("the lines").push(passing.line.clone());
            }
            true
        }
    };
    let proxy = Proxy::start(azurite.address(), hook);
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let store = Store::open(&azurite.url("shop"), &azurite.settings_through(&endpoint)).expect("a store");
    store.put_lease("publish", &lease()).await.expect("a lease");
    store.delete_lease("publish").await.expect("no lease");
    let last = lines.lock().expect("the lines").last().cloned().expect("a request");
    assert!(last.starts_with("DELETE ") && last.contains("/shop/leases/publish.json"), "{last}");
}

fn pointer(snapshot: &str, sequence: u64) -> Pointer {
    Pointer::new(snapshot.parse().expect("an id"), sequence)
}

#[tokio::test]
async fn wrong_secrets_are_refused_for_good_and_not_told() {
    let azurite = Azurite::start_with_oauth();
    let tokens = TokenServer::start();
    let wrong_key = "d3Jvbmctc2VjcmV0";
    let key = replaced(azurite.settings(), "AZURE_STORAGE_ACCOUNT_KEY", wrong_key);
    let sas = azurite.sas_settings();
    let signature = value(&sas, "AZURE_STORAGE_SAS_KEY").rsplit_once("sig=").expect("a signature").0.to_owned();
    let sas = replaced(sas, "AZURE_STORAGE_SAS_KEY", &format!("{signature}sig=d3Jvbmctc2VjcmV0"));
    let secret = [azurite.identity_settings(), tokens.client_secret_settings()].concat();
    let secret = replaced(secret, "AZURE_CLIENT_SECRET", wrong_key);
    for settings in [key, sas, secret] {
        let store = Store::open(&azurite.url("wrong"), &settings).expect("settings that may be right");
        let read = store.read_pointer(&ChannelName::live(), None).await.expect_err("a refusal");
        let listed = store.list_snapshots().await.expect_err("a refusal");
        for error in [read, listed] {
            let text = format!("{error} {error:?}");
            assert!(matches!(error, Error::Refused(_)) && !error.is_transient(), "{text}");
            assert!(error.to_string().starts_with("the store refuses these credentials"), "{text}");
            assert!(!text.contains(wrong_key), "{text}");
        }
    }
    // What is missing is told before anything is asked.
    let mut lacking = [azurite.identity_settings(), tokens.client_secret_settings()].concat();
    lacking.retain(|(name, _)| name != "AZURE_TENANT_ID");
    let error = Store::open(&azurite.url("wrong"), &lacking).expect_err("no tenant");
    assert!(error.to_string().contains("AZURE_TENANT_ID is missing") && !error.is_transient(), "{error}");
    assert!(!error.to_string().contains(value(&lacking, "AZURE_CLIENT_SECRET")), "{error}");
}

#[tokio::test]
async fn a_store_of_an_unknown_authority_is_not_spoken_to() {
    let azurite = Azurite::start_with_oauth();
    assert!(azurite.ca_file().is_file());
    let mut settings = azurite.settings();
    settings.retain(|(name, _)| name != "AZURE_CA_FILE");
    let store = Store::open(&azurite.url("unknown"), &settings).expect("settings that may be right");
    // Several tries would take a minute.
    let live = ChannelName::live();
    let asked = store.read_pointer(&live, None);
    match tokio::time::timeout(std::time::Duration::from_secs(1), asked).await {
        Ok(answer) => assert!(answer.is_err(), "{answer:?}"),
        Err(_still_trying) => {}
    }
}

#[tokio::test]
async fn a_store_comes_back_with_what_it_held() {
    let mut azurite = Azurite::start();
    let store = Store::open(&azurite.url("shop"), &azurite.settings()).expect("a store");
    let digest = Digest::of(b"shop");
    store.put_object(&digest, "shop".into()).await.expect("an object");
    azurite.kill();
    assert!(std::net::TcpStream::connect(azurite.address().trim_start_matches("http://")).is_err());
    azurite.restart();
    assert_eq!(store.get_object(&digest).await.expect("the object"), "shop");
}

fn value<'a>(settings: &'a [(String, String)], name: &str) -> &'a str {
    settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()).expect("a setting")
}

fn replaced(settings: Settings, name: &str, value: &str) -> Settings {
    let mut settings = settings;
    settings.retain(|(other, _)| other != name);
    settings.push((name.to_owned(), value.to_owned()));
    settings
}
