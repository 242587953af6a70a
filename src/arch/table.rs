//! A family's tensor table: which stored tensor holds which canonical ones, and how they lie in
//! it. Data only; [`crate::weights::Weights`] applies it.
//!
//! Canonical names are GGUF's (`gguf-py/gguf/constants.py`): `token_embd`, `blk.{}.attn_q`,
//! `blk.{}.ffn_gate`, `output_norm`, `output`. `{}` stands for the layer's number. Names are
//! written without `.weight` and `.bias`: a rule covers both.

/// All the rules of one layout.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorTable {
    /// Looked through from the front: the first that fits a name, in reading and in writing, holds.
    pub rules: Vec<Rule>,
    /// A prefix that some repositories put before every name and others leave out.
    pub optional_prefix: Option<&'static str>,
    /// Stored tensors that are not weights (buffers, caches): full names with `{}`.
    pub ignored: Vec<&'static str>,
}

/// One stored tensor and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name in the file, less the optional prefix; a second `{}` is the number of an expert.
    pub stored: &'static str,
    /// The parts in the order in which their rows stand in each group.
    pub parts: Vec<Part>,
    /// How often the sequence of parts repeats: 1 when they are stacked, the number of heads (or
    /// of KV groups) when they are interleaved head by head.
    pub groups: usize,
    /// What has to be undone besides.
    pub change: Change,
    /// Names that stand in for `stored`, the first that is there, in files that lack it.
    pub instead: &'static [&'static str],
}

/// One canonical tensor inside a stored one.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// GGUF's name; where experts are stored one by one, its `{}` is the layer's number alone.
    pub canonical: &'static str,
    /// Its rows in one group; `None` for a part that is the whole stored tensor.
    pub rows: Option<usize>,
}

/// What else is different about the stored tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Nothing else.
    None,
    /// The rotating pairs of each head lie side by side (Meta's files, llama.cpp's `llama`)
    /// instead of half a head apart. `heads` of the part, `rotary` dimensions of each.
    RopePairs {
        /// Heads that the part has: of queries or of keys.
        heads: usize,
        /// How many of the dimensions of a head are in pairs.
        rotary: usize,
    },
    /// The matrix is stored `[in, out]`; rows are those of its transpose.
    Transpose,
    /// Weights are stored as what is to be added to 1.
    PlusOne,
    /// Rows are to be divided by their L2 norms (at least 1e-12). Biases are not concerned.
    UnitRows,
}

impl Rule {
    /// A stored tensor that only has another name.
    pub fn same(stored: &'static str, canonical: &'static str) -> Self {
        let part = Part {
            canonical,
            rows: None,
        };
        Self {
            stored,
            parts: vec![part],
            groups: 1,
            change: Change::None,
            instead: &[],
        }
    }

    /// Several canonical tensors stacked in one: `(name, rows)` from top to bottom.
    pub fn stacked<const N: usize>(
        stored: &'static str,
        parts: [(&'static str, usize); N],
    ) -> Self {
        Self::interleaved(stored, 1, parts)
    }

    /// The same sequence of parts `groups` times: `(name, rows in one group)`.
    pub fn interleaved<const N: usize>(
        stored: &'static str,
        groups: usize,
        parts: [(&'static str, usize); N],
    ) -> Self {
        Self {
            stored,
            parts: parts
                .into_iter()
                .map(|(canonical, rows)| Part {
                    canonical,
                    rows: Some(rows),
                })
                .collect(),
            groups,
            change: Change::None,
            instead: &[],
        }
    }

    /// With names that stand in where the stored one is missing.
    pub fn or_instead(mut self, names: &'static [&'static str]) -> Self {
        self.instead = names;
        self
    }

    /// As it holds for a file that has the names for which `has` is true.
    pub fn settled(&self, has: impl Fn(&str) -> bool) -> Self {
        let mut rule = self.clone();
        if !self.instead.is_empty()
            && !has(self.stored)
            && let Some(name) = self.instead.iter().find(|name| has(name))
        {
            rule.stored = name;
        }
        rule
    }

    /// With a change.
    pub fn with(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    /// With the stored numbers one less.
    pub fn plus_one(self) -> Self {
        self.with(Change::PlusOne)
    }

    /// With the rotating pairs of each head side by side.
    pub fn rope_pairs(self, heads: usize, rotary: usize) -> Self {
        self.with(Change::RopePairs { heads, rotary })
    }
}

impl TensorTable {
    /// The table of a file that holds every tensor under its canonical name.
    pub fn canonical(&self) -> Self {
        let names = self.rules.iter().flat_map(|r| &r.parts);
        Self::new(
            names
                .map(|p| Rule::same(p.canonical, p.canonical))
                .collect(),
        )
    }

    /// A table of rules with nothing optional and nothing ignored.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }
}
