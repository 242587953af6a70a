//! Stop strings in streamed text, also where one is spread over several tokens.

/// Watches a stream of text for strings that end it.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Stops at the first of `stops`; empty ones are ignored.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|s| !s.is_empty()).collect(),
            ..Self::default()
        }
    }

    /// Takes the next text: what is safe to print, and whether a stop string was met. The stop
    /// string and what follows it are not given out.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        if self.stopped {
            return (String::new(), true);
        }
        self.held.push_str(text);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min();
        if let Some(at) = found {
            self.held.truncate(at);
            self.stopped = true;
            return (std::mem::take(&mut self.held), true);
        }
        let keep = self.stops.iter().map(|stop| self.overlap(stop)).max();
        let rest = self.held.split_off(self.held.len() - keep.unwrap_or(0));
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back when the stream ends without a stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Length of the longest end of the held text that `stop` begins with.
    fn overlap(&self, stop: &str) -> usize {
        (1..stop.len())
            .rev()
            .filter(|&n| stop.is_char_boundary(n))
            .find(|&n| self.held.ends_with(&stop[..n]))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stop_string_may_straddle_pieces() {
        let mut s = StopStrings::new(vec!["<|end|>".into(), "\n\n".into()]);
        assert_eq!(s.push("你好<"), ("你好".into(), false));
        assert_eq!(s.push("|e"), (String::new(), false));
        assert_eq!(s.push("x\n"), ("<|ex".into(), false));
        assert_eq!(s.push("\nrest"), (String::new(), true));
        assert_eq!(s.push("more"), (String::new(), true));
        assert_eq!(s.finish(), "");
    }

    #[test]
    fn what_was_held_comes_at_the_end() {
        let mut s = StopStrings::new(vec!["stop".into(), String::new()]);
        assert_eq!(s.push("sto"), (String::new(), false));
        assert_eq!(s.finish(), "sto");
    }

    proptest! {
        #[test]
        fn equals_cutting_the_whole(
            pieces in prop::collection::vec("[ab你]{0,3}", 0..12),
            stop in "[ab你]{1,4}",
        ) {
            let whole = pieces.concat();
            let wanted = whole.split(&stop).next().unwrap_or_default().to_string();
            let mut s = StopStrings::new(vec![stop]);
            let mut out: String = pieces.iter().map(|p| s.push(p).0).collect();
            out.push_str(&s.finish());
            prop_assert_eq!(out, wanted);
        }
    }
}
