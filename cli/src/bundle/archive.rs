//! The archive: a folder in a compressed tar, for its owner alone.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::redact;

/// A new file that will hold the archive. It goes again unless the archive is written whole.
pub(super) struct Archive {
    path: PathBuf,
    file: Option<File>,
}

impl Archive {
    /// Creates it; one that is there is not overwritten.
    pub(super) fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { path, file: Some(file) })
    }

    /// Writes the files into one folder. Secrets are taken out of every text.
    pub(super) fn write(mut self, folder: &str, files: &BTreeMap<String, String>) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.file {
            write(file, folder, files).with_context(|| format!("can't write {}", self.path.display()))?;
        }
        self.file = None;
        Ok(self.path.clone())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Half an archive would only stand in the way of the next.
            drop(remove_file(&self.path));
        }
    }
}

fn write(file: &File, folder: &str, files: &BTreeMap<String, String>) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (name, text) in files {
        let text = redact::text(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_not_finished_leaves_no_file() {
        let path = std::env::temp_dir().join(format!("belfry-cli-archive-{}", std::process::id()));
        drop(Archive::create(path.clone()).unwrap());
        assert!(!path.exists());
        let archive = Archive::create(path.clone()).unwrap();
        assert!(Archive::create(path.clone()).is_err(), "it is not overwritten");
        archive.write("a", &[("b".to_owned(), "c".to_owned())].into()).unwrap();
        assert!(path.exists());
        remove_file(path).unwrap();
    }
}
