//! Signatures of manifests, which lie beside them: one for each key that has signed.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt};

use super::Store;
use crate::error::Error;
use crate::manifest::SnapshotId;
use crate::signing::{KeyId, Signature};

/// What a manifest's signature is of.
const MANIFEST_KIND: &str = "manifest";
const MAX_SIGNATURE_BYTES: u64 = 1024;

impl Store {
    /// Copies what others have signed a manifest with. It is copied before the manifest, so that a manifest that can be
    /// read can be verified.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn copy_signatures(&self, from: &Self, id: &SnapshotId) -> Result<(), Error> {
        // Names begin with ids, which sort by age. A store that heeds where to begin lists only what is as young as that.
        let behind = from.path(&["signatures", id.as_str()]);
        let mut metas = from.objects.list_with_offset(Some(&from.path(&["signatures"])), &behind);
        while let Some(meta) = metas.try_next().await? {
            let name = meta.location.filename().unwrap_or_default();
            if name.split_once('.').is_some_and(|(of, _)| of == id.as_str()) {
                let (bytes, _) = from.get_small(&meta.location, GetOptions::new(), MAX_SIGNATURE_BYTES).await?;
                self.put_new(&self.path(&["signatures", name]), bytes).await?;
            }
        }
        Ok(())
    }

    /// Whether a manifest has been signed with this store's key, where it has one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_signed(&self, id: &SnapshotId) -> Result<bool, Error> {
        let Some(key) = &self.key else { return Ok(true) };
        match self.objects.head(&self.signature_path(id, key.id())).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Signs a manifest where this store has a key. Signing the same bytes twice is the same.
    pub(super) async fn sign_manifest(&self, id: &SnapshotId, json: &[u8]) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        let signature = key.sign(MANIFEST_KIND, json).to_string();
        self.put_new(&self.signature_path(id, key.id()), signature.into()).await?;
        Ok(())
    }

    /// That someone who is trusted has signed a manifest; the signatures of several lie side by side.
    pub(super) async fn verify_manifest(&self, id: &SnapshotId, json: &[u8]) -> Result<(), Error> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let mut refused = Error::Untrusted {
            what: format!("snapshot {id}"),
            reason: "none of the trusted keys has signed it".to_owned(),
        };
        for key in trust.keys() {
            let path = self.signature_path(id, key);
            let text = match self.get_small(&path, GetOptions::new(), MAX_SIGNATURE_BYTES).await {
                Ok((bytes, _)) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(Error::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let signature =
                Signature::parse(&text).ok_or_else(|| Error::corrupt(path.to_string(), "it is no signature"));
            match signature.and_then(|signature| trust.verify(MANIFEST_KIND, json, &signature)) {
                Ok(()) => return Ok(()),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn signature_path(&self, id: &SnapshotId, key: &KeyId) -> Path {
        self.path(&["signatures", &format!("{id}.{key}")])
    }
}
