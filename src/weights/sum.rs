//! A model published as its difference from another (`tatsu-lab/alpaca-7b-wdiff`): the two are
//! added. Reference: `weight_diff.py` of tatsu-lab/stanford_alpaca.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Data, TensorInfo};
use crate::quant::Encoding;
use crate::{Error, Result};

/// A table that older versions of `transformers` store with a model, and nothing reads.
const BUFFER: &str = ".inv_freq";

/// The sum of two checkpoints with the same tensors, in f32. Where the difference has more rows
/// (tokens that were added), the base's missing ones are the mean of its rows. Tables of
/// frequencies that the base lacks are left out.
pub struct Sum {
    base: Box<dyn Checkpoint>,
    difference: Box<dyn Checkpoint>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Sum {
    /// Adds `difference` to `base`.
    ///
    /// # Errors
    /// Names a tensor that only the difference has, or whose shapes do not go together.
    pub fn new(base: Box<dyn Checkpoint>, difference: Box<dyn Checkpoint>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, info) in difference.tensors() {
            let error = |message| Error::tensor(difference.path(), name, message);
            let Some(before) = base.tensors().get(name) else {
                if name.ends_with(BUFFER) {
                    continue;
                }
                let path = base.path().display();
                return Err(error(format!(
                    "{path}, to which it is to be added, lacks it"
                )));
            };
            let grows = before.shape.first() <= info.shape.first();
            let same_rows = before.shape.get(1..) == info.shape.get(1..);
            if !(grows && same_rows && info.encoding.is_float() && before.encoding.is_float()) {
                return Err(error(format!(
                    "{} {:?} cannot be added to {} {:?}",
                    info.encoding, info.shape, before.encoding, before.shape
                )));
            }
            let sum = TensorInfo::new(name, Encoding::F32, info.shape.clone())
                .ok_or_else(|| error("absurdly large".to_string()))?;
            tensors.insert(name.clone(), sum);
        }
        Ok(Self {
            base,
            difference,
            tensors,
        })
    }
}

impl Checkpoint for Sum {
    fn path(&self) -> &Path {
        self.difference.path()
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<Data<'_>> {
        let mut sum = self.difference.read_f32(name)?;
        let mut base = self.base.read_f32(name)?;
        let cols = match self.tensors.get(name).map(|t| t.shape.as_slice()) {
            Some([_, cols]) => *cols,
            _ => 1,
        };
        if base.len() < sum.len() {
            let rows = (base.len() / cols.max(1)).max(1) as f64;
            let mut mean = vec![0.0f64; cols];
            for row in base.chunks_exact(cols.max(1)) {
                mean.iter_mut()
                    .zip(row)
                    .for_each(|(m, v)| *m += f64::from(*v));
            }
            let mean: Vec<f32> = mean.iter().map(|m| (m / rows) as f32).collect();
            while base.len() < sum.len() {
                base.extend_from_slice(&mean);
            }
        }
        sum.iter_mut().zip(base).for_each(|(s, b)| *s += b);
        Ok(Data::Owned(
            sum.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ))
    }

    fn release(&self, name: &str) {
        self.difference.release(name);
        self.base.release(name);
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.difference.files();
        files.extend(self.base.files());
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Safetensors;

    fn checkpoint(folder: &Path, name: &str, rows: usize, of: f32) -> Box<dyn Checkpoint> {
        stored(folder.join(name), &["w"], rows, of)
    }

    /// The tensors `names`, all alike.
    fn stored(path: PathBuf, names: &[&str], rows: usize, of: f32) -> Box<dyn Checkpoint> {
        let values: Vec<f32> = (0..rows * 2).map(|i| of * i as f32).collect();
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![rows, 2], &data);
        let view = view.unwrap();
        let views = names.iter().map(|name| (*name, view.clone()));
        safetensors::serialize_to_file(views, None, &path).unwrap();
        Box::new(Safetensors::open_file(&path).unwrap())
    }

    #[test]
    fn an_added_row_is_added_to_the_mean_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let base = checkpoint(dir.path(), "base.safetensors", 2, 1.0);
        let difference = checkpoint(dir.path(), "diff.safetensors", 3, 10.0);
        let sum = Sum::new(base, difference).unwrap();
        // The base is [0 1; 2 3], its mean row [1 2].
        assert_eq!(
            sum.read_f32("w").unwrap(),
            [0.0, 11.0, 22.0, 33.0, 41.0, 52.0]
        );
    }

    #[test]
    fn tables_of_frequencies_that_one_side_has_are_left_out() {
        const TABLE: &str = "model.layers.0.self_attn.rotary_emb.inv_freq";
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str, tensors: &[&str]| stored(dir.path().join(name), tensors, 2, 1.0);
        let sum = |base: &[&str], difference: &[&str]| {
            let difference = open("difference.safetensors", difference);
            Sum::new(open("base.safetensors", base), difference)
        };
        for (base, difference) in [(&["w"][..], &["w", TABLE][..]), (&["w", TABLE], &["w"])] {
            let sum = sum(base, difference).unwrap();
            let names: Vec<&String> = sum.tensors().keys().collect();
            assert_eq!(names, ["w"]);
        }
        let error = sum(&["w"], &["w", "b"]).err().unwrap().to_string();
        assert!(error.contains("tensor b"), "{error}");
    }

    #[test]
    fn tensors_that_do_not_go_together_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let base = checkpoint(dir.path(), "base.safetensors", 3, 1.0);
        let difference = checkpoint(dir.path(), "diff.safetensors", 2, 1.0);
        let error = Sum::new(base, difference).err().unwrap().to_string();
        assert!(
            error.contains("diff.safetensors") && error.contains("tensor w"),
            "{error}"
        );
    }
}
