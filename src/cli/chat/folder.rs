//! Where wick keeps what outlives it.

use std::path::PathBuf;

/// The folder of wick's state (in XDG_STATE_HOME); `None` where the environment names none.
pub fn state_folder() -> Option<PathBuf> {
    // A relative one would be another folder in every working directory; XDG ignores it too.
    let named = |variable: &str| {
        let folder = std::env::var_os(variable).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let state = named("XDG_STATE_HOME").or_else(|| named("LOCALAPPDATA"));
    let home = || named("HOME").map(|home| home.join(".local/state"));
    Some(state.or_else(home)?.join("wick"))
}
