//! Downloads one file: resumes where an earlier try stopped, and checks the file before it is used.
//!
//! A part is written only at offsets that it has reached, with the bytes that belong there. So two workers that write
//! the same part do not harm each other, and any part that a dead worker left can be resumed.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::cache::Blob;
use super::super::trouble::Trouble;
use super::http::trouble;
use super::retry::Tries;
use super::{Download, Response, header};

/// Bytes that are read and written at once.
const CHUNK: usize = 256 << 10;

impl Download<'_> {
    /// Downloads a file into the cache, and links the snapshot to it.
    pub(super) fn file(&self, revision: &str, name: &str, blob: &Blob) -> Result<(), Trouble> {
        let path = self.store.blob(blob);
        if length(&path) != Some(blob.size) {
            let mut one = OneFile { download: self, revision, name, blob, hashed: (Sha256::new(), 0) };
            let part = self.store.part(blob);
            let mut tries = Tries::new(self.policy, &self.progress);
            let mut before = length(&part);
            while let Err(trouble) = one.attempt(&part) {
                let now = length(&part);
                tries.again(name, trouble, now > before)?;
                before = now;
            }
            // Another worker that finished at the same moment has put the same bytes there.
            fs::rename(&part, &path).or_else(|error| if path.exists() { Ok(()) } else { Err(disk(&part, &error)) })?;
        }
        self.progress.finished(name, blob.size);
        self.store.link(revision, name, blob)
    }
}

struct OneFile<'a> {
    download: &'a Download<'a>,
    revision: &'a str,
    name: &'a str,
    blob: &'a Blob,
    /// Digest of the first bytes, and their number.
    hashed: (Sha256, u64),
}

impl OneFile<'_> {
    fn attempt(&mut self, path: &Path) -> Result<(), Trouble> {
        let part = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let part = part.map_err(|error| disk(path, &error))?;
        let mut have = part.metadata().map_err(|error| disk(path, &error))?.len();
        if have > self.blob.size {
            return Err(self.spoilt(path, format!("{have} bytes are there and {} were announced", self.blob.size)));
        }
        if have < self.blob.size {
            let response = self.download.origin.open(self.revision, self.name, self.blob, have)?;
            match start(&response) {
                Some(start) if start == have => {}
                // A server without ranges sends the whole file again.
                Some(0) => have = 0,
                _ => return Err(self.spoilt(path, "the server sent another range than the requested one".to_owned())),
            }
            self.write(&part, path, have, response)?;
        }
        self.hash_up_to(&part, path, self.blob.size)?;
        let digest = format!("{:x}", self.hashed.0.clone().finalize());
        if self.blob.sha256.as_ref().is_some_and(|expected| *expected != digest) {
            return Err(self.spoilt(path, format!("its SHA-256 is {digest}")));
        }
        // The rename must not reach the disk before the bytes: a cache outlives the node.
        part.sync_data().map_err(|error| disk(path, &error))
    }

    fn write(&mut self, part: &File, path: &Path, from: u64, response: Response) -> Result<(), Trouble> {
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        let mut at = from;
        self.hash_up_to(part, path, from)?;
        loop {
            let count = match body.read(&mut chunk) {
                Ok(0) if at < self.blob.size => {
                    return Err(Trouble::Connection("the connection ended early".to_owned()));
                }
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => return Err(trouble(&ureq::Error::from(error))),
            };
            if at + count as u64 > self.blob.size {
                return Err(self.spoilt(path, format!("more than the {} bytes that were announced", self.blob.size)));
            }
            part.write_all_at(&chunk[..count], at).map_err(|error| disk(path, &error))?;
            self.hashed.0.update(&chunk[..count]);
            at += count as u64;
            self.hashed.1 = at;
            self.download.progress.have(self.name, at);
        }
    }

    /// Makes the digest cover exactly the first `have` bytes, by reading those that are missing from it.
    fn hash_up_to(&mut self, part: &File, path: &Path, end: u64) -> Result<(), Trouble> {
        if self.hashed.1 > end {
            self.hashed = (Sha256::new(), 0);
        }
        let mut chunk = vec![0; CHUNK];
        while self.hashed.1 < end {
            let count = CHUNK.min((end - self.hashed.1) as usize);
            part.read_exact_at(&mut chunk[..count], self.hashed.1).map_err(|error| disk(path, &error))?;
            self.hashed.0.update(&chunk[..count]);
            self.hashed.1 += count as u64;
        }
        Ok(())
    }

    /// Discards a part that can't become the file.
    fn spoilt(&mut self, path: &Path, why: String) -> Trouble {
        self.hashed = (Sha256::new(), 0);
        match fs::remove_file(path) {
            Ok(()) => Trouble::Corrupt(why),
            Err(error) => disk(path, &error),
        }
    }
}

/// The offset at which a body begins; `None` if the server does not give it.
fn start(response: &Response) -> Option<u64> {
    if response.status().as_u16() != 206 {
        return Some(0);
    }
    header(response, "content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|data| data.len())
}

fn disk(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::Disk(format!("{}: {error}", path.display()))
}
