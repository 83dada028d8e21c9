//! The digest of a model: 64 hexadecimal digits.
//!
//! The manifest has a line `SHA256  PATH` for each file that is loaded, sorted by the bytes of the paths, as `sha256sum
//! FILES | LC_ALL=C sort -k 2` writes it; the model's digest is the SHA-256 of that text. Files that are not loaded,
//! such as a README or weights in another format, do not count.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

/// The files that were loaded, each with its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, String>);

impl Manifest {
    /// Adds a file: its path within the folder, and its SHA-256 in hexadecimal digits.
    pub fn add(&mut self, path: &str, sha256: String) {
        self.0.insert(path.to_owned(), sha256);
    }

    /// The text that the digest is computed from.
    pub fn text(&self) -> String {
        self.0.iter().flat_map(|(path, sha256)| [sha256.as_str(), "  ", path, "\n"]).collect()
    }

    /// The model's digest.
    pub fn digest(&self) -> String {
        sha256(self.text())
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Computes a file's digest on a separate thread, while the next piece of the file is being read.
pub struct Hasher {
    pieces: SyncSender<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Hasher {
    /// Starts the thread that hashes. Fails if the system allows no more threads.
    pub fn start() -> io::Result<Self> {
        // The channel has no buffer: one piece is read while another is hashed, and no third piece takes memory.
        let (pieces, received) = sync_channel::<Vec<u8>>(0);
        let thread = thread::Builder::new()
            .name("digest".to_owned())
            .spawn(move || received.iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece)))?;
        Ok(Self { pieces, thread })
    }

    /// Accepts the next piece, once the previous one is hashed.
    pub fn update(&self, piece: Vec<u8>) {
        // The thread ends only after this; if it panicked, `finish` returns an error.
        drop(self.pieces.send(piece));
    }

    /// The digest of all pieces.
    pub fn finish(self) -> io::Result<String> {
        drop(self.pieces);
        let hash = self.thread.join().map_err(|_| io::Error::other("the digest's thread panicked"))?;
        Ok(format!("{:x}", hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_what_sha256sum_and_sort_write() {
        let mut manifest = Manifest::default();
        for path in ["model.safetensors", "config.json", "1_Pooling/config.json"] {
            manifest.add(path, sha256(path));
        }
        let paths: Vec<_> = manifest.text().lines().map(|line| line[66..].to_owned()).collect();
        assert_eq!(paths, ["1_Pooling/config.json", "config.json", "model.safetensors"]);
        assert_eq!(manifest.digest(), sha256(manifest.text()));
        assert_eq!(&manifest.text()[64..66], "  ");
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let hasher = Hasher::start().unwrap();
        for piece in [vec![1; 10], vec![], vec![2; 5]] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish().unwrap(), sha256([[1; 10].as_slice(), &[2; 5]].concat()));
    }
}
