//! The columns of the table, as types: what a family declares and the one forward pass reads.

/// A model, declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The family's name, for people: `llama`, `qwen3`.
    pub family: &'static str,
    /// Which tokens see which, and whether an encoder reads the prompt.
    pub structure: Structure,
    /// Rows of the token embedding and of the head, those that only pad included (`vocab_size`).
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers of the one stack, or of the decoder's (`num_hidden_layers`).
    pub n_layers: usize,
    /// The context length that the model was made for (the table's MSL).
    pub max_len: usize,
    /// From token ids to the first hidden states `[T, hidden_size]`.
    pub embedding: Embedding,
    /// The position column (PE).
    pub position: Position,
    /// One for all layers, windows excepted.
    pub attention: Attention,
    /// One for all layers, for queries and keys, and before the head.
    pub norm: Norm,
    /// Around each layer's branches, attention and feed-forward.
    pub placement: Placement,
    /// One for all layers.
    pub ffn: Ffn,
    /// From the last hidden states to logits `[T, vocab_size]`.
    pub head: Head,
}

/// Decoder-only, prefix LM or encoder-decoder.
#[derive(Debug, Clone, PartialEq)]
pub enum Structure {
    /// Every token sees the tokens before it.
    Causal,
    /// The context sees itself both ways, what is generated sees what is before it.
    Prefix(PrefixLm),
    /// The prompt goes through an encoder; `n_layers` are the decoder's.
    EncoderDecoder(EncoderDecoder),
}

/// The encoder's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderDecoder {
    /// T5's `num_layers`.
    pub encoder_layers: usize,
    /// What the decoder begins with.
    pub start_id: u32,
}

/// One of an encoder-decoder's two stacks of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Reads the prompt, every token seeing all others.
    Encoder,
    /// Generates, each token seeing those before it and all of the encoder's output.
    Decoder,
}

impl Side {
    /// What its tensors' names begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Side::Encoder => "enc.",
            Side::Decoder => "dec.",
        }
    }
}

/// How a prefix LM divides its prompt (Du et al. 2022, arXiv:2103.10360): the context ends where
/// the start token stands; what follows fills in the blank that a mask token marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixLm {
    /// The id after which generation begins; it belongs to what is generated.
    pub start_id: u32,
    /// The masks, the one that is looked for first at the front.
    pub masks: Vec<Mask>,
}

/// A mask token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Its token id (`mask_token_id`, `gmask_token_id`).
    pub id: u32,
    /// Where the tokens after the start token are placed if this mask is the one found.
    pub then: AfterMask,
}

/// The positions of what fills a blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterMask {
    /// All have the mask's position; block positions count 1, 2, 3 …
    Stay,
    /// They run on after the context.
    RunOn,
}

/// How token ids become vectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embedding {
    /// A factor on the looked-up rows (Gemma: √hidden).
    pub scale: Option<f32>,
    /// A norm on the sum of all embeddings (`token_embd_norm`).
    pub norm: Option<Norm>,
    /// The rows' width where it is not the residual stream's: a projection leads in
    /// (`token_embd_in`) and another out, before the head (`output_in`).
    pub width: Option<usize>,
}

/// Where the model gets its sense of order from.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// Queries and keys are turned by the position in every layer.
    Rope(Rope),
    /// Layers with a window turn by `windowed`, the others by `full`.
    RopeByWindow {
        /// For layers that see everything before them.
        full: Rope,
        /// For layers with a window (Gemma 3's `rope_local_base_freq`).
        windowed: Rope,
    },
    /// A bias on the scores that falls with distance, at its own slope in each head (Press et
    /// al. 2022, arXiv:2108.12409).
    Alibi {
        /// What a score loses with each position of distance, `[n_heads]`.
        slopes: Vec<f32>,
    },
    /// The same by the key's position alone, slopes and biases rounded to bf16 and then multiplied
    /// by `scale` (Falcon's `build_alibi_tensor`). At long distances the rounding tells.
    RoundedAlibi {
        /// As for [`Position::Alibi`], before they are rounded, `[n_heads]`.
        slopes: Vec<f32>,
        /// `head_dim^-0.5` in Falcon, which scales scores and biases alike.
        scale: f32,
    },
    /// A table `position_embd` of `rows`, added to the embedding; position 0 has row `offset`.
    Learned {
        /// All rows of the table, those before `offset` included.
        rows: usize,
        /// Rows that no position has: 2 in OPT, for padding; 0 in GPT-2.
        offset: usize,
    },
    /// Each head is two halves: the first turns by the position, the second by the block
    /// position (Du et al. 2022, arXiv:2103.10360). `rotary_dim` is that of one half.
    Rope2d(Rope),
    /// A learned bias for each head and bucket of distances, added to the scores (Raffel et al.
    /// 2019, arXiv:1910.10683).
    Relative(RelativeBias),
    /// Learned vectors for the position and the block position, added to the embeddings; `rows`
    /// of each.
    LearnedBlocks {
        /// One more than `max_sequence_length`.
        rows: usize,
    },
}

/// T5's relative position bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RelativeBias {
    /// Rows of a table `[n_buckets, n_heads]` (`relative_attention_num_buckets`).
    pub n_buckets: usize,
    /// Distances from here on share the last bucket.
    pub max_distance: usize,
    /// Whether layers share one table.
    pub tables: BiasTables,
    /// A factor on the learned values.
    pub scale: f32,
}

/// Which layers have a table of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasTables {
    /// The first, for all.
    First,
    /// Every layer (UMT5, LaMDA).
    Each,
}

impl Position {
    /// The rotary embedding, if there is one.
    pub fn rope(&self) -> Option<&Rope> {
        match self {
            Position::Rope(rope)
            | Position::Rope2d(rope)
            | Position::RopeByWindow { full: rope, .. } => Some(rope),
            Position::Alibi { .. }
            | Position::RoundedAlibi { .. }
            | Position::Learned { .. }
            | Position::LearnedBlocks { .. }
            | Position::Relative(_) => None,
        }
    }

    /// ALiBi with the slopes of its paper's appendix: powers of 2^(-max_bias / n) for the
    /// largest power of two n, then, for the heads that are left, every other one of twice as
    /// many.
    pub fn alibi(n_heads: usize, max_bias: f64) -> Self {
        let n = 1usize << n_heads.max(1).ilog2();
        let slope = |i: usize| match i.checked_sub(n) {
            None => -max_bias * (i + 1) as f64 / n as f64,
            Some(i) => -max_bias * (2 * i + 1) as f64 / (2 * n) as f64,
        };
        let slopes = (0..n_heads).map(|i| slope(i).exp2() as f32).collect();
        Position::Alibi { slopes }
    }
}

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the geometric series of wavelengths.
    pub theta: f64,
    /// How many of a head's dimensions turn; the rest pass through.
    pub rotary_dim: usize,
    /// Which dimensions turn together.
    pub pairing: Pairing,
    /// How it reaches past the trained length (`rope_scaling`).
    pub scaling: RopeScaling,
    /// xPos: how a pair fades with distance, if it does.
    pub decay: Option<Decay>,
    /// Of the angular frequencies `theta^(-2i / rotary_dim)`, after scaling.
    pub precision: FrequencyPrecision,
}

/// xPos's decay (Sun et al. 2022, arXiv:2212.10554): the pair with frequency number i of d/2 is
/// scaled by ((2i + 0.4d) / 1.4d)^(p / base) in queries and by its inverse in keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    /// Distance over which a pair fades by its whole factor (`scale_base`, usually 512).
    pub base: f64,
    /// The position of scale 1. It cancels out; a middling one keeps the numbers in range.
    pub center: usize,
}

impl Decay {
    /// The factor of a query's `i`-th pair at a position.
    pub fn at(&self, i: usize, rotary_dim: usize, position: usize) -> f32 {
        let dim = rotary_dim as f64;
        let base = (2.0 * i as f64 + 0.4 * dim) / (1.4 * dim);
        let power = (position as f64 - self.center as f64) / self.base;
        base.powf(power) as f32
    }
}

/// The precision in which a reference keeps its frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrequencyPrecision {
    /// Single precision.
    F32,
    /// Rounded to half precision even when running in f32.
    F16,
}

/// Which two dimensions form a rotating pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// `i` with `i + rotary_dim/2` (the Hub's layout, "rotate half").
    Half,
    /// `2i` with `2i + 1` (the original layout).
    Interleaved,
}

/// How RoPE is stretched beyond the trained length. Formulas as in `modeling_rope_utils.py` of
/// the `transformers` library.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not stretched.
    None,
    /// Positions divided by `factor` (position interpolation).
    Linear {
        /// How many trained lengths the context is.
        factor: f64,
    },
    /// The base grows with the length past `original` (dynamic NTK).
    Dynamic {
        /// The factor s of theta·(s·n / original − s + 1)^(d / (d − 2)) at n tokens.
        factor: f64,
        /// The trained length in tokens (`original_max_position_embeddings`).
        original: usize,
    },
    /// Llama 3.1: long wavelengths divided, short kept, a ramp between.
    Llama3 {
        /// What the frequencies of long wavelengths are divided by.
        factor: f64,
        /// Fewer turns than this in `original` positions make a wavelength long.
        low_freq_factor: f64,
        /// More turns than this in `original` positions make it short.
        high_freq_factor: f64,
        /// The trained length in tokens (`original_max_position_embeddings`).
        original: usize,
    },
    /// YaRN (Peng et al. 2023, arXiv:2309.00071).
    Yarn(Yarn),
    /// Qwen v1: the base grows by powers of two with the prompt's length past `train_len`, and
    /// stays while the prompt is continued.
    PromptNtk {
        /// The trained length in tokens (Qwen v1's `seq_length`).
        train_len: usize,
    },
    /// LongRoPE (Ding et al. 2024, arXiv:2402.13753).
    Long(LongRope),
    /// Explicit divisors of every frequency (GGUF's `rope_freqs.weight`).
    Divisors(Vec<f32>),
}

/// LongRoPE's divisors of every frequency: `short` up to `original` tokens, `long` beyond.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRope {
    /// `short_factor`, `[rotary_dim / 2]`.
    pub short: Vec<f32>,
    /// `long_factor`, `[rotary_dim / 2]`.
    pub long: Vec<f32>,
    /// The trained length in tokens (`original_max_position_embeddings`).
    pub original: usize,
    /// The factor on cos and sin.
    pub attention_factor: f64,
}

/// YaRN's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// The paper's s: the context in trained lengths, by which slow frequencies are divided.
    pub factor: f64,
    /// The trained length in tokens (`original_max_position_embeddings`).
    pub original: usize,
    /// The paper's β (32): pairs of more turns in `original` positions keep their frequency.
    pub beta_fast: f64,
    /// The paper's α (1): the frequencies of pairs of fewer turns are divided by all of `factor`.
    pub beta_slow: f64,
    /// The factor on cos and sin.
    pub attention_factor: f64,
    /// Whether the ramp's bounds are rounded to whole dimensions.
    pub truncate: bool,
}

/// The attention column.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Heads of queries (`num_attention_heads`).
    pub n_heads: usize,
    /// Heads of keys and values: `n_heads` (MHA), 1 (MQA) or between (GQA).
    pub kv_heads: usize,
    /// Width of one head, in queries, keys and values alike.
    pub head_dim: usize,
    /// The factor on q·k, usually `head_dim^-0.5`.
    pub scale: f32,
    /// A factor on queries that grows with their position.
    pub query_scale: QueryScale,
    /// Which of the four projections have one.
    pub bias: AttentionBias,
    /// Queries, keys and values are clamped to ±this.
    pub clip: Option<f32>,
    /// Whether queries and keys have norms of their own.
    pub qk_norm: QkNorm,
    /// Scores s become cap·tanh(s / cap).
    pub softcap: Option<f32>,
    /// How far back each layer sees (`sliding_window`).
    pub window: Window,
}

/// What else queries are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryScale {
    /// Nothing.
    None,
    /// ln(p + 1) / ln(train_len) at 0-based positions p past the trained length (Su 2021, "log-n
    /// scaling"; `modeling_qwen.py`).
    LogN {
        /// Qwen v1's `seq_length`, in tokens.
        train_len: usize,
    },
}

impl QueryScale {
    /// The factor at a 0-based position.
    pub fn at(self, position: usize) -> f32 {
        match self {
            QueryScale::LogN { train_len } if position + 1 > train_len => {
                (((position + 1) as f64).ln() / (train_len as f64).ln()) as f32
            }
            _ => 1.0,
        }
    }
}

impl Attention {
    /// Plain attention: scores scaled by `head_dim^-0.5`, no biases, and nothing else.
    pub fn new(n_heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self {
            n_heads,
            kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            query_scale: QueryScale::None,
            bias: AttentionBias::None,
            clip: None,
            qk_norm: QkNorm::None,
            softcap: None,
            window: Window::Unlimited,
        }
    }

    /// The canonical names of the three projections.
    pub fn qkv_names() -> [&'static str; 3] {
        ["blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"]
    }

    /// The three projections with their rows, for checkpoints that stack them.
    pub fn qkv_rows(&self) -> [(&'static str, usize); 3] {
        let [q, k, v] = Self::qkv_names();
        let kv = self.kv_heads * self.head_dim;
        [(q, self.n_heads * self.head_dim), (k, kv), (v, kv)]
    }
}

/// Which of attention's projections have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// No projection (LLaMA).
    None,
    /// Queries, keys and values (Qwen2).
    Qkv,
    /// Only the projection of what the heads give (LaMDA).
    Output,
    /// All four (GPT-2).
    All,
}

/// Normalization of queries and keys before the position is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNorm {
    /// Neither is normalized.
    None,
    /// Each head on its own, one weight of `head_dim` for all.
    PerHead,
}

/// How far back a token sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// To the first token, in every layer.
    Unlimited,
    /// This many tokens, itself included, in every layer.
    All(usize),
    /// As listed, layer by layer.
    Layers(Vec<Option<usize>>),
}

impl Window {
    /// The window of one layer.
    pub fn of_layer(&self, layer: usize) -> Option<usize> {
        match self {
            Window::Unlimited => None,
            Window::All(w) => Some(*w),
            Window::Layers(v) => v.get(layer).copied().flatten(),
        }
    }
}

/// The norm column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Which statistics it takes out, and which weights come with it.
    pub kind: NormKind,
    /// Added under the root, to the mean square or the variance (`rms_norm_eps`).
    pub eps: f64,
}

/// What is normalized away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// The root mean square (Zhang & Sennrich 2019, arXiv:1910.07467).
    Rms,
    /// Mean and variance, with weight and bias (Ba et al. 2016, arXiv:1607.06450).
    Layer,
    /// Mean and variance, without a bias.
    LayerNoBias,
    /// The same, with one less than its weight stored.
    LayerNoBiasPlusOne,
}

/// Where the norms stand around the residual branches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Placement {
    /// `h = x + attn(norm(x)); y = h + ffn(norm(h))`.
    Pre,
    /// `h = norm(x + attn(x)); y = norm(h + ffn(h))`.
    Post,
    /// `h = x + norm(attn(norm(x))); y = h + norm(ffn(norm(h)))`.
    Sandwich,
    /// `n = norm(x); y = x + attn(n) + ffn(n)` (Wang & Komatsuzaki 2021, GPT-J).
    Parallel,
    /// `y = x + attn(norm(x)) + ffn(norm'(x))`.
    ParallelTwoNorms,
    /// `n = norm(x); h = n·alpha + attn(n); m = norm(h); y = m·alpha + ffn(m)`: DeepNorm as GLM
    /// has it (Wang et al. 2022, arXiv:2203.00555; `modeling_chatglm.py`).
    Deep {
        /// The weight of the residual, √(2·layers).
        alpha: f64,
    },
}

/// The feed-forward column.
#[derive(Debug, Clone, PartialEq)]
pub struct Ffn {
    /// Gated, plain, or a mixture of experts.
    pub kind: FfnKind,
    /// Width between up and down (`intermediate_size`); that of one expert where there are such.
    pub inner: usize,
    /// Applied to the gate, or, where there is none, to `up`.
    pub activation: Activation,
    /// Whether its linear layers have a bias.
    pub bias: bool,
}

impl Ffn {
    /// Gate and up with their rows, for checkpoints that stack them.
    pub fn gate_up_rows(&self) -> [(&'static str, usize); 2] {
        [
            ("blk.{}.ffn_gate", self.inner),
            ("blk.{}.ffn_up", self.inner),
        ]
    }
}

/// The shape of the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FfnKind {
    /// `down(act(gate(x)) · up(x))` (Shazeer 2020, arXiv:2002.05202).
    Gated,
    /// `down(act(up(x)))`.
    Plain,
    /// Gated layers, of which a router picks some for each token (Shazeer et al. 2017,
    /// arXiv:1701.06538).
    Experts(Experts),
}

/// A mixture of experts: tensors `ffn_gate_inp` (the router) and `ffn_{gate,up,down}_exps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// How many each layer has (`num_local_experts`, `num_experts`).
    pub count: usize,
    /// How many run for each token (`num_experts_per_tok`).
    pub used: usize,
    /// How the router weighs them.
    pub weighting: ExpertWeighting,
}

/// What the chosen experts' outputs are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpertWeighting {
    /// The router's probabilities over all experts.
    Softmax,
    /// These, made to sum to 1 over the chosen ones.
    SoftmaxRenormalized,
}

/// The activation column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·σ(x), also called swish.
    Silu,
    /// GELU with the error function.
    Gelu,
    /// GELU's tanh approximation.
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// How the last hidden state becomes logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[vocab_size, hidden_size]`, or as wide as [`Embedding::width`] says.
    pub weight: HeadWeight,
    /// Whether `output.bias`, `[vocab_size]`, is added.
    pub bias: bool,
    /// A factor on the hidden states before the head.
    pub scale: Option<f32>,
    /// The norm before it.
    pub norm: FinalNorm,
    /// Logits l become cap·tanh(l / cap).
    pub softcap: Option<f32>,
}

impl Head {
    /// A head after the usual norm, and nothing after it.
    pub fn new(weight: HeadWeight) -> Self {
        Self {
            weight,
            bias: false,
            scale: None,
            norm: FinalNorm::Present,
            softcap: None,
        }
    }
}

/// Whether the last layer's output is normalized before the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalNorm {
    /// By `output_norm`.
    Present,
    /// It goes into the head as it is (OPT-350M, whose layers end in a norm).
    Absent,
}

/// Which matrix the head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadWeight {
    /// The token embedding.
    Tied,
    /// Its own.
    Own,
}
