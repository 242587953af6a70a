//! The decoder: one forward pass for every causal model.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Model, Pass, Rows};
use crate::arch::{Position, Rope, RopeScaling, Spec};
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
    /// Tables `[rows, hidden]` of positions and block positions.
    learned: Option<[Tensor; 2]>,
    rotary: Option<Rotary>,
    blocks: Vec<Block>,
    norm: Norm,
    weight_bytes: usize,
    n_params: usize,
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
        let norm = builder.norm("output_norm", spec.hidden_size, spec.norm)?;
        let rotary = match spec.position.rope() {
            Some(rope) => Some(Rotary::new(&with_divisors(rope, builder)?)),
            None => None,
        };
        let learned = match spec.position {
            Position::LearnedBlocks { rows } => Some([
                builder.table("position_embd", rows, spec.hidden_size)?,
                builder.table("block_position_embd", rows, spec.hidden_size)?,
            ]),
            _ => None,
        };
        builder.weights.finish()?;
        progress(spec.n_layers, spec.n_layers);
        Ok(Self {
            spec: spec.clone(),
            device: builder.device.clone(),
            embedding,
            learned,
            rotary,
            blocks,
            norm,
            weight_bytes: builder.bytes(),
            n_params: builder.params(),
        })
    }

    /// The learned vectors of the step's positions, `[T, hidden]`.
    fn places(&self, [positions, blocks]: &[Tensor; 2], step: &Step<'_>) -> Result<Tensor> {
        let rows = |table: &Tensor, place: &dyn Fn(usize) -> usize| -> Result<Tensor> {
            let limit = table.dim(0)?;
            let ids = (step.start..step.start + step.len)
                .map(|i| match place(i) {
                    p if p < limit => Ok(p as u32),
                    p => Err(Error::ContextFull {
                        needed: p + 1,
                        limit,
                    }),
                })
                .collect::<Result<Vec<u32>>>()?;
            Ok(table.index_select(&Tensor::new(ids, &self.device)?, 0)?)
        };
        let plan = step.plan;
        let positions = rows(positions, &|i| plan.position(i))?;
        Ok((positions + rows(blocks, &|i| plan.block(i))?)?)
    }

    fn step<'a>(&self, start: usize, len: usize, pass: Pass<'a>) -> Step<'a> {
        let plan = pass.plan;
        let positions = (start..start + len).map(|i| plan.position(i));
        let rotary = match (&self.rotary, &self.spec.position) {
            (Some(rotary), Position::Rope2d(_)) => {
                rotary.table_2d(positions, (start..start + len).map(|i| plan.block(i)))
            }
            (Some(rotary), _) => rotary.table(positions, plan.prompt_len),
            (None, _) => RotaryTable::none(),
        };
        Step {
            start,
            len,
            plan,
            rotary,
            trace: pass.trace,
        }
    }
}

fn site(builder: &Builder<'_>, spec: &Spec, layer: usize) -> Result<Site> {
    let prefix = format!("blk.{layer}");
    let bias = match spec.position {
        Position::Relative(bias) => Some(Arc::new(ScoreBias::load(
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

/// GGUF keeps Llama 3's scaling as a tensor of divisors.
fn with_divisors(rope: &Rope, builder: &Builder<'_>) -> Result<Rope> {
    const NAME: &str = "rope_freqs.weight";
    let mut rope = rope.clone();
    if builder.weights.has(NAME) {
        let divisors = builder
            .weights
            .read(NAME, &[rope.rotary_dim / 2])?
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

    fn new_cache(&self, kind: CacheType, capacity: usize) -> Result<Cache> {
        Cache::new(
            kind,
            &self.spec.attention,
            self.spec.n_layers,
            capacity,
            &self.device,
        )
    }

    fn forward(&self, ids: &[u32], pass: Pass<'_>, cache: &mut Cache) -> Result<Tensor> {
        if ids.is_empty() {
            return Err(Error::Text(
                "there is nothing to run: no tokens".to_string(),
            ));
        }
        cache.reserve(ids.len())?;
        let step = self.step(cache.len(), ids.len(), pass);
        let mut x = self.embedding.lookup(ids)?;
        if let Some(scale) = self.spec.embedding.scale {
            x = (x * f64::from(scale))?;
        }
        if let Some(tables) = &self.learned {
            x = (x + self.places(tables, &step)?)?;
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
        let logits = self.embedding.logits(&self.norm.forward(&x)?)?;
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
