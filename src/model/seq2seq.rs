//! The encoder-decoder: the prompt goes through an encoder once, the decoder looks at its output.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Model, Pass, Rows, check_ids};
use crate::arch::{BiasTables, EncoderDecoder, Position, Side, Spec};
use crate::nn::attention::{Direction, ScoreBias};
use crate::nn::{
    Block, Builder, Cache, CacheType, Embedding, LayerCache, Memory, Norm, Over, Plan, RotaryTable,
    Site, Step, Trace,
};
use crate::{Error, Result};

/// An encoder-decoder as its [`Spec`] declares it.
pub struct Seq2Seq {
    spec: Spec,
    start_id: u32,
    device: Device,
    embedding: Embedding,
    encoder: Stack,
    decoder: Stack,
    weight_bytes: usize,
    n_params: usize,
}

/// The layers of one side and the norm after them.
struct Stack {
    blocks: Vec<Block>,
    norm: Norm,
}

impl Stack {
    /// Loads one side's `n_layers` layers.
    fn load(
        builder: &Builder<'_>,
        spec: &Spec,
        side: Side,
        n_layers: usize,
        progress: &mut dyn FnMut(),
    ) -> Result<Self> {
        let (direction, over) = match side {
            Side::Encoder => (Direction::Both, Over::Itself),
            Side::Decoder => (Direction::Backward, Over::Memory),
        };
        let side = side.prefix();
        let mut bias = None;
        let mut blocks = Vec::new();
        for layer in 0..n_layers {
            progress();
            let prefix = format!("{side}blk.{layer}");
            if let Position::Relative(tables) = spec.position
                && (layer == 0 || tables.tables == BiasTables::Each)
            {
                let (name, n_heads) = (format!("{prefix}.attn_rel_b"), spec.attention.n_heads);
                let table = ScoreBias::load(builder, &name, tables, n_heads, direction)?;
                bias = Some(Arc::new(table));
            }
            let site = Site {
                prefix,
                layer,
                bias: bias.clone(),
                over,
            };
            blocks.push(Block::load(builder, spec, site)?);
        }
        let norm = builder.norm(&format!("{side}output_norm"), spec.hidden_size, spec.norm)?;
        Ok(Self { blocks, norm })
    }
}

impl Seq2Seq {
    /// Loads both stacks, telling `progress` how many layers of all are done.
    ///
    /// # Errors
    /// If a tensor is missing, spare or of the wrong shape.
    pub fn load(
        builder: &Builder<'_>,
        spec: &Spec,
        sides: EncoderDecoder,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let embedding = Embedding::load(builder, spec)?;
        let all = sides.encoder_layers + spec.n_layers;
        let mut done = 0;
        let mut step = || {
            progress(done, all);
            done += 1;
        };
        let mut load = |side, n_layers| Stack::load(builder, spec, side, n_layers, &mut step);
        let encoder = load(Side::Encoder, sides.encoder_layers)?;
        let decoder = load(Side::Decoder, spec.n_layers)?;
        builder.weights.finish()?;
        progress(all, all);
        Ok(Self {
            spec: spec.clone(),
            start_id: sides.start_id,
            device: builder.device.clone(),
            embedding,
            encoder,
            decoder,
            weight_bytes: builder.bytes(),
            n_params: builder.params(),
        })
    }
}

impl Model for Seq2Seq {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn plan(&self, prompt: &[u32]) -> Result<Plan> {
        Plan::new(&self.spec.structure, prompt)
    }

    fn reusable(&self, _old: &Plan, _new: &Plan, _common: usize) -> usize {
        // Every decoder token has looked at the whole prompt.
        0
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

    fn encode(
        &self,
        prompt: &[u32],
        trace: Option<&Trace>,
        cache: &mut Cache,
    ) -> Result<Option<Vec<u32>>> {
        check_ids(prompt)?;
        let len = prompt.len();
        // The whole prompt sees itself both ways.
        let plan = Plan {
            prompt_len: len,
            prefix: len,
            blank: None,
        };
        let step = Step {
            start: 0,
            len,
            plan: &plan,
            rotary: RotaryTable::none(),
            windowed: None,
            trace,
        };
        let mut x = self.embedding.lookup(prompt)?;
        let a = &self.spec.attention;
        for block in &self.encoder.blocks {
            let shape = [a.kv_heads, len, a.head_dim];
            let mut own = LayerCache::new(CacheType::F32, shape, &self.device)?;
            x = block.forward(&x, &step, &mut own, None)?;
        }
        let states = self.encoder.norm.forward(&x)?;
        let mut layers = Vec::new();
        for block in &self.decoder.blocks {
            layers.extend(block.remember(&states)?);
        }
        cache.memory = Some(Memory { layers, len });
        Ok(Some(vec![self.start_id]))
    }

    fn forward(&self, ids: &[u32], pass: Pass<'_>, cache: &mut Cache) -> Result<Tensor> {
        check_ids(ids)?;
        cache.reserve(ids.len())?;
        let Some(memory) = &cache.memory else {
            return Err(Error::Text(
                "the decoder has no prompt to look at".to_string(),
            ));
        };
        let step = Step {
            start: cache.len(),
            len: ids.len(),
            plan: &Plan::START,
            rotary: RotaryTable::none(),
            windowed: None,
            trace: pass.trace,
        };
        let mut x = self.embedding.lookup(ids)?;
        let layers = cache.layers.iter_mut().zip(&memory.layers);
        for (block, (own, memories)) in self.decoder.blocks.iter().zip(layers) {
            x = block.forward(&x, &step, own, Some((memories, memory.len)))?;
        }
        if pass.rows == Rows::Last {
            x = x.narrow(0, ids.len() - 1, 1)?;
        }
        let logits = self.embedding.logits(&self.decoder.norm.forward(&x)?)?;
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
