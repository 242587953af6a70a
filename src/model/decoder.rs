//! The decoder: one forward pass for every causal model.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Model, Pass, ROPE_FREQS, Rows, check_ids};
use crate::arch::{FinalNorm, Position, Rope, RopeScaling, Spec};
use crate::nn::attention::{Direction, ScoreBias};
use crate::nn::{
    Block, Builder, Cache, CacheType, Embedding, Norm, Over, Plan, Rotary, RotaryTable, Site, Step,
};
use crate::{Error, Result};

/// A decoder as its [`Spec`] declares it.
pub struct Decoder {
    spec: Spec,
    device: Device,
    embedding: Embedding,
    /// What is added for a token's place.
    places: Vec<Places>,
    embedding_norm: Option<Norm>,
    rotary: Option<Rotary>,
    /// That of layers with a window, where it is another.
    windowed: Option<Rotary>,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    weight_bytes: usize,
    n_params: usize,
}

/// Learned vectors `[rows, hidden]`, of which place p of a plan has row p + `offset`.
struct Places {
    table: Tensor,
    offset: usize,
    place: fn(&Plan, usize) -> usize,
}

impl Places {
    fn load(
        builder: &Builder<'_>,
        name: &str,
        [rows, hidden]: [usize; 2],
        place: fn(&Plan, usize) -> usize,
    ) -> Result<Self> {
        Ok(Self {
            table: builder.table(name, rows, hidden)?,
            offset: 0,
            place,
        })
    }

    /// The vectors of a step's tokens, `[T, hidden]`.
    fn lookup(&self, step: &Step<'_>) -> Result<Tensor> {
        let rows = self.table.dim(0)?;
        let limit = rows.saturating_sub(self.offset);
        let ids = (step.start..step.start + step.len)
            .map(|i| match (self.place)(step.plan, i) {
                p if p < limit => Ok((p + self.offset) as u32),
                p => Err(Error::ContextFull {
                    needed: p + 1,
                    limit,
                }),
            })
            .collect::<Result<Vec<u32>>>()?;
        let ids = Tensor::new(ids, self.table.device())?;
        Ok(self.table.index_select(&ids, 0)?)
    }
}

impl Decoder {
    /// Loads every layer, telling `progress` how many of all are done.
    ///
    /// # Errors
    /// If a tensor is missing, spare or of the wrong shape.
    pub fn load(
        builder: &Builder<'_>,
        spec: &Spec,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let embedding = Embedding::load(builder, spec)?;
        let mut blocks = Vec::new();
        for layer in 0..spec.n_layers {
            progress(layer, spec.n_layers);
            blocks.push(Block::load(builder, spec, site(builder, spec, layer)?)?);
        }
        let norm = match spec.head.norm {
            FinalNorm::Present => Some(builder.norm("output_norm", spec.hidden_size, spec.norm)?),
            FinalNorm::Absent => None,
        };
        let embedding_norm = match spec.embedding.norm {
            Some(norm) => Some(builder.norm("token_embd_norm", spec.hidden_size, norm)?),
            None => None,
        };
        let rotary = match spec.position.rope() {
            Some(rope) => Some(turned(builder, spec, &with_divisors(rope, builder)?)?),
            None => None,
        };
        let windowed = match &spec.position {
            Position::RopeByWindow { windowed, .. } => Some(turned(builder, spec, windowed)?),
            _ => None,
        };
        let places = places(builder, spec)?;
        builder.weights.finish()?;
        progress(spec.n_layers, spec.n_layers);
        Ok(Self {
            spec: spec.clone(),
            device: builder.device.clone(),
            embedding,
            places,
            embedding_norm,
            rotary,
            windowed,
            blocks,
            norm,
            weight_bytes: builder.bytes(),
            n_params: builder.params(),
        })
    }

    fn step<'a>(&self, start: usize, len: usize, pass: Pass<'a>) -> Step<'a> {
        let plan = pass.plan;
        let positions = (start..start + len).map(|i| plan.position(i));
        let rotary = match (&self.rotary, &self.spec.position) {
            (Some(rotary), Position::Rope2d(_)) => rotary.table_2d(
                positions.clone(),
                (start..start + len).map(|i| plan.block(i)),
            ),
            (Some(rotary), _) => rotary.table(positions.clone(), plan.prompt_len),
            (None, _) => RotaryTable::none(),
        };
        let windowed = self.windowed.as_ref();
        Step {
            start,
            len,
            plan,
            rotary,
            windowed: windowed.map(|rotary| rotary.table(positions, plan.prompt_len)),
            trace: pass.trace,
        }
    }
}

/// The tables of learned positions.
fn places(builder: &Builder<'_>, spec: &Spec) -> Result<Vec<Places>> {
    let hidden = spec.hidden_size;
    match spec.position {
        Position::Learned { rows, offset } => {
            let table = Places::load(builder, "position_embd", [rows, hidden], Plan::position)?;
            Ok(vec![Places { offset, ..table }])
        }
        Position::LearnedBlocks { rows } => Ok(vec![
            Places::load(builder, "position_embd", [rows, hidden], Plan::position)?,
            Places::load(builder, "block_position_embd", [rows, hidden], Plan::block)?,
        ]),
        _ => Ok(Vec::new()),
    }
}

fn site(builder: &Builder<'_>, spec: &Spec, layer: usize) -> Result<Site> {
    let prefix = format!("blk.{layer}");
    let bias = match &spec.position {
        Position::Alibi { slopes } => Some(Arc::new(ScoreBias::Slopes(slopes.clone()))),
        Position::RoundedAlibi { slopes, scale } => {
            Some(Arc::new(ScoreBias::rounded(slopes, *scale)))
        }
        &Position::Relative(bias) => Some(Arc::new(ScoreBias::load(
            builder,
            &format!("{prefix}.attn_rel_b"),
            bias,
            spec.attention.n_heads,
            Direction::Backward,
        )?)),
        _ => None,
    };
    Ok(Site {
        prefix,
        layer,
        bias,
        over: Over::Itself,
    })
}

/// The rotary embedding of a head, which must have the pairs that `rope` turns.
fn turned(builder: &Builder<'_>, spec: &Spec, rope: &Rope) -> Result<Rotary> {
    let (dim, head_dim) = (rope.rotary_dim, spec.attention.head_dim);
    let most = match spec.position {
        Position::Rope2d(_) => head_dim / 2,
        _ => head_dim,
    };
    if dim.is_multiple_of(2) && dim <= most {
        return Ok(Rotary::new(rope));
    }
    let message = format!(
        "RoPE turns {dim} of a head's {head_dim} dimensions; an even number up to {most} is wanted"
    );
    Err(Error::format(builder.weights.checkpoint().path(), message))
}

/// GGUF keeps Llama 3's scaling as a tensor of divisors.
fn with_divisors(rope: &Rope, builder: &Builder<'_>) -> Result<Rope> {
    let mut rope = rope.clone();
    if builder.weights.has(ROPE_FREQS) {
        let divisors = builder
            .weights
            .read(ROPE_FREQS, &[rope.rotary_dim / 2])?
            .to_f32()?;
        // With the formula's own parameters at hand the tensor says the same again.
        if rope.scaling == RopeScaling::None {
            rope.scaling = RopeScaling::Divisors(divisors);
        }
    }
    Ok(rope)
}

impl Model for Decoder {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn plan(&self, prompt: &[u32]) -> Result<Plan> {
        Plan::new(&self.spec.structure, prompt)
    }

    fn reusable(&self, old: &Plan, new: &Plan, common: usize) -> usize {
        let common = old.reusable(new, common);
        match &self.rotary {
            Some(rotary) => rotary.reusable(old.prompt_len, new.prompt_len, common),
            None => common,
        }
    }

    fn alike_in_one_pass(&self, positions: Range<usize>) -> bool {
        let rotary = self.rotary.as_ref();
        rotary.is_none_or(|rotary| rotary.alike_in_one_pass(positions))
    }

    fn begins_anew(&self, plan: &Plan, len: usize) -> bool {
        let rotary = self.rotary.as_ref();
        rotary.is_some_and(|rotary| rotary.turns_anew(plan.prompt_len, len))
    }

    fn new_cache(&self, kind: CacheType, capacity: usize) -> Result<Cache> {
        let fades = |rope: &Rope| rope.decay.is_some();
        if kind != CacheType::F32 && self.spec.position.rope().is_some_and(fades) {
            // Its factors on keys reach 2·10^4 at the end of the context and as little as the
            // inverse of that at its beginning.
            let message = "this model's xPos makes keys too large for f16 and too uneven for q8_0; take --cache-type f32";
            return Err(Error::Unsupported(message.to_string()));
        }
        // Where positions are learned, there are no more than were learned.
        let capacity = match self.spec.position {
            Position::Learned { rows, offset } => capacity.min(rows.saturating_sub(offset)),
            Position::LearnedBlocks { rows } => capacity.min(rows),
            _ => capacity,
        };
        Cache::new(
            kind,
            &self.spec.attention,
            self.spec.n_layers,
            capacity,
            &self.device,
        )
    }

    fn forward(&self, ids: &[u32], pass: Pass<'_>, cache: &mut Cache) -> Result<Tensor> {
        check_ids(ids)?;
        cache.reserve(ids.len())?;
        let step = self.step(cache.len(), ids.len(), pass);
        let mut x = self.embedding.lookup(ids)?;
        if let Some(scale) = self.spec.embedding.scale {
            x = (x * f64::from(scale))?;
        }
        for places in &self.places {
            x = (x + places.lookup(&step)?)?;
        }
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x)?;
        }
        if let Some(trace) = pass.trace {
            trace.add("embd".to_string(), &x)?;
        }
        for (block, layer) in self.blocks.iter().zip(&mut cache.layers) {
            x = block.forward(&x, &step, layer, None)?;
        }
        if pass.rows == Rows::Last {
            x = x.narrow(0, ids.len() - 1, 1)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        let logits = self.embedding.logits(&x)?;
        cache.advance(ids.len());
        Ok(logits.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
    }

    fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    fn n_params(&self) -> usize {
        self.n_params
    }
}
