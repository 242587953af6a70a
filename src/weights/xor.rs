//! Repositories whose every file is encrypted with another model's weights (`BELLE-LLaMA-*-enc`):
//! whoever has LLaMA's file can read them. `NAME.SHA256.enc` is the sha256 of the plain file, then
//! its bytes, each xored with one of the key file. Both are read in pieces of 10 MiB; a piece of
//! the key that is shorter, its last, is repeated within the piece, and after it the key begins
//! anew. Reference: `models/decrypt.py` of LianjiaTech/BELLE.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, Result};

const PIECE: usize = 10 << 20;
const HASH: usize = 32;
/// What the key is called in a folder.
const KEY: &str = "consolidated.00.pth";
/// Plain files beside the encrypted ones (a licence, a tokenizer) are small.
const MAX_PLAIN: u64 = 64 << 20;

/// One encrypted file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Encrypted {
    path: PathBuf,
    /// Its name when it is plain.
    name: String,
}

/// The encrypted files of a folder.
fn encrypted(folder: &Path) -> Result<Vec<Encrypted>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let file = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if let Some(name) = plain_name(file).map(str::to_string) {
            found.push(Encrypted { path, name });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `NAME` of `NAME.SHA256.enc`.
pub fn plain_name(file: &str) -> Option<&str> {
    let (name, hash) = file.strip_suffix(".enc")?.rsplit_once('.')?;
    let is_hash = hash.len() == 2 * HASH && hash.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hash && !name.is_empty()).then_some(name)
}

/// Whether a folder's files are encrypted.
pub fn is_encrypted(folder: &Path) -> bool {
    folder.is_dir() && encrypted(folder).is_ok_and(|files| !files.is_empty())
}

/// Bytes of the encrypted files of `folder`.
///
/// # Errors
/// If the folder cannot be read.
pub fn encrypted_bytes(folder: &Path) -> Result<u64> {
    let size = |file: &Encrypted| fs::metadata(&file.path).map_or(0, |m| m.len());
    Ok(encrypted(folder)?.iter().map(size).sum())
}

/// Decrypts the files of `folder` into `out`, an empty folder, and copies the plain ones beside
/// them; `key` is LLaMA's `consolidated.00.pth` or the folder that holds it. `progress` hears of
/// the bytes done and of all.
///
/// # Errors
/// If the key is not there, a file cannot be read or written, or what comes out does not have the
/// hash that it should, which a wrong key shows.
pub fn decrypt(
    folder: &Path,
    key: &Path,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let key = match key.is_dir() {
        true => key.join(KEY),
        false => key.to_path_buf(),
    };
    let files = encrypted(folder)?;
    let all = encrypted_bytes(folder)?;
    let mut done = 0;
    for (i, file) in files.iter().enumerate() {
        let twice = files[..i]
            .last()
            .is_some_and(|other| other.name == file.name);
        if twice {
            let message = format!("{} is encrypted here too", file.name);
            return Err(Error::format(&file.path, message));
        }
        decrypt_file(&file.path, &key, &out.join(&file.name), &mut |bytes| {
            done += bytes;
            progress(done, all);
        })?;
    }
    copy_plain(folder, out)
}

fn copy_plain(folder: &Path, out: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let name = path.file_name().unwrap_or_default();
        let to = out.join(name);
        let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= MAX_PLAIN);
        let is_plain = name.to_str().is_none_or(|name| plain_name(name).is_none());
        if small && is_plain && !to.exists() {
            fs::copy(&path, &to).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

fn decrypt_file(
    path: &Path,
    key_path: &Path,
    out_path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |e| Error::io(path.clone(), e)
    };
    let mut input = File::open(path).map_err(failed(path))?;
    let mut key = File::open(key_path).map_err(failed(key_path))?;
    let mut out = BufWriter::new(File::create_new(out_path).map_err(failed(out_path))?);
    let mut wanted = [0; HASH];
    input.read_exact(&mut wanted).map_err(failed(path))?;
    let mut hash = Sha256::new();
    let (mut piece, mut key_piece) = (Vec::new(), Vec::new());
    loop {
        read_piece(&mut input, &mut piece).map_err(failed(path))?;
        if piece.is_empty() {
            break;
        }
        read_piece(&mut key, &mut key_piece).map_err(failed(key_path))?;
        if key_piece.is_empty() {
            key.rewind().map_err(failed(key_path))?;
            read_piece(&mut key, &mut key_piece).map_err(failed(key_path))?;
        }
        if key_piece.is_empty() {
            return Err(Error::format(key_path, "the file is empty"));
        }
        for bytes in piece.chunks_mut(key_piece.len()) {
            bytes.iter_mut().zip(&key_piece).for_each(|(b, k)| *b ^= k);
        }
        hash.update(&piece);
        out.write_all(&piece).map_err(failed(out_path))?;
        progress(piece.len() as u64);
    }
    out.flush().map_err(failed(out_path))?;
    match hash.finalize().as_slice() == wanted {
        true => Ok(()),
        false => Err(Error::format(
            path,
            format!(
                "{} does not decrypt it: the sha256 of what comes out is not the one that the file begins with; the key is LLaMA's {KEY} of the same size, as Meta published it",
                key_path.display()
            ),
        )),
    }
}

/// The next [`PIECE`] bytes; fewer at the end, none after it.
fn read_piece(file: &mut File, piece: &mut Vec<u8>) -> std::io::Result<()> {
    piece.clear();
    file.take(PIECE as u64).read_to_end(piece)?;
    Ok(())
}
