//! A model's folder. It reads whole files within bounds, never follows a link that leads out, and keeps a manifest of
//! the files that were read.

pub mod digest;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use serde::de::DeserializeOwned;

use self::digest::{Manifest, sha256};
use crate::failure::{Result, failure};
use crate::plain;

/// Largest file other than the weights: tokenizer.json of a large vocabulary is about 35 MB.
const FILE_LIMIT: u64 = 256 << 20;

/// A folder that exists, with its real path.
#[derive(Debug)]
pub struct Folder {
    /// The path as the user wrote it, for messages.
    shown: PathBuf,
    real: PathBuf,
    /// The model's own folder, which may lie above this one.
    root: PathBuf,
    /// The path from there, with a slash at its end; empty for the model's own folder.
    prefix: String,
    /// Where links may lead, in addition to the folder itself: the blobs of a snapshot in a hub's cache.
    blobs: Option<PathBuf>,
    revision: String,
    /// The files that were read so far, shared with the folders within.
    manifest: Rc<RefCell<Manifest>>,
}

impl Folder {
    /// Opens a folder that the user names.
    pub fn open(path: &Path) -> Result<Self> {
        let missing = |why: &str| {
            let message = format!("{}: {why}; check the path and what is mounted there", path.display());
            failure(Reason::ModelNotFound, message)
        };
        let real = fs::canonicalize(path).map_err(|error| missing(&format!("cannot be opened: {error}")))?;
        if !real.is_dir() {
            return Err(missing("is not a folder"));
        }
        // models--owner--name/snapshots/COMMIT/FILE is a link to models--owner--name/blobs/HASH.
        let snapshots = real.parent().filter(|parent| parent.ends_with("snapshots"));
        let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
        let commit = snapshots.and(real.file_name()).map(|name| name.to_string_lossy().into_owned());
        let (revision, manifest) = (commit.unwrap_or_default(), Rc::default());
        let (shown, root) = (path.to_owned(), real.clone());
        Ok(Self { shown, real, root, prefix: String::new(), blobs, revision, manifest })
    }

    /// The folder of a module, by its path in modules.json; the model's own folder for an empty path, or a dot.
    pub fn within(&self, path: &str) -> Result<Self> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let path = if path == "." { "" } else { path.trim_end_matches('/') };
        if !path.is_empty() && !path.split('/').all(plain) {
            return Err(self.corrupt("modules.json", format!("path {path} leads out of the folder")));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{}{path}/", self.prefix) };
        Ok(Self {
            shown: self.shown.join(path),
            real: self.real.join(path),
            root: self.root.clone(),
            prefix,
            blobs: self.blobs.clone(),
            revision: self.revision.clone(),
            manifest: Rc::clone(&self.manifest),
        })
    }

    /// The commit of a snapshot of the hub, or the revision of a snapshot of a bucket; empty for any other folder.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether a file of this name exists; it may not be readable.
    pub fn has(&self, name: &str) -> bool {
        self.real.join(name).exists()
    }

    /// Reads a file that the model needs.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (mut file, size) = self.file(name)?;
        if size > FILE_LIMIT {
            return Err(self.corrupt(name, format!("it has {size} bytes; at most {FILE_LIMIT} are read")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.read_to_end(&mut bytes).map_err(|error| self.corrupt(name, error))?;
        self.loaded(name, sha256(&bytes));
        Ok(bytes)
    }

    /// Adds the digest of a file that other code has read.
    pub fn loaded(&self, name: &str, sha256: String) {
        self.manifest.borrow_mut().add(&format!("{}{name}", self.prefix), sha256);
    }

    /// The files that were read.
    pub fn manifest(&self) -> Manifest {
        self.manifest.borrow().clone()
    }

    /// Opens a file that the model needs; its size is in bytes.
    pub fn file(&self, name: &str) -> Result<(File, u64)> {
        let path = self.real.join(name);
        let real = fs::canonicalize(&path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.denied(name),
            _ => self.missing(name),
        })?;
        let inside = real.starts_with(&self.root) || self.blobs.as_ref().is_some_and(|blobs| real.starts_with(blobs));
        if !inside {
            return Err(self.corrupt(name, "it is a link that leads out of the folder"));
        }
        let file = File::open(&real).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.denied(name),
            _ => self.corrupt(name, error),
        })?;
        let data = file.metadata().map_err(|error| self.corrupt(name, error))?;
        if !data.is_file() {
            return Err(self.corrupt(name, "it is not a file"));
        }
        if data.len() == 0 {
            return Err(self.corrupt(name, "it is empty"));
        }
        Ok((file, data.len()))
    }

    /// Reads a JSON file that the model needs.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        plain::read(&self.read(name)?).map_err(|error| self.corrupt(name, error))
    }

    /// Reads a JSON file that may be missing.
    pub fn optional_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        if self.has(name) { self.json(name).map(Some) } else { Ok(None) }
    }

    /// The path of a file, for messages.
    pub fn path(&self, name: &str) -> String {
        self.shown.join(name).display().to_string()
    }

    /// The failure of a file that exists but can't be used.
    pub fn corrupt(&self, name: &str, why: impl std::fmt::Display) -> LoadFailure {
        failure(
            Reason::FileCorrupt,
            format!("{}: {}; copy or download the file again", self.path(name), plain::short(&why.to_string())),
        )
    }

    /// The failure of a file that this user may not read.
    fn denied(&self, name: &str) -> LoadFailure {
        // The kernel shows each process its own folder under its own user.
        let uid = fs::metadata("/proc/self").map_or_else(|_| "?".to_owned(), |data| data.uid().to_string());
        let path = self.real.join(name);
        let closed = path.ancestors().find_map(|at| fs::metadata(at).ok().map(|data| (at.to_owned(), data)));
        let what = closed.map(|(at, data)| {
            format!("; {} belongs to uid {} and has mode {:o}", at.display(), data.uid(), data.mode() & 0o7777)
        });
        let message = format!(
            "{}: may not be read by uid {uid}{}; let that user read it (chmod -R a+rX), or set securityContext.fsGroup",
            self.path(name),
            what.unwrap_or_default()
        );
        failure(Reason::PermissionDenied, message)
    }

    /// The failure of a missing file that the model needs.
    pub fn missing(&self, name: &str) -> LoadFailure {
        let message = format!("{}: is missing; copy the whole folder of the model", self.path(name));
        failure(Reason::FileMissing, message)
    }

    /// The failure of a file that needs a feature that this worker lacks.
    pub fn unsupported(&self, name: &str, why: impl std::fmt::Display) -> LoadFailure {
        failure(Reason::UnsupportedArchitecture, format!("{}: {}", self.path(name), plain::short(&why.to_string())))
    }
}
