//! From a hub id to files that can be opened: what is needed, what is here, fetching the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::ModelFiles;
use super::api::{self, RemoteFile};
use super::cache::layout::{Here, Repo};
use super::disk::Disk;
use super::error::{HubError, Result};
use super::http::Http;
use super::name::HubRef;
use super::options::HubOptions;
use super::pick::{Kind, pick, pick_globs, weight_extension};
use super::place::Place;
use super::progress::{Event, Progress};
use super::shards::{forgotten_shards, missing_shards};
use super::transfer::Source;

/// What a download consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The name that was asked for.
    pub model: HubRef,
    /// The commit that the revision stood for when the plan was made; all files are of this one.
    pub commit: String,
    /// Those that loading needs or `--include` asks for, whether here or not; shards that only an
    /// index names come on top while fetching.
    pub files: Vec<PlannedFile>,
    pub(crate) kind: Kind,
    revision: String,
    /// Every file of the commit by name, for shards that only an index names.
    pub(crate) all: BTreeMap<String, RemoteFile>,
}

/// One file of a plan.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// What the Hub lists of it.
    pub remote: RemoteFile,
    pub(crate) here: Here,
}

impl PlannedFile {
    /// Whether its content is here, under whichever commit, so that it need not be fetched.
    pub fn is_here(&self) -> bool {
        self.here != Here::Not
    }
}

impl Plan {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        total(self.files.iter())
    }

    /// Bytes of the weights files.
    pub fn weight_bytes(&self) -> u64 {
        let files = self.files.iter();
        total(files.filter(|f| weight_extension(&f.remote.path).is_some()))
    }

    /// Bytes still to be fetched (a beginning that an earlier run left is not counted as here).
    pub fn missing_bytes(&self) -> u64 {
        total(self.files.iter().filter(|f| !f.is_here()))
    }
}

/// Bytes of these files; more than there are numbers for is all of them, and never fits.
fn total<'a>(files: impl Iterator<Item = &'a PlannedFile>) -> u64 {
    let sizes = files.map(|f| f.remote.size);
    sizes.fold(0, u64::saturating_add)
}

/// Asks the Hub what a model consists of; fetches nothing.
///
/// # Errors
/// The Hub cannot be asked or does not know it; nothing in it can be loaded; `--offline`.
pub fn plan(model: &HubRef, options: &HubOptions, progress: &dyn Progress) -> Result<Plan> {
    if options.offline {
        return Err(offline(
            model,
            options,
            vec!["the list of files, which only the Hub has".to_string()],
        ));
    }
    let http = Http::new(options, progress)?;
    let revision = revision(model, options)?;
    let commit = api::commit(&http, &model.repo, &revision)?;
    let all: BTreeMap<String, RemoteFile> = api::files(&http, &model.repo, &commit)?
        .into_iter()
        .map(|file| (file.path.clone(), file))
        .collect();
    let names: Vec<String> = all.keys().cloned().collect();
    let id = model.repo.to_string();
    let picked = pick_globs(
        &id,
        &names,
        model.file.as_ref(),
        &options.include,
        &options.exclude,
    )?;
    let place = Place::new(options, &model.repo);
    let files = picked
        .files
        .iter()
        .filter_map(|name| all.get(name))
        .map(|remote| PlannedFile {
            here: place.here(&commit, remote),
            remote: remote.clone(),
        })
        .collect();
    Ok(Plan {
        model: model.clone(),
        commit,
        files,
        kind: picked.kind,
        revision,
        all,
    })
}

/// Fetches what a plan lacks, several files at a time, makes all of it visible under the plan's
/// commit, and names what can be opened.
///
/// # Errors
/// The disk is too small, unless `force` is set; a file cannot be fetched, of which what came is
/// kept for the next run; a file has the wrong content, of which nothing is kept.
pub fn fetch(plan: &Plan, options: &HubOptions, progress: &dyn Progress) -> Result<ModelFiles> {
    let place = Place::new(options, &plan.model.repo);
    if !options.force {
        Disk::new(plan, options).check()?;
    }
    progress.event(Event::Planned {
        files: plan.files.len(),
        bytes: plan.bytes(),
        here: plan.bytes() - plan.missing_bytes(),
    });
    let (weights, small): (Vec<&RemoteFile>, Vec<&RemoteFile>) = plan
        .files
        .iter()
        .filter(|f| f.here != Here::Visible)
        .map(|f| &f.remote)
        .partition(|file| weight_extension(&file.path).is_some());
    let job = Job {
        plan,
        place: &place,
        options,
        progress,
        stop: AtomicBool::new(false),
    };
    // Weights last: where they are, all that goes with them is too.
    job.run(&small)?;
    let mut weights = weights;
    if options.include.is_empty() {
        weights.extend(forgotten_shards(plan, &place, &options.exclude)?);
    }
    job.run(&weights)?;
    if let Place::Cache(repo) = &place {
        repo.set_ref(&plan.revision, &plan.commit, progress)?;
    }
    Ok(opened(&plan.kind, &place.folder(&plan.commit)))
}

/// What is in the cache of a model; nothing is sent.
///
/// # Errors
/// What is missing, by name.
pub(crate) fn cached(model: &HubRef, options: &HubOptions) -> Result<ModelFiles> {
    let revision = revision(model, options)?;
    let repo = Repo::new(&options.cache, &model.repo);
    let Some(commit) = repo.commit(&revision) else {
        return Err(offline(
            model,
            options,
            vec![format!("revision {revision} (never fetched)")],
        ));
    };
    let names = repo.files(&commit);
    let missing = match pick(&model.repo.to_string(), &names, model.file.as_ref()) {
        Ok(picked) => {
            let folder = repo.snapshot(&commit);
            let missing = missing_shards(&picked, &folder)?;
            if missing.is_empty() {
                return Ok(opened(&picked.kind, &folder));
            }
            missing
        }
        Err(HubError::Ambiguous { what, names }) => {
            return Err(HubError::Ambiguous { what, names });
        }
        Err(_) => vec![match &model.file {
            Some(_) => format!("the file of {model}"),
            None if names.iter().any(|n| n == "config.json") => "the weights".to_string(),
            None => "config.json and the weights".to_string(),
        }],
    };
    Err(offline(model, options, missing))
}

fn offline(model: &HubRef, options: &HubOptions, missing: Vec<String>) -> HubError {
    HubError::Offline {
        model: model.to_string(),
        cache: options.cache.clone(),
        missing,
    }
}

fn revision(model: &HubRef, options: &HubOptions) -> Result<String> {
    let revision = model.revision.as_ref().or(options.revision.as_ref());
    let revision = revision.map_or("main", String::as_str);
    super::name::check_revision(revision).map_err(|reason| HubError::Option {
        name: "--revision",
        message: format!("{:?}: {reason}", super::error::clean(revision)),
    })?;
    Ok(revision.to_string())
}

pub(crate) fn opened(kind: &Kind, folder: &Path) -> ModelFiles {
    match kind {
        Kind::Folder => ModelFiles::Folder(folder.to_path_buf()),
        Kind::Gguf(file) => ModelFiles::Gguf(folder.join(file)),
        Kind::Safetensors(file) => ModelFiles::Safetensors(folder.join(file)),
    }
}

/// Files fetched by several threads, each with its own connection.
struct Job<'a> {
    plan: &'a Plan,
    place: &'a Place,
    options: &'a HubOptions,
    progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl Job<'_> {
    fn run(&self, files: &[&RemoteFile]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<HubError>> = Mutex::new(None);
        let work = || {
            let done = (|| {
                let http = Http::new(self.options, self.progress)?;
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let source = Source {
                        repo: &self.plan.model.repo,
                        commit: &self.plan.commit,
                        file,
                    };
                    self.place.fetch(&http, source, &self.stop)?;
                }
                Ok(())
            })();
            if let Err(error) = done {
                // The first failure is the reason; the others only stopped for it.
                let mut failed = failed
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                if !self.stop.swap(true, Ordering::Relaxed) {
                    *failed = Some(error);
                }
            }
        };
        let threads = self.options.parallel.clamp(1, 16).min(files.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        match failed
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
