//! The decoder: one forward pass for every causal model.

use candle_core::{DType, Device, Tensor};

use super::{Model, Pass, Rows};
use crate::arch::{Position, Rope, RopeScaling, Spec};
use crate::nn::{Block, Builder, Cache, CacheType, Embedding, Plan, Rotary, RotaryTable, Step};
use crate::{Error, Result};

/// A decoder as its [`Spec`] declares it.
pub struct Decoder {
    spec: Spec,
    device: Device,
    embedding: Embedding,
    rotary: Option<Rotary>,
    /// That of layers with a window, where it is another.
    windowed: Option<Rotary>,
    blocks: Vec<Block>,
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
            blocks.push(Block::load(builder, spec, layer)?);
        }
        let rotary = match spec.position.rope() {
            Some(rope) => Some(Rotary::new(&with_divisors(rope, builder)?)),
            None => None,
        };
        let windowed = match &spec.position {
            Position::RopeByWindow { windowed, .. } => Some(Rotary::new(windowed)),
            _ => None,
        };
        builder.weights.finish()?;
        progress(spec.n_layers, spec.n_layers);
        Ok(Self {
            spec: spec.clone(),
            device: builder.device.clone(),
            embedding,
            rotary,
            windowed,
            blocks,
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
        let positions: Vec<usize> = (step.start..step.start + step.len)
            .map(|i| pass.plan.position(i))
            .collect();
        let mut x = self.embedding.lookup(ids, &positions)?;
        if let Some(trace) = pass.trace {
            trace.add("embd".to_string(), &x)?;
        }
        for (block, layer) in self.blocks.iter().zip(&mut cache.layers) {
            x = block.forward(&x, &step, layer)?;
        }
        if pass.rows == Rows::Last {
            x = x.narrow(0, ids.len() - 1, 1)?;
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
