//! Progress bars on stderr, where it is a terminal.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt::{Unfinished, last_words, remove_if_stopped};
use super::output::visible;
use super::ui::Ui;
use crate::hub::{Event, Progress};

/// A bar of steps that appears when they take a while, and only where somebody looks.
pub struct Steps {
    bar: ProgressBar,
    shown: bool,
    ui: Ui,
}

/// Work that is done sooner needs no bar.
const A_WHILE: Duration = Duration::from_millis(400);

impl Steps {
    /// For the layers of a model that is loaded.
    pub fn layers(ui: &Ui) -> Self {
        Self::new(ui, "loading {wide_bar} {pos}/{len} layers")
    }

    /// For the tensors of a file that is written.
    pub fn tensors(ui: &Ui) -> Self {
        Self::new(ui, "{wide_bar} {pos}/{len} tensors, {eta} left")
    }

    /// For the MiB of files that are decrypted.
    pub fn decrypting(ui: &Ui) -> Self {
        Self::new(ui, "decrypting {wide_bar} {pos}/{len} MiB, {eta} left")
    }

    /// For the windows of a text whose perplexity is measured.
    pub fn windows(ui: &Ui) -> Self {
        Self::new(ui, "reading {wide_bar} {pos}/{len} windows, {eta} left")
    }

    fn new(ui: &Ui, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(template));
        Self {
            bar,
            shown: false,
            ui: *ui,
        }
    }

    /// `done` of `all` are done.
    pub fn at(&mut self, done: usize, all: usize) {
        if !self.shown && self.ui.shows_progress() && self.bar.elapsed() > A_WHILE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Bars of a download: one for each file on its way, one for all.
pub struct HubBars {
    ui: Ui,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: Option<ProgressBar>,
    files: HashMap<String, ProgressBar>,
    /// Folders that Ctrl-C takes along; one that is gone by then is none to remove.
    temporary: Vec<Unfinished>,
}

const BYTES: &str = "{msg:30!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";

/// Moves a bar over what was here already, which says nothing about the speed.
fn jump(bar: &ProgressBar, to: u64) {
    // A bar that ticks by itself would take the step for a fast one at its next tick.
    bar.disable_steady_tick();
    bar.set_position(to);
    bar.tick();
    bar.reset_eta();
    bar.enable_steady_tick(TICK);
}

const TICK: Duration = Duration::from_millis(200);

impl HubBars {
    pub fn new(ui: Ui) -> Self {
        let target = match ui.shows_progress() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Self {
            ui,
            bars: MultiProgress::with_draw_target(target),
            state: Mutex::default(),
        }
    }

    fn add(&self, name: &str, size: u64, at: u64) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(size));
        bar.set_style(style(BYTES));
        bar.set_message(visible(name).into_owned());
        jump(&bar, at);
        bar
    }
}

const STOPPED: &str = "stopped; the same command goes on where the download was";

impl Drop for HubBars {
    fn drop(&mut self) {
        last_words(None);
    }
}

impl Progress for HubBars {
    fn event(&self, event: Event<'_>) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::Planned { files, bytes, here } if here < bytes => {
                if !self.ui.is_quiet() {
                    last_words(Some(STOPPED));
                }
                let total = self.add(&format!("{files} files"), bytes, here);
                state.total = Some(total);
            }
            Event::Planned { .. } => {}
            Event::Started { file, size, at } => {
                let bar = self.add(file, size, at);
                if let (Some(total), 1..) = (&state.total, at) {
                    jump(total, total.position() + at);
                }
                state.files.insert(file.to_string(), bar);
            }
            Event::Advanced { file, bytes } => {
                for bar in state.files.get(file).iter().chain(&state.total.as_ref()) {
                    bar.inc(bytes);
                }
            }
            Event::Restarted { file } => {
                if let Some(bar) = state.files.get(file) {
                    if let Some(total) = &state.total {
                        jump(total, total.position().saturating_sub(bar.position()));
                    }
                    jump(bar, 0);
                }
            }
            Event::Finished { file } => {
                if let Some(bar) = state.files.remove(file) {
                    bar.finish_and_clear();
                }
                if state.files.is_empty()
                    && let Some(total) = &state.total
                    && Some(total.position()) >= total.length()
                {
                    total.finish_and_clear();
                }
            }
            Event::Temporary { folder } => {
                let unfinished = remove_if_stopped(folder.to_path_buf());
                state.temporary.push(unfinished);
            }
            Event::Note(note) => self.bars.suspend(|| self.ui.note(note)),
        }
    }
}
