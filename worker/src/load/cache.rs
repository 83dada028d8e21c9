//! The cache, in the layout of the hub's own clients, for every origin:
//! `NAME/{blobs/IDENTITY, refs/REFERENCE, snapshots/REVISION/FILE → ../../blobs/IDENTITY}`.
//!
//! Several workers may share it, and some of them may only read it. A blob gets its name once it is complete, and a
//! snapshot gets its mark once it has all of its files. Everything else may be incomplete.

pub(crate) mod lease;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::trouble::Trouble;

/// Marks a snapshot that has every file that this release reads. The number grows with the list of files.
const COMPLETE: &str = ".belfry-complete-3";

/// The mark of a release that read fewer files: such a snapshot may lack one that changes vectors.
const COMPLETE_BEFORE: &str = ".belfry-complete";

/// The mark of a release that read no heads beside a network: what such a snapshot holds is served as it was.
const COMPLETE_WITHOUT_HEADS: &str = ".belfry-complete-2";

/// The file that names the parts of a model and their folders.
const MODULES: &str = "modules.json";

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// Its name in the cache; a name always stands for the same content.
    id: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its SHA-256, if the origin gives it.
    pub(crate) sha256: Option<String>,
}

impl Blob {
    /// A blob by its ETag, in any format.
    pub(crate) fn of_etag(etag: &str, size: u64) -> Self {
        let etag = bare(etag);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let id = if (1..=128).contains(&etag.len()) && etag.bytes().all(plain) {
            etag.to_owned()
        } else {
            format!("{:x}", Sha256::digest(etag))
        };
        Self { id, size, sha256: None }
    }

    /// The same for the hub, whose ETag of 64 hexadecimal digits is the SHA-256.
    pub(crate) fn of_hub(etag: &str, size: u64) -> Self {
        let digest = bare(etag);
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        Self { sha256: is_digest.then(|| digest.to_owned()), ..Self::of_etag(etag, size) }
    }
}

/// An ETag without its quotation marks.
fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// The folder of the network, or of what is in its place: modules.json names it, where there is one.
fn first_module(folder: &Path) -> PathBuf {
    let modules = fs::read(folder.join(MODULES)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let path = modules.as_ref().and_then(|modules| modules.get(0)?.get("path")?.as_str());
    let inside =
        |path: &&str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    folder.join(path.filter(inside).unwrap_or_default())
}

/// One model's part of a cache.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// The part with this name, which may not exist yet.
    pub(crate) fn new(cache: &Path, name: &str) -> Self {
        Self { root: cache.join(name) }
    }

    /// Creates the folders.
    pub(crate) fn create(&self) -> Result<(), Trouble> {
        let blobs = self.root.join("blobs");
        fs::create_dir_all(&blobs)
            .map_err(|error| Trouble::Disk(format!("{}: cannot be created: {error}", blobs.display())))
    }

    /// The lease file of the worker that downloads.
    pub(crate) fn lease(&self) -> PathBuf {
        self.root.join(".belfry-lease")
    }

    /// Folder with the files of a revision.
    pub(crate) fn snapshot(&self, revision: &str) -> PathBuf {
        self.root.join("snapshots").join(revision)
    }

    /// The folder of a revision that this worker, or another Belfry worker, has downloaded.
    pub(crate) fn complete(&self, revision: &str) -> Option<PathBuf> {
        Some(self.snapshot(revision)).filter(|folder| folder.join(COMPLETE).exists())
    }

    /// The folder of a revision, if it has all these files, whichever program wrote them: links lead only to complete
    /// blobs.
    pub(crate) fn holds(&self, revision: &str, names: &[String]) -> Option<PathBuf> {
        Some(self.snapshot(revision)).filter(|folder| names.iter().all(|name| folder.join(name).exists()))
    }

    /// The folder of a revision, if it looks like a model.
    pub(crate) fn usable(&self, revision: &str) -> Option<PathBuf> {
        let has = |folder: &PathBuf, mark: &str| folder.join(mark).exists();
        let later = |folder: &PathBuf| has(folder, COMPLETE) || has(folder, COMPLETE_WITHOUT_HEADS);
        let older = |folder: &PathBuf| has(folder, COMPLETE_BEFORE) && !later(folder);
        let whole = |folder: &PathBuf| {
            // The first module has the weights. A table of words has no config.json, and its tokenizer says as much.
            let place = first_module(folder);
            let weights = has(&place, "model.safetensors") || has(&place, "model.safetensors.index.json");
            weights && (has(&place, "config.json") || (has(folder, MODULES) && has(&place, "tokenizer.json")))
        };
        Some(self.snapshot(revision)).filter(|folder| whole(folder) && !older(folder))
    }

    pub(crate) fn blob(&self, blob: &Blob) -> PathBuf {
        self.root.join("blobs").join(&blob.id)
    }

    /// The path of an incomplete blob.
    pub(crate) fn part(&self, blob: &Blob) -> PathBuf {
        self.root.join("blobs").join(format!("{}.part", blob.id))
    }

    /// Links a file of a snapshot to its blob.
    pub(crate) fn link(&self, revision: &str, name: &str, blob: &Blob) -> Result<(), Trouble> {
        let link = self.snapshot(revision).join(name);
        let linked = || -> io::Result<()> {
            if let Some(folder) = link.parent() {
                fs::create_dir_all(folder)?;
            }
            // The hub's own clients leave nothing else here, but a worker that was killed may.
            if fs::symlink_metadata(&link).is_ok() && !link.exists() {
                fs::remove_file(&link)?;
            }
            let up: PathBuf = (0..2 + name.matches('/').count()).map(|_| "..").collect();
            symlink(up.join("blobs").join(&blob.id), &link)
        };
        match linked() {
            Err(error) if !link.exists() => Err(Trouble::Disk(format!("{}: {error}", link.display()))),
            _ => Ok(()),
        }
    }

    /// Marks a snapshot as complete, and stores the revision of a reference. Best effort: without it the next start
    /// asks the origin again.
    pub(crate) fn finish(&self, revision: &str, reference: &str, pinned: bool) {
        drop(fs::write(self.snapshot(revision).join(COMPLETE), ""));
        if let Some(path) = self.reference(reference).filter(|_| !pinned) {
            drop(path.parent().map(fs::create_dir_all));
            drop(fs::write(path, revision));
        }
    }

    /// The revision of a reference at its last download.
    pub(crate) fn remembered(&self, reference: &str) -> Option<String> {
        let revision = fs::read_to_string(self.reference(reference)?).ok()?;
        Some(revision.trim().to_owned()).filter(|revision| is_name(revision))
    }

    /// The path of a reference. A reference may contain folders, but must not lead out of its own folder.
    fn reference(&self, reference: &str) -> Option<PathBuf> {
        let plain = Path::new(reference).components().all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| self.root.join("refs").join(reference))
    }
}

/// True if a revision may name a folder.
pub(crate) fn is_name(revision: &str) -> bool {
    (1..=128).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_stays_in_its_folder() {
        let store = Store::new(Path::new("/cache"), "models--a--b");
        assert_eq!(store.reference("refs/pr/1"), Some(PathBuf::from("/cache/models--a--b/refs/refs/pr/1")));
        for bad in ["../../x", "/etc/passwd", "a/../../b"] {
            assert_eq!(store.reference(bad), None, "{bad}");
            assert!(!is_name(bad));
            let path = store.blob(&Blob::of_etag(bad, 1));
            assert_eq!(path.parent(), Some(Path::new("/cache/models--a--b/blobs")), "{bad}");
        }
    }

    #[test]
    fn only_an_etag_of_64_hexadecimal_digits_is_a_digest() {
        let digest = "a".repeat(64);
        assert_eq!(Blob::of_hub(&format!("\"{digest}\""), 1).sha256, Some(digest));
        assert_eq!(Blob::of_hub("W/\"abc\"", 1), Blob { id: "abc".into(), size: 1, sha256: None });
        // Their names in the cache have 64 digits, too, but are digests of the ETag.
        for odd in ["", "\"config.json\""] {
            let blob = Blob::of_hub(odd, 1);
            assert_eq!((blob.id.len(), blob.sha256), (64, None), "{odd}");
        }
    }
}
