//! The tensors that a declaration wants, as loading asks for them, without their numbers: a model
//! must fit its declaration before it is written. `tests/quantize.rs` holds the two together, for
//! it writes every oracle and loads it.

use crate::Result;
use crate::arch::{
    AttentionBias, BiasTables, FfnKind, FinalNorm, HeadWeight, NormKind, Placement, Position,
    QkNorm, Side, Spec, Structure,
};
use crate::weights::Weights;

/// llama.cpp's name for Llama 3's frequency divisors.
pub const ROPE_FREQS: &str = "rope_freqs.weight";

/// Checks that `weights` has every tensor that a model of `spec` is made of, in its shape, and no
/// other.
///
/// # Errors
/// As loading: names the first tensor that is missing, of another shape or spare.
pub fn check_tensors(weights: &Weights, spec: &Spec) -> Result<()> {
    let wanted = Wanted { weights, spec };
    wanted.embedding()?;
    match spec.structure {
        Structure::EncoderDecoder(sides) => {
            for (side, n_layers) in [
                (Side::Encoder, sides.encoder_layers),
                (Side::Decoder, spec.n_layers),
            ] {
                wanted.layers(Some(side), n_layers)?;
                let name = format!("{}output_norm", side.prefix());
                wanted.norm(&name, spec.hidden_size, spec.norm.kind)?;
            }
        }
        Structure::Causal | Structure::Prefix(_) => {
            wanted.layers(None, spec.n_layers)?;
            wanted.decoder()?;
        }
    }
    weights.finish()
}

struct Wanted<'a> {
    weights: &'a Weights,
    spec: &'a Spec,
}

impl Wanted<'_> {
    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<()> {
        self.weights.claim(&format!("{name}.weight"), &[rows, cols])
    }

    fn linear(&self, name: &str, [inputs, outputs]: [usize; 2], bias: bool) -> Result<()> {
        self.matrix(name, outputs, inputs)?;
        match bias {
            true => self.weights.claim(&format!("{name}.bias"), &[outputs]),
            false => Ok(()),
        }
    }

    fn norm(&self, name: &str, len: usize, kind: NormKind) -> Result<()> {
        self.weights.claim(&format!("{name}.weight"), &[len])?;
        match kind {
            NormKind::Layer => self.weights.claim(&format!("{name}.bias"), &[len]),
            NormKind::Rms | NormKind::LayerNoBias | NormKind::LayerNoBiasPlusOne => Ok(()),
        }
    }

    /// The embedding and the head.
    fn embedding(&self) -> Result<()> {
        let spec = self.spec;
        let (vocab_size, hidden) = (spec.vocab_size, spec.hidden_size);
        let width = spec.embedding.width.unwrap_or(hidden);
        self.matrix("token_embd", vocab_size, width)?;
        if spec.head.weight == HeadWeight::Own {
            self.matrix("output", vocab_size, width)?;
        }
        if spec.embedding.width.is_some() {
            self.linear("token_embd_in", [width, hidden], false)?;
            self.linear("output_in", [hidden, width], false)?;
        }
        match spec.head.bias {
            true => self.weights.claim("output.bias", &[vocab_size]),
            false => Ok(()),
        }
    }

    /// What a decoder has besides its embedding and its layers.
    fn decoder(&self) -> Result<()> {
        let (spec, hidden) = (self.spec, self.spec.hidden_size);
        if spec.head.norm == FinalNorm::Present {
            self.norm("output_norm", hidden, spec.norm.kind)?;
        }
        if let Some(norm) = spec.embedding.norm {
            self.norm("token_embd_norm", hidden, norm.kind)?;
        }
        // Only GGUF files have it.
        if let Some(rope) = spec.position.rope()
            && self.weights.has(ROPE_FREQS)
        {
            self.weights.claim(ROPE_FREQS, &[rope.rotary_dim / 2])?;
        }
        match spec.position {
            Position::Learned { rows, .. } => self.matrix("position_embd", rows, hidden),
            Position::LearnedBlocks { rows } => {
                self.matrix("position_embd", rows, hidden)?;
                self.matrix("block_position_embd", rows, hidden)
            }
            _ => Ok(()),
        }
    }

    /// The layers of one side, or of a model that has no sides.
    fn layers(&self, side: Option<Side>, n_layers: usize) -> Result<()> {
        for layer in 0..n_layers {
            let prefix = format!("{}blk.{layer}", side.map_or("", Side::prefix));
            if let Position::Relative(bias) = self.spec.position
                && (layer == 0 || bias.tables == BiasTables::Each)
            {
                let name = format!("{prefix}.attn_rel_b");
                self.matrix(&name, bias.n_buckets, self.spec.attention.n_heads)?;
            }
            self.layer(&prefix, side)?;
        }
        Ok(())
    }

    /// One layer; on the decoder's side it looks at the encoder's output too.
    fn layer(&self, prefix: &str, side: Option<Side>) -> Result<()> {
        let (hidden, kind) = (self.spec.hidden_size, self.spec.norm.kind);
        let norm = |part: &str| self.norm(&format!("{prefix}.{part}"), hidden, kind);
        norm("attn_norm")?;
        self.attention(&format!("{prefix}.attn"))?;
        if side == Some(Side::Decoder) {
            norm("cross_attn_norm")?;
            self.attention(&format!("{prefix}.cross_attn"))?;
        }
        match self.spec.placement {
            Placement::Parallel => {}
            Placement::Sandwich => {
                norm("ffn_norm")?;
                norm("post_attention_norm")?;
                norm("post_ffw_norm")?;
            }
            Placement::Pre
            | Placement::Post
            | Placement::ParallelTwoNorms
            | Placement::Deep { .. } => norm("ffn_norm")?,
        }
        self.feed_forward(prefix)
    }

    fn attention(&self, stem: &str) -> Result<()> {
        let (hidden, column) = (self.spec.hidden_size, &self.spec.attention);
        let inputs = matches!(column.bias, AttentionBias::Qkv | AttentionBias::All);
        let output = matches!(column.bias, AttentionBias::Output | AttentionBias::All);
        let q = column.n_heads * column.head_dim;
        let kv = column.kv_heads * column.head_dim;
        self.linear(&format!("{stem}_q"), [hidden, q], inputs)?;
        self.linear(&format!("{stem}_k"), [hidden, kv], inputs)?;
        self.linear(&format!("{stem}_v"), [hidden, kv], inputs)?;
        self.linear(&format!("{stem}_output"), [q, hidden], output)?;
        if column.qk_norm == QkNorm::PerHead {
            for part in ["q_norm", "k_norm"] {
                let name = format!("{stem}_{part}");
                self.norm(&name, column.head_dim, self.spec.norm.kind)?;
            }
        }
        Ok(())
    }

    fn feed_forward(&self, prefix: &str) -> Result<()> {
        let (hidden, ffn) = (self.spec.hidden_size, &self.spec.ffn);
        let name = |part: &str| format!("{prefix}.ffn_{part}");
        match ffn.kind {
            FfnKind::Experts(experts) => {
                let stack = |part: &str, [rows, cols]: [usize; 2]| {
                    let name = format!("{}.weight", name(part));
                    self.weights.claim(&name, &[experts.count, rows, cols])
                };
                stack("gate_exps", [ffn.inner, hidden])?;
                stack("up_exps", [ffn.inner, hidden])?;
                stack("down_exps", [hidden, ffn.inner])?;
                return self.matrix(&name("gate_inp"), experts.count, hidden);
            }
            FfnKind::Gated => self.linear(&name("gate"), [hidden, ffn.inner], ffn.bias)?,
            FfnKind::Plain => {}
        }
        self.linear(&name("up"), [hidden, ffn.inner], ffn.bias)?;
        self.linear(&name("down"), [ffn.inner, hidden], ffn.bias)
    }
}
