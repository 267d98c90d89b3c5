//! What is signed, and what those who trust some keys read of it.

use std::time::Duration;

use snapshots::{ChannelName, Error, Followed, Place, Pointer, SigningKey, Store, Trust, Watcher};

use crate::store::{manifest, pointer, read};

/// Who trusts some keys reads nothing else, neither pointers nor manifests, and may trust two at once.
pub async fn only_the_trusted_are_read(store: &Store) {
    let keys = [(); 2].map(|()| SigningKey::generate().expect("a key"));
    let [one, two] = keys.each_ref().map(|(private, _)| SigningKey::from_pem(private).expect("a key"));
    let trust = |pem: &str| Some(Trust::from_pem(pem).expect("public keys"));
    let channel: ChannelName = "signed".parse().expect("a name");
    let manifest = manifest(7);
    store.put_manifest(&manifest).await.expect("a manifest that nobody signed");
    store.move_pointer(&channel, None, &pointer("a", 1)).await.expect("a pointer that nobody signed");
    let careful = store.clone().trusting(trust(&keys[0].1));
    assert!(matches!(careful.get_manifest(&manifest.id).await, Err(Error::Untrusted { .. })));
    assert!(matches!(careful.read_pointer(&channel, None).await, Err(Error::Untrusted { .. })));
    let seen = read(store, &channel).await;
    let unsigned = careful.move_pointer(&channel, Some(&seen), &pointer("b", 2)).await;
    assert!(matches!(unsigned, Err(Error::Key(_))), "whoever trusts keys writes nothing that nobody trusts");
    let signing = store.clone().signing(Some(two));
    signing.put_manifest(&manifest).await.expect("the same manifest, signed now");
    signing.move_pointer(&channel, Some(&seen), &pointer("b", 2)).await.expect("a signed pointer");
    assert!(matches!(careful.get_manifest(&manifest.id).await, Err(Error::Untrusted { .. })), "signed by another");
    let both = store.clone().trusting(trust(&format!("{}{}", keys[0].1, keys[1].1)));
    assert_eq!(both.get_manifest(&manifest.id).await.expect("trusted"), manifest);
    assert_eq!(both.read_pointer(&channel, None).await.map(|_| ()).map_err(|error| error.to_string()), Ok(()));
    store.clone().signing(Some(one)).put_manifest(&manifest).await.expect("signed by both");
    assert_eq!(careful.get_manifest(&manifest.id).await.expect("trusted"), manifest);
}

/// After keys were changed, what is left of the last canary is signed with the old one: nodes followed nothing any more.
#[tokio::test]
async fn a_canary_that_cannot_be_read_keeps_no_node_from_its_channel() {
    let store = Store::open("memory://", &[]).expect("a store");
    let (private, public) = SigningKey::generate().expect("a key");
    let key = SigningKey::from_pem(&private).expect("a key");
    let (live, canary) = (ChannelName::live(), ChannelName::canary());
    let signing = store.clone().signing(Some(key));
    signing.move_pointer(&live, None, &pointer("signed", 1)).await.expect("an announcement");
    let tried = Pointer { nodes: vec!["n1".into()], ..pointer("tried", 1) };
    store.move_pointer(&canary, None, &tried).await.expect("a canary that nobody signed");
    let careful = store.trusting(Some(Trust::from_pem(&public).expect("a public key")));
    let place = Place { region: None, node: Some("n1".into()) };
    let mut watcher = Watcher::new(careful, live, place, Duration::from_secs(5));
    let target = watcher.poll().await.expect("a poll").expect("a target");
    assert_eq!((target.pointer.snapshot.as_str(), target.followed), ("signed", Followed::Channel));
}

/// One key signs for two markets. What it has signed for one was served by the other when it was copied there, and the
/// other's own pointers were taken for old copies from then on.
#[tokio::test]
async fn what_was_signed_for_one_catalogue_is_nothing_to_another() {
    let (private, public) = SigningKey::generate().expect("a key");
    let key = SigningKey::from_pem(&private).expect("a key");
    let trust = Trust::from_pem(&public).expect("a public key");
    let live = ChannelName::live();
    let [shop, eu] = [(); 2].map(|()| Store::open("memory://", &[]).expect("a store").signing(Some(key.clone())));
    shop.move_pointer(&live, None, &pointer("a", 99)).await.expect("a signed pointer");
    shop.put_manifest(&manifest(1)).await.expect("a signed manifest");
    eu.put_pointer(&live, None, &read(&shop, &live).await.written()).await.expect("a copy");
    eu.copy_signatures(&shop, &manifest(1).id).await.expect("a copy");
    eu.clone().signing(None).put_manifest(&manifest(1)).await.expect("a copy");

    let careful = eu.clone().trusting(Some(trust));
    careful.pointer(&live).await.expect("whoever expects no catalogue trusts the key alone");
    let careful = careful.of_catalogue(Some("shop-eu".into()));
    let refused = careful.get_manifest(&manifest(1).id).await.expect_err("another catalogue").to_string();
    assert!(refused.contains("is of the catalogue 'shop', and 'shop-eu' is expected"), "{refused}");
    let mut watcher = Watcher::new(careful, live.clone(), Place::default(), Duration::from_secs(5));
    let refused = watcher.poll().await.expect_err("another catalogue").to_string();
    assert!(refused.contains("is of the catalogue 'shop', and 'shop-eu' is expected"), "{refused}");
    // Nor does its sequence count.
    let (copy, own) = (read(&eu, &live).await, pointer("b", 2).of_catalogue("shop-eu"));
    eu.move_pointer(&live, Some(&copy), &own).await.expect("a pointer of its own");
    assert_eq!(watcher.poll().await.expect("a poll").expect("a target").pointer, own);

    // A signature is always one for a catalogue, which cannot be changed afterwards.
    let nameless = Pointer { catalogue: None, ..pointer("c", 3) };
    let refused = eu.move_pointer(&live, Some(&read(&eu, &live).await), &nameless).await;
    assert!(matches!(refused, Err(Error::Key(_))), "{refused:?}");
}

/// Someone withdraws a canary without the key that edges trust: they go on following their channel.
#[tokio::test]
async fn a_canary_that_is_not_trusted_keeps_no_one_from_the_channel() {
    let (private, public) = SigningKey::generate().expect("a key");
    let key = SigningKey::from_pem(&private).expect("a key");
    let (live, canary) = (ChannelName::live(), ChannelName::canary());
    let store = Store::open("memory://", &[]).expect("a store");
    let signing = store.clone().signing(Some(key));
    signing.move_pointer(&live, None, &pointer("a", 1)).await.expect("a signed pointer");
    let tried = Pointer { nodes: vec!["n1".to_owned()], ..pointer("tried", 1) };
    store.move_pointer(&canary, None, &tried).await.expect("a canary that nobody signed");

    let careful = store.clone().trusting(Some(Trust::from_pem(&public).expect("a public key")));
    let place = Place { region: None, node: Some("n1".into()) };
    let mut watcher = Watcher::new(careful, live.clone(), place, Duration::from_secs(5));
    let target = watcher.poll().await.expect("a poll").expect("a target");
    assert_eq!((target.pointer, target.followed), (pointer("a", 1), Followed::Channel));
    let seen = read(&store, &live).await;
    signing.move_pointer(&live, Some(&seen), &pointer("b", 2)).await.expect("a move");
    let target = watcher.poll().await.expect("a poll").expect("a target");
    assert_eq!((target.pointer, target.followed), (pointer("b", 2), Followed::Channel));
}
