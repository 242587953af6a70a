//! The quantized copy of a fetched model: made at the first start with `--quant`, read at the
//! next ones.

use std::path::Path;

use anyhow::{Context, Result};

use super::figures::bytes;
use super::interrupt::remove_if_stopped;
use super::open::Found;
use super::progress::{HubBars, Steps};
use super::ui::Ui;
use crate::files::partial;
use crate::hub::cache::CopyLock;
use crate::hub::free_bytes;
use crate::load::{Opened, Origin};
use crate::memory::Forecast;
use crate::nn::{CacheType, Storage};
use crate::quantize::to_gguf;

/// Disk space that a copy leaves to others.
const SPARE: u64 = 1 << 30;

/// The copy of `found` with its weights as in `storage`, made where it is not there yet. `None`,
/// with a note, where it cannot be made; loading can do without.
pub fn of(found: &Found, storage: Storage, ui: &Ui) -> Option<Opened> {
    let (cache, snapshot) = found.fetched.as_ref()?;
    let path = snapshot.copy(cache, &settings(&found.opened, storage)?);
    if let Some(copy) = read(&path) {
        return Some(copy);
    }
    let made = make(found, storage, &path, ui);
    if let Err(error) = &made {
        ui.note(format!("no quantized copy is kept: {error:#}"));
    }
    made.ok()
}

/// The settings' name; `None` where loading changes nothing that is worth keeping.
fn settings(opened: &Opened, storage: Storage) -> Option<String> {
    let Storage::Quantized { layers, ends } = storage else {
        return None;
    };
    let mut stored = opened.weights.tensors().map(|(_, info)| info.encoding);
    // Blocks stay as they are stored.
    let plain = stored.all(|encoding| !encoding.is_quantized());
    plain.then(|| format!("{layers}-{ends}"))
}

/// A copy that is there and whole.
fn read(path: &Path) -> Option<Opened> {
    path.is_file().then(|| Opened::open(path).ok()).flatten()
}

fn make(found: &Found, storage: Storage, path: &Path, ui: &Ui) -> Result<Opened> {
    let _lock = CopyLock::acquire(path, &HubBars::new(*ui))?;
    // Another process may have made it while this one waited.
    if let Some(copy) = read(path) {
        return Ok(copy);
    }
    let needed = Forecast::new(&found.opened, storage, CacheType::F16).weights;
    let free = free_bytes(path).unwrap_or(u64::MAX);
    anyhow::ensure!(
        free.saturating_sub(needed) >= SPARE,
        "it takes {} and the disk has {} free",
        bytes(needed),
        bytes(free)
    );
    let mut bare = Opened::open(&found.path)?;
    if let (Origin::Folder { folder, .. }, Some(empty)) = (&mut bare.origin, path.parent()) {
        // Texts are read from the model's folder, for not every vocabulary has a form in GGUF;
        // there is none to be found beside the copy.
        *folder = empty.to_path_buf();
    }
    let _unfinished = remove_if_stopped(partial(path));
    let mut bar = Steps::tensors(ui);
    let mut done = 0;
    to_gguf(&bare, storage, path, &mut |_, all| {
        done += 1;
        bar.at(done, all);
    })?;
    bar.finish();
    let copy = Opened::open(path).context("the copy that was just written")?;
    ui.note(format!(
        "the next start reads a quantized copy ({}); --no-quant-cache keeps none, `wick models rm --copies {}` removes it",
        bytes(copy.file_bytes()),
        found.name
    ));
    Ok(copy)
}
