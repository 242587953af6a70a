//! The part of a file that is here, and whether it is what the Hub promised.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::api::{Hash, RemoteFile};
use super::cache::layout::create_parent;
use super::error::{HubError, Result};

/// What is here of a file, with the hash of it so far.
pub(crate) struct Partial<'a> {
    path: &'a Path,
    file: &'a RemoteFile,
    out: File,
    pub len: u64,
    hasher: Hasher,
}

impl<'a> Partial<'a> {
    pub fn open(path: &'a Path, file: &'a RemoteFile) -> Result<Self> {
        create_parent(path)?;
        let out = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| HubError::io(path, e))?;
        let mut partial = Self {
            path,
            file,
            out,
            len: 0,
            hasher: Hasher::new(file),
        };
        partial.read_back()?;
        Ok(partial)
    }

    /// Hashes what an earlier run left; more than the whole file cannot be its beginning.
    fn read_back(&mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = self
                .out
                .read(&mut buffer)
                .map_err(|e| HubError::io(self.path, e))?;
            if n == 0 {
                return Ok(());
            }
            self.len += n as u64;
            if self.len > self.file.size {
                return self.restart();
            }
            self.hasher.update(&buffer[..n]);
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| self.failed(e))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> HubError {
        HubError::Write {
            file: self.file.path.clone(),
            path: self.path.to_path_buf(),
            at: self.len,
            size: self.file.size,
            source,
        }
    }

    pub fn restart(&mut self) -> Result<()> {
        self.out
            .set_len(0)
            .map_err(|e| HubError::io(self.path, e))?;
        self.out
            .seek(SeekFrom::Start(0))
            .map_err(|e| HubError::io(self.path, e))?;
        self.len = 0;
        self.hasher = Hasher::new(self.file);
        Ok(())
    }

    pub fn discard(&mut self) -> Result<()> {
        self.restart()?;
        std::fs::remove_file(self.path).map_err(|e| HubError::io(self.path, e))
    }

    /// Compares the whole content with its promised hash and writes it through to the disk.
    pub fn check(mut self) -> Result<()> {
        let found = std::mem::replace(&mut self.hasher, Hasher::new(self.file)).finish();
        if found != self.file.hash.hex() {
            self.discard()?;
            return Err(HubError::WrongHash {
                file: self.file.path.clone(),
                wanted: self.file.hash.hex().to_string(),
                found,
            });
        }
        // On the disk before its name is: a crash of the machine must not leave a hole under it.
        self.out.sync_all().map_err(|e| self.failed(e))
    }
}

/// SHA-256 of the content, or git's SHA-1 of the object that holds it.
enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    fn new(file: &RemoteFile) -> Self {
        match file.hash {
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
            Hash::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Git(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a file that is here has the promised content.
pub(crate) fn has_content(path: &Path, file: &RemoteFile) -> Result<bool> {
    if std::fs::metadata(path)
        .map_err(|e| HubError::io(path, e))?
        .len()
        != file.size
    {
        return Ok(false);
    }
    let mut reader = File::open(path).map_err(|e| HubError::io(path, e))?;
    let mut hasher = Hasher::new(file);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = reader
            .read(&mut buffer)
            .map_err(|e| HubError::io(path, e))?;
        if n == 0 {
            return Ok(hasher.finish() == file.hash.hex());
        }
        hasher.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_gits_and_sha256() {
        // `printf hello | git hash-object --stdin`, `printf hello | sha256sum`.
        for (hash, wanted) in [
            (
                Hash::Git(String::new()),
                "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
            ),
            (
                Hash::Sha256(String::new()),
                "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            ),
        ] {
            let file = RemoteFile {
                path: "x".into(),
                size: 5,
                hash,
            };
            let mut hasher = Hasher::new(&file);
            hasher.update(b"he");
            hasher.update(b"llo");
            assert_eq!(hasher.finish(), wanted);
        }
    }
}
