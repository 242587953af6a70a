//! RoPE in `config.json`, in both styles: `rope_theta` with `rope_scaling`, and
//! `rope_parameters`. Defaults as in `modeling_rope_utils.py` of `transformers`.

use super::{Config, FrequencyPrecision, LongRope, Pairing, Position, Rope, RopeScaling, Yarn};
use crate::Result;

/// The base when no key names one.
const DEFAULT_THETA: f64 = 10_000.0;

/// Which layers some parameters are for.
#[derive(Clone, Copy)]
enum Layers {
    /// Those without a window; all, where there is no difference.
    Full,
    Windowed,
}

/// `rope_parameters`, which may hold one object for each kind of layer.
fn parameters(c: &Config, layers: Layers) -> Result<Option<Config>> {
    let Some(parameters) = c.opt_object("rope_parameters")? else {
        return Ok(None);
    };
    let full = parameters.opt_object("full_attention")?;
    let windowed = parameters.opt_object("sliding_attention")?;
    if full.is_some() || windowed.is_some() {
        parameters.finish(&[])?;
    }
    Ok(match layers {
        Layers::Windowed => windowed,
        Layers::Full => Some(full.unwrap_or(parameters)),
    })
}

/// The rotary embedding in LLaMA's keys, or the two that layers with a window and without have.
pub(super) fn position(c: &Config, head_dim: usize, max_len: usize) -> Result<Position> {
    let rotary_dim = rotary_dim(c, head_dim, 1.0)?;
    let full = Rope {
        theta: theta(c)?,
        rotary_dim,
        pairing: Pairing::Half,
        scaling: scaling(c, max_len, rotary_dim)?,
        decay: None,
        precision: FrequencyPrecision::F32,
    };
    // The older style has the base only.
    let local = c.opt_f64("rope_local_base_freq")?;
    let mut windowed = full.clone();
    match (parameters(c, Layers::Windowed)?, local) {
        (Some(s), _) => {
            windowed.theta = checked_theta(c, "rope_theta", s.opt_f64("rope_theta")?)?;
            windowed.scaling = scaling_of(c, s, max_len, rotary_dim)?;
        }
        (None, Some(theta)) => {
            windowed.theta = checked_theta(c, "rope_local_base_freq", Some(theta))?;
            windowed.scaling = RopeScaling::None;
        }
        (None, None) => return Ok(Position::Rope(full)),
    }
    Ok(Position::RopeByWindow { full, windowed })
}

/// The base of the wavelengths.
pub(super) fn theta(c: &Config) -> Result<f64> {
    let nested = match parameters(c, Layers::Full)? {
        Some(parameters) => parameters.opt_f64("rope_theta")?,
        None => None,
    };
    let top = c.opt_f64("rope_theta")?;
    checked_theta(c, "rope_theta", nested.or(top))
}

/// A base that `key` may have given.
pub(super) fn checked_theta(c: &Config, key: &str, theta: Option<f64>) -> Result<f64> {
    let theta = theta.unwrap_or(DEFAULT_THETA);
    if !(theta.is_finite() && theta > 0.0) {
        return Err(c.error(key, format!("{theta} found, a positive number wanted")));
    }
    Ok(theta)
}

/// How many of a head's dimensions turn: the part `partial_rotary_factor`, or `default` where no
/// key names one.
pub(super) fn rotary_dim(c: &Config, head_dim: usize, default: f64) -> Result<usize> {
    const KEY: &str = "partial_rotary_factor";
    let nested = match parameters(c, Layers::Full)? {
        Some(parameters) => parameters.opt_f64(KEY)?,
        None => None,
    };
    let top = c.opt_f64(KEY)?;
    part_of(c, KEY, head_dim, nested.or(top).unwrap_or(default))
}

/// `factor` of a head's dimensions, rounded down; they turn in pairs.
pub(super) fn part_of(c: &Config, key: &str, head_dim: usize, factor: f64) -> Result<usize> {
    let dim = (head_dim as f64 * factor) as usize;
    if !(0.0..=1.0).contains(&factor) || dim == 0 || !dim.is_multiple_of(2) {
        return Err(c.error(
            key,
            format!("{factor} of a head's {head_dim} dimensions is not a number of pairs"),
        ));
    }
    Ok(dim)
}

/// The scaling, from `rope_parameters` or the older `rope_scaling`; `max_len` is
/// `max_position_embeddings`.
pub(super) fn scaling(c: &Config, max_len: usize, rotary_dim: usize) -> Result<RopeScaling> {
    let new = parameters(c, Layers::Full)?;
    let old = c.opt_object("rope_scaling")?;
    match new.or(old) {
        Some(s) => scaling_of(c, s, max_len, rotary_dim),
        None => Ok(RopeScaling::None),
    }
}

fn scaling_of(c: &Config, s: Config, max_len: usize, rotary_dim: usize) -> Result<RopeScaling> {
    s.opt_f64("rope_theta")?;
    let kind = match s.opt_str("rope_type")? {
        Some(kind) => kind,
        None => s.opt_str("type")?.unwrap_or("default"),
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear {
            factor: factor(&s)?,
        },
        "dynamic" => RopeScaling::Dynamic {
            factor: factor(&s)?,
            original: s
                .opt_size("original_max_position_embeddings")?
                .unwrap_or(max_len),
        },
        "llama3" => RopeScaling::Llama3 {
            factor: factor(&s)?,
            low_freq_factor: s.f64("low_freq_factor")?,
            high_freq_factor: s.f64("high_freq_factor")?,
            original: s.size("original_max_position_embeddings")?,
        },
        "yarn" => RopeScaling::Yarn(yarn(&s, max_len)?),
        // The older name is Phi-3's.
        "longrope" | "su" => RopeScaling::Long(longrope(c, &s, max_len, rotary_dim)?),
        other => return Err(s.error("rope_type", format!("{other} is not supported"))),
    };
    // Both spellings stand side by side in many files.
    s.opt_str("type")?;
    s.opt_f64("partial_rotary_factor")?;
    // YaRN's own code has these two; the reference ignores them.
    s.finish(&["attn_factor", "finetuned"])?;
    Ok(scaling)
}

fn factor(s: &Config) -> Result<f64> {
    let factor = s.f64("factor")?;
    if !(factor.is_finite() && factor >= 1.0) {
        return Err(s.error("factor", format!("{factor} found, 1 or more wanted")));
    }
    Ok(factor)
}

fn longrope(c: &Config, s: &Config, max_len: usize, rotary_dim: usize) -> Result<LongRope> {
    let divisors = |key: &str| -> Result<Vec<f32>> {
        let values = s.opt_f64s(key)?.unwrap_or_default();
        let usable = values.iter().all(|v| v.is_finite() && *v > 0.0);
        if values.len() != rotary_dim / 2 || !usable {
            return Err(s.error(
                key,
                format!(
                    "{} positive numbers wanted, {} found",
                    rotary_dim / 2,
                    values.len()
                ),
            ));
        }
        Ok(values.into_iter().map(|v| v as f32).collect())
    };
    const ORIGINAL: &str = "original_max_position_embeddings";
    let nested = s.opt_size(ORIGINAL)?;
    let original = c.opt_size(ORIGINAL)?.or(nested).unwrap_or(max_len);
    let factor = s.opt_f64("factor")?;
    let stretch = factor.unwrap_or(max_len as f64 / original as f64);
    let attention_factor = match s.opt_f64("attention_factor")? {
        Some(f) => f,
        None if stretch <= 1.0 => 1.0,
        None => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
    };
    Ok(LongRope {
        short: divisors("short_factor")?,
        long: divisors("long_factor")?,
        original,
        attention_factor,
    })
}

fn yarn(s: &Config, max_len: usize) -> Result<Yarn> {
    let factor = factor(s)?;
    // DeepSeek's pair of keys; the general rule is 0.1·ln(factor) + 1 (YaRN, eq. 22).
    let mscale = |scale: f64, m: f64| {
        if scale <= 1.0 {
            1.0
        } else {
            0.1 * m * scale.ln() + 1.0
        }
    };
    let (m, m_all) = (s.opt_f64("mscale")?, s.opt_f64("mscale_all_dim")?);
    let attention_factor = match (s.opt_f64("attention_factor")?, m, m_all) {
        (Some(f), _, _) => f,
        (None, Some(m), Some(all)) if m != 0.0 && all != 0.0 => {
            mscale(factor, m) / mscale(factor, all)
        }
        _ => mscale(factor, 1.0),
    };
    Ok(Yarn {
        factor,
        original: s
            .opt_size("original_max_position_embeddings")?
            .unwrap_or(max_len),
        beta_fast: s.opt_f64("beta_fast")?.unwrap_or(32.0),
        beta_slow: s.opt_f64("beta_slow")?.unwrap_or(1.0),
        attention_factor,
        truncate: s.opt_bool("truncate")?.unwrap_or(true),
    })
}
