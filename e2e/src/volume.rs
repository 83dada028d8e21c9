//! The claim `models` with folders of models that a test may damage.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{FIELD_MANAGER, Namespace, secs, wait};

/// Name of the claim, as in `config/samples`.
const CLAIM: &str = "models";

/// Name of the model's folder in the claim, as in `config/samples`.
pub const MODEL: &str = "all-MiniLM-L6-v2";

/// A bound claim, and its folder on the node.
pub struct Volume {
    path: PathBuf,
    model_dir: PathBuf,
}

/// A model's folder in the claim. Its files are links to those of the cache until they are changed.
pub struct Folder {
    path: PathBuf,
    model_dir: PathBuf,
}

impl Namespace {
    /// Makes the claim `models`; it is bound and empty.
    pub async fn volume(&self) -> Result<Volume> {
        let path = self.folder().join("models");
        make_dir(&self.folder())?;
        make_dir(&path)?;
        let spec = json!({"accessModes": ["ReadWriteMany"], "storageClassName": ""});
        let mut volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.volume_name()}, "spec": spec,
        });
        volume["spec"]["capacity"] = json!({"storage": "1Gi"});
        volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
        volume["spec"]["hostPath"] = json!({"path": path, "type": "Directory"});
        volume["spec"]["claimRef"] =
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": self.name, "name": CLAIM});
        let volumes = Api::<PersistentVolume>::all(self.cluster.client.clone());
        let params = PatchParams::apply(FIELD_MANAGER);
        volumes.patch(&self.volume_name(), &params, &Patch::Apply(volume)).await.context("can't make a volume")?;

        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec,
        });
        claim["spec"]["volumeName"] = json!(self.volume_name());
        claim["spec"]["resources"] = json!({"requests": {"storage": "1Gi"}});
        self.apply::<PersistentVolumeClaim>(&claim).await?;
        wait::until("the claim is bound", secs(30), async || {
            let claim = self.api::<PersistentVolumeClaim>().get(CLAIM).await?;
            let phase = claim.status.and_then(|status| status.phase).unwrap_or_default();
            ensure!(phase == "Bound", "phase {phase}");
            Ok(())
        })
        .await?;
        Ok(Volume { path, model_dir: self.cluster.model_dir.clone() })
    }

    /// The claim with the model of `config/samples` in it.
    pub async fn volume_with_model(&self) -> Result<Folder> {
        self.volume().await?.add(MODEL)
    }
}

impl Volume {
    /// Adds a folder under that name, and fills it.
    pub fn fill(&self, name: &str, fill: impl FnOnce(&Path)) -> Result<()> {
        let path = self.path.join(name);
        make_dir(&path)?;
        fill(&path);
        readable(&path)
    }

    /// Adds a whole model under that name.
    pub fn add(&self, name: &str) -> Result<Folder> {
        self.add_from(&self.model_dir, name)
    }

    /// Adds a folder of this machine under that name.
    pub fn add_from(&self, folder: &Path, name: &str) -> Result<Folder> {
        let folder = Folder { path: self.path.join(name), model_dir: folder.to_owned() };
        link_all(&folder.model_dir, &folder.path)?;
        Ok(folder)
    }
}

impl Folder {
    /// Reads a file.
    pub fn read(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.path.join(file);
        fs::read(&path).with_context(|| format!("can't read {}", path.display()))
    }

    /// Replaces a file. The old one is unlinked first, so that the cache keeps it.
    pub fn write(&self, file: &str, content: &[u8]) -> Result<()> {
        self.remove(file)?;
        let path = self.path.join(file);
        fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))?;
        set_mode(&path, 0o644)
    }

    /// Takes a file away.
    pub fn remove(&self, file: &str) -> Result<()> {
        let path = self.path.join(file);
        fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))
    }

    /// Puts a file back as it was.
    pub fn restore(&self, file: &str) -> Result<()> {
        link(&self.model_dir.join(file), &self.path.join(file))
    }
}

fn link_all(from: &Path, to: &Path) -> Result<()> {
    make_dir(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("{} can't be read: run make model", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() { link_all(&source, &target)? } else { link(&source, &target)? }
    }
    Ok(())
}

/// Lets the workers' user read everything in a folder.
fn readable(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            set_mode(&path, 0o755)?;
            readable(&path)?;
        } else {
            set_mode(&path, 0o644)?;
        }
    }
    Ok(())
}

/// A hard link, or a copy where the two are on different file systems.
fn link(from: &Path, to: &Path) -> Result<()> {
    let linked = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
    linked.with_context(|| format!("can't put {} at {}", from.display(), to.display()))
}

/// A folder that the workers' user may read, whatever the umask.
fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("can't make {}", path.display()))?;
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).with_context(|| format!("can't set the mode of {}", path.display()))
}
