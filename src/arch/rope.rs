//! RoPE in `config.json`, in both styles: `rope_theta` with `rope_scaling`, and
//! `rope_parameters`. Defaults as in `modeling_rope_utils.py` of `transformers`.

use serde_json::json;

use super::{Config, RopeScaling, Yarn};
use crate::Result;

/// The base when no key names one.
const DEFAULT_THETA: f64 = 10_000.0;

/// The base of the wavelengths.
pub(super) fn theta(c: &Config) -> Result<f64> {
    let nested = match c.opt_object("rope_parameters")? {
        Some(parameters) => parameters.opt_f64("rope_theta")?,
        None => None,
    };
    let theta = match nested {
        Some(theta) => theta,
        None => c.opt_f64("rope_theta")?.unwrap_or(DEFAULT_THETA),
    };
    if !(theta.is_finite() && theta > 0.0) {
        return Err(c.error(
            "rope_theta",
            format!("{theta} found, a positive number wanted"),
        ));
    }
    Ok(theta)
}

/// The scaling, from `rope_parameters` or the older `rope_scaling`; `max_len` is
/// `max_position_embeddings`.
pub(super) fn scaling(c: &Config, max_len: usize) -> Result<RopeScaling> {
    let new = c.opt_object("rope_parameters")?;
    let old = c.opt_object("rope_scaling")?;
    let Some(s) = new.or(old) else {
        return Ok(RopeScaling::None);
    };
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
        other => return Err(s.error("rope_type", format!("{other} is not supported"))),
    };
    // Both spellings stand side by side in many files.
    s.opt_str("type")?;
    s.only("partial_rotary_factor", &[json!(1.0), json!(1)])?;
    s.finish(&[])?;
    Ok(scaling)
}

fn factor(s: &Config) -> Result<f64> {
    let factor = s.f64("factor")?;
    if !(factor.is_finite() && factor >= 1.0) {
        return Err(s.error("factor", format!("{factor} found, 1 or more wanted")));
    }
    Ok(factor)
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
