//! Files in general: reading such as have a bounded size, and the paths around one that is written.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// All that `source` gives; `None` if that is more than `most` bytes. It is counted as it comes:
/// the metadata of a pipe or a device say 0 bytes, whatever follows.
pub fn take_at_most(source: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut source = source.take(most.saturating_add(1));
    source.read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read, or is longer.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = |e| Error::io(path, e);
    let file = File::open(path).map_err(failed)?;
    let bytes = take_at_most(file, most).map_err(failed)?;
    bytes.ok_or_else(|| {
        let message = format!("longer than {most} bytes, too long for what it should be");
        Error::format(path, message)
    })
}

/// Reads a text file of at most `most` bytes.
///
/// # Errors
/// As [`read_at_most`], or if it is not UTF-8.
pub fn read_text_at_most(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(read_at_most(path, most)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::format(path, format!("not UTF-8 text at byte {at}"))
    })
}

/// The folder that a file is or will be in.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether both paths lead to the same file.
pub fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Where this process lets a file grow until it is complete: a name that nobody else uses.
pub fn partial(out: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(format!(".wick-{}.part", std::process::id()));
    out.with_file_name(name)
}

/// Who may read a file that was not there before, where files have permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the user lets read new files (the umask).
    Usual,
    /// Its owner alone.
    Owner,
}

/// Puts `bytes` into the file `path` at once: until all are written, what was there stays. A file
/// that was there keeps its permissions, a new one is for `readers`. What is no file, such as a
/// device, is written to as it is.
///
/// # Errors
/// If the bytes cannot be written.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    // A link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let before = std::fs::metadata(&path).ok();
    if before.as_ref().is_some_and(|found| !found.is_file()) {
        return std::fs::write(path, bytes);
    }
    let before = before.map(|found| found.permissions());
    let part = partial(&path);
    let written = create_part(&part, before.as_ref(), readers)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&part, &path));
    if written.is_err() {
        // That error matters more than one of removing the remains.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Makes the file `part`, with the permissions `before` of the one whose place it takes. At no time
/// is it open to more readers than in the end.
#[cfg(unix)]
fn create_part(part: &Path, before: Option<&Permissions>, readers: Readers) -> io::Result<File> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mode = match (before, readers) {
        (Some(before), _) => before.mode() & 0o777,
        (None, Readers::Usual) => 0o666,
        (None, Readers::Owner) => 0o600,
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(part)?;
    // The umask may have taken some away.
    if let Some(before) = before
        && file.metadata()?.permissions() != *before
    {
        file.set_permissions(before.clone())?;
    }
    Ok(file)
}

/// Makes the file `part`. The folder says who may read it.
#[cfg(not(unix))]
fn create_part(part: &Path, _: Option<&Permissions>, _: Readers) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(part)
}

/// Refuses a place where no file can be put, or where one would take the place of something that
/// is none: the rename would succeed on a device, a pipe or a link to one.
///
/// # Errors
/// What is there is no file, or the folder that is to hold it is not there.
pub fn check_output(out: &Path) -> Result<()> {
    let refused = |message: String| {
        let out = out.display();
        Err(Error::Unsupported(format!("{out}: {message}")))
    };
    let folder = folder_of(out);
    match std::fs::metadata(out) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => refused("this is no file, and is not written over; name another".to_string()),
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(out, e)),
        Err(_) if folder.is_dir() => Ok(()),
        Err(_) => refused(format!(
            "there is no folder {}; make it first",
            folder.display()
        )),
    }
}

/// Refuses to write `out` over one of the model's own `files`.
///
/// # Errors
/// If it is one of them, by whatever path.
pub fn check_not_read(out: &Path, files: &[PathBuf]) -> Result<()> {
    match files.iter().any(|file| same_file(file, out)) {
        true => Err(Error::Unsupported(format!(
            "{} is the model that is read; write to another file",
            out.display()
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_long_as_may_be_is_read_and_a_longer_one_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read_at_most(file.path(), 5).unwrap(), b"12345");
        let error = read_at_most(file.path(), 4).unwrap_err().to_string();
        assert!(error.contains("longer than 4 bytes"), "{error}");
        std::fs::write(file.path(), b"12\xff").unwrap();
        let error = read_text_at_most(file.path(), 5).unwrap_err().to_string();
        assert!(error.contains("byte 2"), "{error}");
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        replace(&file, b"first", Readers::Usual).unwrap();
        replace(&file, b"second", Readers::Usual).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"second");
        // A folder of the name of the file in the making: nothing of it is removed.
        std::fs::create_dir(partial(&file)).unwrap();
        assert!(replace(&file, b"third", Readers::Usual).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"second");
        assert!(partial(&file).is_dir());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_keeps_its_permissions_and_a_new_one_can_be_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        replace(&file, b"first", Readers::Owner).unwrap();
        assert_eq!(mode(), 0o600);
        // Also what no usual umask lets a new file have.
        for wanted in [0o600, 0o666, 0o640, 0o400] {
            std::fs::set_permissions(&file, Permissions::from_mode(wanted)).unwrap();
            for readers in [Readers::Usual, Readers::Owner] {
                replace(&file, b"next", readers).unwrap();
                assert_eq!(mode(), wanted);
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn what_never_ends_is_not_read_to_its_end() {
        // Its metadata say 0 bytes.
        let zeros = Path::new("/dev/zero");
        let error = read_at_most(zeros, 1000).unwrap_err().to_string();
        assert!(error.contains("/dev/zero: longer than 1000"), "{error}");
    }
}
